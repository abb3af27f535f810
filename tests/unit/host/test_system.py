"""What os-release says of a host, and what messages make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.host import system
from vmgen_build.host.system import HostSystem, host_system, how_to_get, parse_os_release

NOBLE = """PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
# a comment
ID=ubuntu
ID_LIKE=debian
"""
FEDORA = "NAME='Fedora Linux'\nVERSION_ID=42\nID=fedora\n"
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"\n'


@pytest.mark.parametrize(
    ("text", "expected", "has_apt"),
    [
        ("ID=debian\nVERSION_ID=13\n", HostSystem(("debian",), "13", "debian 13"), True),
        (NOBLE, HostSystem(("ubuntu", "debian"), "24.04", "Ubuntu 24.04.3 LTS"), True),
        (FEDORA, HostSystem(("fedora",), "42", "fedora 42"), False),
        (ROCKY, HostSystem(("rocky", "rhel", "centos", "fedora"), "9.4", "Rocky Linux 9.4"), False),
        ("ID=arch\nBROKEN='\n", HostSystem(("arch",), "", "arch"), False),
        ("", HostSystem(("linux",), "", "linux"), False),
    ],
)
def test_os_release(text: str, expected: HostSystem, has_apt: bool) -> None:
    found = parse_os_release(text)
    assert found == expected
    assert found.has_apt is has_apt
    assert found.is_debian is (found.ids[0] == "debian")


def test_the_first_file_that_is_there_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "etc", tmp_path / "usr"
    monkeypatch.setattr(system, "OS_RELEASE", (first, second))
    assert host_system().name == "a system without /etc/os-release"
    second.write_text("ID=arch\n")
    assert host_system().ids == ("arch",)
    first.write_text(NOBLE)
    assert host_system().ids == ("ubuntu", "debian")


def test_a_host_without_apt_gets_names_and_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "os-release"
    monkeypatch.setattr(system, "OS_RELEASE", (file,))
    file.write_text(NOBLE)
    assert how_to_get(["b", "a", "b"]) == "get it with: apt-get install -y --no-install-recommends a b"
    file.write_text(FEDORA)
    assert how_to_get(["b", "a"]) == "install what Debian's packages of these names hold: a b; docs/hosts.md says more"


@pytest.mark.parametrize(("content", "kept"), [("1\n", True), ("0\n", False), (None, False)])
def test_apparmors_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, kept: bool) -> None:
    monkeypatch.setattr(system, "USERNS_SWITCH", tmp_path / "switch")
    if content is not None:
        (tmp_path / "switch").write_text(content)
    assert system.users_are_kept_from_namespaces() is kept
