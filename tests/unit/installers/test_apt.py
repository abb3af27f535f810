"""apt's command lines and files, tried on the real shell, dpkg and apt where they tell more than text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.errors import VmgenError
from vmgen_build.installers import Installer, Source, installer_for
from vmgen_build.systems.parse import parse_system

BOOKWORM = parse_system("debian-12-amd64")
APT: Installer = installer_for(BOOKWORM)
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg")


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/bin/sh", "-eu"], input=script, text=True, capture_output=True, check=False)


def test_install_asks_nothing_and_runs_once() -> None:
    command = APT.install(["vim", "git"])
    assert command[:3] == ["apt-get", "-y", "-q"]
    assert command[-5:] == ["install", "--no-install-recommends", "--", "vim", "git"]
    for option in ("Dpkg::Options::=--force-confold", "DPkg::Lock::Timeout=60", "Dpkg::Use-Pty=0"):
        assert command[command.index(option) - 1] == "-o"
    assert "--install-recommends" in APT.install(["vim"], recommends=True)


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


def test_a_repository_with_its_key() -> None:
    key = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n..."
    files = APT.repository(Source("example", url="https://apt.example.org/debian", key=key), BOOKWORM)
    assert [f.path for f in files] == ["/etc/apt/keyrings/example.asc", "/etc/apt/sources.list.d/example.sources"]
    assert files[0].content == key
    assert files[1].content.decode() == (
        "Types: deb\nURIs: https://apt.example.org/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /etc/apt/keyrings/example.asc\n"
    )


def test_a_binary_key_keeps_its_kind() -> None:
    files = APT.repository(Source("example", url="https://apt.example.org", key=b"\x99\x01"), BOOKWORM)
    assert files[0].path == "/etc/apt/keyrings/example.gpg"


def test_a_flat_repository_has_no_components() -> None:
    (file,) = APT.repository(Source("flat", url="https://apt.example.org", suite="./"), BOOKWORM)
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
    file = APT.repository(Source("r", line=line, key=b"\x99"), BOOKWORM)[1]
    assert (file.path, file.content.decode()) == ("/etc/apt/sources.list.d/r.list", written)


def test_a_line_without_a_key_stays_as_it_is() -> None:
    (file,) = APT.repository(Source("r", line="deb [trusted=yes] file:/srv ./"), BOOKWORM)
    assert file.content == b"deb [trusted=yes] file:/srv ./\n"


@pytest.mark.parametrize(
    ("name", "file"), [("my repo/../x", "my-repo-x"), ("debian", "debian-repository"), ("..", "repository")]
)
def test_a_repository_never_takes_another_file(name: str, file: str) -> None:
    (written,) = APT.repository(Source(name, url="https://a.example"), BOOKWORM)
    assert written.path == f"/etc/apt/sources.list.d/{file}.sources"


def test_a_repository_cannot_smuggle_in_a_field() -> None:
    with pytest.raises(ValueError, match="URIs of a repository holds a control character"):
        APT.repository(Source("r", url="https://a.example\nTrusted: yes"), BOOKWORM)


def test_canonical_sources() -> None:
    path, text = APT.canonical_sources(BOOKWORM)
    assert path == "/etc/apt/sources.list.d/debian.sources"
    assert [line for line in text.splitlines() if line.startswith("Suites")] == [
        "Suites: bookworm bookworm-updates",
        "Suites: bookworm-security",
    ]
    assert "security" not in APT.canonical_sources(parse_system("debian-sid"))[1]
    with pytest.raises(ValueError, match=r"ubuntu-24\.04"):
        APT.canonical_sources(parse_system("ubuntu-24.04"))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
def test_apt_reads_what_we_write(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    files = (
        *APT.repository(Source("one", url="https://one.example", key=b"\x99"), BOOKWORM),
        *APT.repository(Source("two", line="deb https://two.example x main", key=b"\x99"), BOOKWORM),
    )
    path, text = APT.canonical_sources(BOOKWORM)
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


@pytest.mark.parametrize("name", ["fedora-42", "opensuse-15.6", "arch", "win11"])
def test_a_package_manager_that_is_not_there_yet(name: str) -> None:
    system = parse_system(name)
    with pytest.raises(VmgenError, match=f"installs its packages with {system.installer}, which this version cannot"):
        installer_for(system)
