"""os = ...: what a recipe may call an operating system."""

from __future__ import annotations

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgen_build.systems.parse import host_arch, known_systems, parse_system

UNKNOWN = "is not a known system; write distribution-version, for example debian-12"
DISTRIBUTIONS = "debian, ubuntu, fedora, centos, rhel, rocky, almalinux, scientific, opensuse, arch"


@pytest.mark.parametrize(
    ("text", "name", "codename", "arch", "installer", "base"),
    [
        ("debian-12-amd64", "debian-12", "bookworm", "amd64", "apt", "mmdebstrap"),
        ("debian-13-arm64", "debian-13", "trixie", "arm64", "apt", "mmdebstrap"),
        ("debian-11-i386", "debian-11", "bullseye", "i386", "apt", "mmdebstrap"),
        ("debian-sid-x64", "debian-sid", "sid", "amd64", "apt", "mmdebstrap"),
        ("debian-bookworm-x86_64", "debian-12", "bookworm", "amd64", "apt", "mmdebstrap"),
        ("Debian-12.5-AMD64", "debian-12", "bookworm", "amd64", "apt", "mmdebstrap"),
        ("debian12-x86", "debian-12", "bookworm", "i386", "apt", "mmdebstrap"),
        ("debian-12-x86_64-minimal", "debian-12", "bookworm", "amd64", "apt", "mmdebstrap"),
        ("debian-12-aarch64-anything", "debian-12", "bookworm", "arm64", "apt", "mmdebstrap"),
        ("debian-6-amd64", "debian-6", "squeeze", "amd64", "apt", ""),
        ("ubuntu-22.04-x64", "ubuntu-22.04", "jammy", "amd64", "apt", "mmdebstrap"),
        ("ubuntu-noble-arm64", "ubuntu-24.04", "noble", "arm64", "apt", "mmdebstrap"),
        ("ubuntu-noble-x86", "ubuntu-24.04", "noble", "i386", "apt", ""),
        ("ubuntu-18.04-x64", "ubuntu-18.04", "bionic", "amd64", "apt", ""),
        ("fedora-14-x86", "fedora-14", "", "i386", "yum", ""),
        ("fedora-42-amd64", "fedora-42", "", "amd64", "dnf", "dnf"),
        ("centos-7-x86_64", "centos-7", "", "amd64", "yum", ""),
        ("rocky-9.4-x86_64", "rocky-9.4", "", "amd64", "dnf", "dnf"),
        ("opensuse-leap-15.6-64", "opensuse-15.6", "", "amd64", "zypper", "zypper"),
        ("opensuse-tumbleweed-amd64", "opensuse-tumbleweed", "tumbleweed", "amd64", "zypper", "zypper"),
        ("archlinux-x86_64", "arch-rolling", "rolling", "amd64", "pacman", "pacstrap"),
    ],
)
def test_linux_names(text: str, name: str, codename: str, arch: str, installer: str, base: str) -> None:
    system = parse_system(text)
    assert (system.name, system.codename, system.arch) == (name, codename, arch)
    assert (system.installer, system.base, system.kind) == (installer, base, "linux")
    assert system.name == f"{system.distribution}-{system.version}"


@pytest.mark.parametrize(
    ("text", "version", "arch"),
    [("winxppro", "xp", "i386"), ("win7-x86", "7", "i386"), ("win11", "11", "amd64"), ("WinSrv2022", "2022", "amd64")],
)
def test_windows_names(text: str, version: str, arch: str) -> None:
    system = parse_system(text)
    assert (system.kind, system.installer, system.distribution) == ("windows", "windows", "windows")
    assert (system.version, system.arch, system.base) == (version, arch, "")


@pytest.mark.parametrize(
    ("machine", "arch"), [("x86_64", "amd64"), ("i686", "i386"), ("aarch64", "arm64"), ("AMD64", "amd64")]
)
def test_host_architecture_is_the_default(monkeypatch: pytest.MonkeyPatch, machine: str, arch: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_arch() == arch
    assert parse_system("debian-12").arch == arch
    assert parse_system("debian-12-minimal").arch == arch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("debian", "'debian' names no version; write debian-11, debian-12, debian-13 or debian-sid"),
        ("debian-99", "'99' is not a version of debian; write debian-11, debian-12, debian-13 or debian-sid"),
        ("debian-x86_64", "'x86_64' is not a version of debian; write debian-11, debian-12, debian-13 or debian-sid"),
        ("fedora-x86", "'x86' is not a version of fedora; write fedora-42"),
        ("debian-12-sparc", "'sparc' in 'debian-12-sparc' is not an architecture; write amd64, i386 or arm64"),
        ("debian-12-", "'' in 'debian-12-' is not an architecture; write amd64, i386 or arm64"),
        (
            "debain-12",
            f"'debain-12' {UNKNOWN} (did you mean 'debian-12' or 'debian-13'?)",
        ),
        (
            "plan9",
            f"'plan9' {UNKNOWN} (known: {DISTRIBUTIONS}, windows names such as win11)",
        ),
        ("a" * 100, f"'{'a' * 64}…' is not a known system; write distribution-version, such as debian-12"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_system(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", known_systems())
def test_every_name_that_is_suggested_is_accepted(name: str) -> None:
    assert parse_system(name).name in (name, "arch-rolling")


@given(st.text(max_size=80) | st.from_regex(r"\A(debian|win|fedora|arch)[-0-9a-z._]{0,20}\Z"))
def test_any_text_is_a_system_or_a_value_error(text: str) -> None:
    try:
        system = parse_system(text)
    except ValueError as error:
        assert str(error)
    else:
        assert system.name.isascii()
        assert system.arch in ("amd64", "i386", "arm64")
