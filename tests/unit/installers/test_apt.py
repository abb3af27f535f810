"""apt's command lines and files, tried on the real shell, dpkg and apt where they tell more than text."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.errors import VmgenError
from vmgen_build.installers import Installer, Manner, Source, installer_for
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

BOOKWORM = parse_system("debian-12-amd64")
APT: Installer = installer_for(BOOKWORM)
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")


def canonical(system: System) -> tuple[str, str]:
    found = APT.canonical_sources(system)
    assert found is not None
    return found


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-eu"], input=script, text=True, capture_output=True, check=False)


def test_install_asks_nothing_and_runs_once() -> None:
    command = shlex.split(APT.install(["vim", "git"]))
    assert command[:3] == ["apt-get", "-y", "-q"]
    assert command[-5:] == ["install", "--no-install-recommends", "--", "vim", "git"]
    for option in ("Dpkg::Options::=--force-confold", "DPkg::Lock::Timeout=60", "Dpkg::Use-Pty=0"):
        assert command[command.index(option) - 1] == "-o"
    assert "--install-recommends" in APT.install(["vim"], Manner(recommends=True))


def test_a_name_that_would_remove_a_package_is_refused() -> None:
    with pytest.raises(ValueError, match="'sudo-' would remove a package"):
        APT.install(["vim", "sudo-"])


@needs_dpkg
def test_is_installed_names_what_is_missing() -> None:
    assert sh(APT.is_installed(["dpkg", "libc6"])).returncode == 0
    ran = sh(APT.is_installed(["dpkg", "no-such-package", "$(touch x)"]))
    assert (ran.returncode, ran.stdout) == (1, "no-such-package\n$(touch x)\n")


@needs_dpkg
def test_list_installed_prints_name_version_and_architecture() -> None:
    rows = [line.split("\t") for line in sh(APT.list_installed()).stdout.splitlines()]
    assert all(len(row) == 3 and all(row) for row in rows)
    assert "dpkg" in {row[0] for row in rows}


@needs_dpkg
def test_issue_14_it_describes_source_maintainer_and_licences() -> None:
    rows = [line.split("\t") for line in sh(APT.describe_installed()).stdout.splitlines()]
    packages = {row[0]: row for row in rows if row[0]}
    assert packages["libc6"][3] == "glibc" and "@" in packages["libc6"][5]
    assert all(len(row) == (6 if row[0] else 3) for row in rows)
    assert any(row[1:] == ["dpkg", "GPL-2+"] for row in rows if not row[0])


def test_a_repository_with_its_key() -> None:
    key = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n..."
    files = APT.repository(Source(name="example", url="https://apt.example.org/debian", key=key), BOOKWORM).files
    assert [f.path for f in files] == ["/etc/apt/keyrings/example.asc", "/etc/apt/sources.list.d/example.sources"]
    assert files[0].content == key
    assert files[1].content.decode() == (
        "Types: deb\nURIs: https://apt.example.org/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /etc/apt/keyrings/example.asc\n"
    )


def test_a_binary_key_keeps_its_kind() -> None:
    files = APT.repository(Source(name="example", url="https://apt.example.org", key=b"\x99\x01"), BOOKWORM).files
    assert files[0].path == "/etc/apt/keyrings/example.gpg"


def test_a_flat_repository_has_no_components() -> None:
    (file,) = APT.repository(Source(name="flat", url="https://apt.example.org", suite="./"), BOOKWORM).files
    assert file.content == b"Types: deb\nURIs: https://apt.example.org\nSuites: ./\n"


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("deb https://a.example x main", "deb [signed-by=/etc/apt/keyrings/r.gpg] https://a.example x main\n"),
        ("deb [arch=amd64] u x y", "deb [arch=amd64 signed-by=/etc/apt/keyrings/r.gpg] u x y\n"),
        ("deb [signed-by=/k.gpg] u x y", "deb [signed-by=/k.gpg] u x y\n"),
        ("deb [Signed-By=/k.gpg arch=i386] u ./", "deb [Signed-By=/k.gpg arch=i386] u ./\n"),
    ],
)
def test_a_line_is_signed_by_its_key(line: str, written: str) -> None:
    file = APT.repository(Source(name="r", line=line, key=b"\x99"), BOOKWORM).files[1]
    assert (file.path, file.content.decode()) == ("/etc/apt/sources.list.d/r.list", written)


def test_a_line_without_a_key_stays_as_it_is() -> None:
    (file,) = APT.repository(Source(name="r", line="deb [trusted=yes] file:/srv ./"), BOOKWORM).files
    assert file.content == b"deb [trusted=yes] file:/srv ./\n"


@pytest.mark.parametrize(
    ("name", "file"), [("my repo/../x", "my-repo-x"), ("debian", "debian-repository"), ("..", "repository")]
)
def test_a_repository_never_takes_another_file(name: str, file: str) -> None:
    (written,) = APT.repository(Source(name=name, url="https://a.example"), BOOKWORM).files
    assert written.path == f"/etc/apt/sources.list.d/{file}.sources"


def test_a_repository_cannot_smuggle_in_a_field() -> None:
    with pytest.raises(ValueError, match="URIs of a repository holds a control character"):
        APT.repository(Source(name="r", url="https://a.example\nTrusted: yes"), BOOKWORM)


def test_canonical_sources() -> None:
    path, text = canonical(BOOKWORM)
    assert path == "/etc/apt/sources.list.d/debian.sources"
    assert [line for line in text.splitlines() if line.startswith("Suites")] == [
        "Suites: bookworm bookworm-updates",
        "Suites: bookworm-security",
    ]
    assert "security" not in canonical(parse_system("debian-sid"))[1]
    path, text = canonical(parse_system("ubuntu-24.04"))
    assert path == "/etc/apt/sources.list.d/ubuntu.sources"
    assert text.splitlines()[1:4] == [
        "URIs: http://archive.ubuntu.com/ubuntu",
        "Suites: noble noble-updates noble-security",
        "Components: main universe",
    ]
    assert "/ubuntu-ports\n" in canonical(parse_system("ubuntu-24.04-arm64"))[1]
    with pytest.raises(ValueError, match=r"lernstick-1 are not known"):
        canonical(replace(BOOKWORM, name="lernstick-1", archives=()))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
def test_apt_reads_what_we_write(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    files = (
        *APT.repository(Source(name="one", url="https://one.example", key=b"\x99"), BOOKWORM).files,
        *APT.repository(Source(name="two", line="deb https://two.example x main", key=b"\x99"), BOOKWORM).files,
    )
    path, text = canonical(BOOKWORM)
    (parts / Path(path).name).write_text(text)
    for file in files:
        if "/sources.list.d/" in file.path:
            (parts / Path(file.path).name).write_bytes(file.content)
    options = ["-o", f"Dir::Etc::sourceparts={parts}", "-o", "Dir::Etc::sourcelist=/dev/null"]
    ran = subprocess.run(["apt-get", *options, "update", "--print-uris"], text=True, capture_output=True, check=True)
    uris = {line.split("'")[1] for line in ran.stdout.splitlines()}
    assert {uri for uri in uris if uri.endswith("/InRelease")} == {
        "https://one.example/dists/bookworm/InRelease",
        "https://two.example/dists/x/InRelease",
        "http://deb.debian.org/debian/dists/bookworm/InRelease",
        "http://deb.debian.org/debian/dists/bookworm-updates/InRelease",
        "http://deb.debian.org/debian-security/dists/bookworm-security/InRelease",
    }


def test_a_disc_is_switched_off_and_a_priority_is_a_pin() -> None:
    text = "deb cdrom:[Debian]/ bookworm main\ndeb [trusted=yes] https://a.example/x ./\n"
    sources, pin = APT.repository(Source(name="own", text=text, priority=10), BOOKWORM).files
    assert sources.path == "/etc/apt/sources.list.d/own.list"
    assert sources.content.decode() == f"# {text}"
    assert pin.content.decode() == 'Package: *\nPin: origin "a.example"\nPin-Priority: 860\n'


def test_windows_has_no_installer_yet() -> None:
    with pytest.raises(VmgenError, match="win11 installs its packages with windows, which this version cannot"):
        installer_for(parse_system("win11"))


@needs_dpkg
def test_owners_of_files_by_every_name_of_them() -> None:
    paths = [f"{folder}/bin/dash" for folder in ("", "/usr")] + ["/usr/bin/dpkg", "/no/such"]
    ran = sh(f"printf '%s\\n' {' '.join(paths)} | {{\n{APT.owners()}}}\n")
    assert ran.returncode == 0 and {"dash", "dpkg"} <= set(ran.stdout.split()) and ran.stderr == ""


@needs_dpkg
def test_what_others_need_is_not_removed() -> None:
    removal = APT.remove_unneeded().replace("--purge autoremove", "--simulate --purge autoremove")
    ran = sh(f"printf '%s\\n' dpkg libc6 base-files | {{\n{removal}}}\n")
    assert ran.returncode == 0, ran.stderr
    assert "Remv" not in ran.stdout and "Purg" not in ran.stdout
