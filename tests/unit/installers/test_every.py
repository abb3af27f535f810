"""Every installer's lines: clean shell, and what its package manager is asked. They run for real in tests/integration,
in distributions of the tests' own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.installers import Installer, Manner, Source, installer_for
from vmgen_build.systems.parse import parse_system

SYSTEMS = ("debian-12", "fedora-42", "fedora-14", "opensuse-15.6", "arch")
FAMILIES_OF_RPM = ("fedora-42", "fedora-14", "opensuse-15.6")


def installer(system: str) -> Installer:
    return installer_for(parse_system(system))


def lines_of(one: Installer, name: str) -> dict[str, str]:
    names, files = ["vim", "it's"], ["/run/vmgen/files/a b"]
    return {
        "install": one.install(names),
        "recommends": one.install(names, Manner(recommends=True, tolerant=True)),
        "files": one.install_files(files),
        "remove": one.remove(names),
        "hold": one.hold(names),
        "on_hold": one.on_hold(names),
        "is_installed": one.is_installed(names),
        "list": one.list_installed() + "\n",
        "describe": one.describe_installed() + "\n",
        "remove_unneeded": one.remove_unneeded(),
        "mark_wanted": one.mark_wanted(),
        "owners": one.owners(),
        "repository": one.repository(Source(name="o n", url="https://a.example", key=b"k"), parse_system(name)).setup,
    }


def an_apk() -> Installer:
    """The one that docs/extending.md shows."""
    spec = importlib.util.spec_from_file_location("apk", Path(__file__).parents[2] / "extending/madeup/apk.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Installer = module.INSTALLER
    return found


@pytest.mark.parametrize("name", [*SYSTEMS, "alpine"])
def test_its_lines_are_clean_shell(name: str, tmp_path: Path) -> None:
    paths = []
    one = an_apk() if name == "alpine" else installer(name)
    for what, text in lines_of(one, "debian-12" if name == "alpine" else name).items():
        path = tmp_path / f"{what}.sh"
        path.write_text(f"#!/bin/sh\nset -eu\n{text}")
        paths.append(path)
    ran = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def run(lines: str, folder: Path, **programs: str) -> tuple[int, str]:
    """Run lines under dash, with stand-ins for programs: name -> the body of a script that is called in its place."""
    bin_folder = folder / "bin"
    shutil.rmtree(bin_folder, ignore_errors=True)
    bin_folder.mkdir()
    for name, body in programs.items():
        path = bin_folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    lines = lines.replace("/var/lib/pacman", str(folder / "db"))
    (folder / "db").mkdir(exist_ok=True)
    env = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    ran = subprocess.run(["dash", "-eu"], input=lines, env=env, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


SHOW = 'printf "<%s>" "$@"; echo'
FAILING = 'echo "warning: %post(x-1.noarch) scriptlet failed, exit status 3"'


@pytest.mark.parametrize("name", ["fedora-42", "fedora-14"])
def test_dnf_and_yum_are_asked_in_one_transaction(name: str, tmp_path: Path) -> None:
    program = "dnf" if name == "fedora-42" else "yum"
    lines = installer(name).install(["vim", "@development-tools", "nginx=1.22*"])
    code, text = run(lines, tmp_path, **{program: SHOW, "rpm": "echo '1.22.1-9 (none) x86_64'"})
    assert code == 0
    assert "<-y><-c></run/vmgen/dnf.conf><install>" in text
    assert text.splitlines()[0].endswith("<--><vim><@development-tools><nginx-1.22*>")
    assert ("install_weak_deps=False" in text) is (program == "dnf")


def test_yum_says_nothing_of_an_unknown_name_and_the_lines_do(tmp_path: Path) -> None:
    lines = installer("fedora-14").install(["vim", "nosuch"])
    code, text = run(lines, tmp_path, yum="exit 0", rpm='[ "$5" != nosuch ]')
    assert (code, text) == (1, "nosuch\n")


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="needs rpmbuild")
@pytest.mark.parametrize(
    ("asked", "there"),
    [
        *((version, True) for version in ("1.22.1", "1.22*", "1.22.1-9", "1.22.1-9.noarch", "2:1.22.1-9", "2:1.2*")),
        *((version, False) for version in ("1.22", "1.24*", "1.22.1-8", "1.22.1-9.x86_64", "1:1.22.1", "0:*")),
    ],
)
def test_yum_says_nothing_of_another_version_and_the_lines_do(tmp_path: Path, asked: str, there: bool) -> None:
    """A version that is there already, and is not the one: yum has nothing to do. rpm is asked for real."""
    head = "Name: nginx\nEpoch: 2\nVersion: 1.22.1\nRelease: 9\nSummary: x\nLicense: x\nBuildArch: noarch\n"
    (tmp_path / "nginx.spec").write_text(f"{head}%description\nx\n%files\n")
    build = ["rpmbuild", "-bb", f"--define=_topdir {tmp_path}/made", tmp_path / "nginx.spec"]
    subprocess.run(build, check=True, capture_output=True)
    real = [shutil.which("rpm") or "", "--dbpath", str(tmp_path / "rpms")]
    package = tmp_path / "made/RPMS/noarch/nginx-1.22.1-9.noarch.rpm"
    subprocess.run([*real, "-i", "--nodeps", "--justdb", package], check=True)
    lines = installer("fedora-14").install(["nginx", f"nginx={asked}"])
    code, text = run(lines, tmp_path, yum="exit 0", rpm=f'exec {" ".join(real)} "$@"')
    assert (code, text) == ((0, "") if there else (1, f"nginx={asked}\n"))


@pytest.mark.parametrize(
    ("name", "program", "row"),
    [
        ("debian-12", "dpkg-query", "ii \\tdash\\t1\\tall"),
        ("fedora-42", "rpm", "dash\\t1\\tall"),
        ("arch", "pacman", "Name : dash\\nVersion : 1\\nArchitecture : all"),
        ("alpine", "awk", "dash\\t1\\tall"),
    ],
)
def test_a_list_of_packages_that_breaks_off_is_a_failure(tmp_path: Path, name: str, program: str, row: str) -> None:
    lines = (an_apk() if name == "alpine" else installer(name)).list_installed()
    assert run(lines, tmp_path, **{program: f"printf '{row}\\n'"}) == (0, "dash\t1\tall\n")
    code, _ = run(lines, tmp_path, **{program: f"printf '{row}\\n'; exit 3"})
    assert code not in (0, 127)


def test_keys_of_rpm_are_no_packages(tmp_path: Path) -> None:
    lines = installer("fedora-42").list_installed()
    rows = "gpg-pubkey\\t1\\t(none)\\ngpg-pubkey-tools\\t1\\tnoarch\\n"
    assert run(lines, tmp_path, rpm=f"printf '{rows}'") == (0, "gpg-pubkey-tools\t1\tnoarch\n")
    assert run(lines, tmp_path, rpm=":") == (0, "")


@pytest.mark.parametrize("tolerant", [False, True])
def test_a_failing_script_of_a_package_is_an_error_unless_tolerated(tmp_path: Path, tolerant: bool) -> None:
    manner = Manner(tolerant=tolerant)
    wanted = 0 if tolerant else 1
    code, text = run(installer("fedora-42").install(["x"], manner), tmp_path, dnf=FAILING)
    assert (code, "[config] failed_scripts = ignore" in text) == (wanted, not tolerant)
    code, text = run(installer("opensuse-15.6").install(["x"], manner), tmp_path, zypper="exit 107")
    assert (code, "[config] failed_scripts = ignore" in text) == (wanted * 107, not tolerant)
    code, text = run(
        installer("arch").install(["x"], manner), tmp_path, pacman="echo error: command failed to execute correctly"
    )
    assert (code, "[config] failed_scripts = ignore" in text) == (wanted, not tolerant)


@pytest.mark.parametrize(("name", "program"), [("fedora-42", "dnf"), ("opensuse-15.6", "zypper"), ("arch", "pacman")])
def test_the_manager_s_own_code_comes_through(tmp_path: Path, name: str, program: str) -> None:
    code, text = run(installer(name).install(["x"]), tmp_path, **{program: "echo no; exit 4"})
    assert (code, text) == (4, "no\n")


def test_zypper_s_news_are_no_failure(tmp_path: Path) -> None:
    assert run(installer("opensuse-15.6").install(["x"]), tmp_path, zypper="exit 102")[0] == 0


@pytest.mark.parametrize("name", FAMILIES_OF_RPM)
def test_only_what_is_installed_is_removed(tmp_path: Path, name: str) -> None:
    program = {"fedora-42": "dnf", "fedora-14": "yum", "opensuse-15.6": "zypper"}[name]
    lines = installer(name).remove(["there", "not"])
    code, text = run(lines, tmp_path, **{program: SHOW, "rpm": '[ "$5" = there ]'})
    assert code == 0
    assert text.endswith("<--><there>\n")
    assert run(lines, tmp_path, **{program: "exit 9", "rpm": "exit 1"})[0] == 0


def test_what_a_manager_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="zypper takes no pattern of a version: 'a=1\\*'"):
        installer("opensuse-15.6").install(["a=1*"])
    with pytest.raises(ValueError, match="pacman's archives hold no version but the newest: 'a=1'"):
        installer("arch").install(["a=1"])
    for name in ("fedora-42", "opensuse-15.6", "arch"):
        with pytest.raises(ValueError, match="a line of apt's"):
            installer(name).repository(Source(name="x", line="deb https://a.example ./"), parse_system(name))
        with pytest.raises(ValueError, match="control character"):
            installer(name).repository(Source(name="x", url="https://a.example\nx"), parse_system(name))


@pytest.mark.parametrize(
    ("name", "taken"), [("fedora-42", "main"), ("opensuse-15.6", "vmgen-x"), ("arch", "options"), ("arch", "core")]
)
def test_a_name_of_the_package_manager_s_own_is_refused(name: str, taken: str) -> None:
    with pytest.raises(ValueError, match="give the repository another"):
        installer(name).repository(Source(name=taken, url="https://a.example"), parse_system(name))


def test_a_pattern_is_asked_for_as_what_provides_it(tmp_path: Path) -> None:
    lines = installer("opensuse-15.6").is_installed(["vim", "pattern:devel_basis"])
    code, text = run(
        lines, tmp_path, rpm='[ "$*" != "-qa --provides" ] || echo "pattern() = devel_basis"; [ "$1" = -qa ]'
    )
    assert (code, text) == (1, "vim\n")


@pytest.mark.parametrize("name", FAMILIES_OF_RPM)
def test_a_repository_of_rpm(name: str) -> None:
    source = Source(name="my repo/../x", url="https://a.example/r/", suite="/42", key=b"key", priority=5)
    key, repo = installer(name).repository(source, parse_system(name)).files
    assert key.path == "/etc/pki/rpm-gpg/my-repo-..-x.asc"
    text = repo.content.decode()
    assert "baseurl=https://a.example/r/42\n" in text
    assert "gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/my-repo-..-x.asc\npriority=5\n" in text


def test_a_repository_of_pacman(tmp_path: Path) -> None:
    placed = installer("arch").repository(
        Source(name="own", url="https://a.example/$arch", key=b"k"), parse_system("arch")
    )
    assert placed.files[1].content == b"[own]\nSigLevel = Required DatabaseOptional\nServer = https://a.example/$arch\n"
    assert "pacman-key --lsign-key" in placed.setup


@pytest.mark.parametrize("priority", [0, 1])
def test_pacman_s_settings_take_a_repository_in(tmp_path: Path, priority: int) -> None:
    """A priority puts it before the distribution's own."""
    source = Source(name="own", url="https://a.example", priority=priority)
    conf = tmp_path / "pacman.conf"
    conf.write_text("[options]\nHoldPkg = pacman\n\n[core]\nServer = x\n")
    lines = installer("arch").repository(source, parse_system("arch")).setup.replace("/etc/pacman.conf", str(conf))
    for _ in range(2):
        assert run(lines, tmp_path)[0] == 0
    found = conf.read_text()
    line = f"Include = /etc/pacman.d/vmgen/{'first/' if priority else ''}own.conf"
    assert found.count(line) == 1
    assert (found.index(line) < found.index("[core]")) is bool(priority)
    assert found.startswith("[options]")


@pytest.mark.parametrize(("name", "path"), [("fedora-42", "/etc/dnf/dnf.conf"), ("arch", "/etc/pacman.conf")])
def test_a_package_that_no_upgrade_changes(tmp_path: Path, name: str, path: str) -> None:
    conf = tmp_path / "conf"
    conf.write_text("[main]\nbest=True\n" if name == "fedora-42" else "[options]\nColor\n")
    one = installer(name)
    assert run(one.hold(["vim", "git"]).replace(path, str(conf)), tmp_path)[0] == 0
    option = "excludepkgs=" if name == "fedora-42" else "IgnorePkg = "
    assert conf.read_text().splitlines()[1] == f"{option}vim git"
    if name == "fedora-42":
        assert run(one.hold(["glibc-devel"]).replace(path, str(conf)), tmp_path)[0] == 0
        assert conf.read_text().count("excludepkgs=") == 1
        assert run(one.on_hold(["glibc"]).replace(path, str(conf)), tmp_path) == (1, "glibc\n")
        asked = one.on_hold(["vim", "gi"]).replace(path, str(conf))
        assert run(asked, tmp_path) == (1, "gi\n")
