"""Which system a root is of: by its os-release, and by what systems had before there was one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.bases.identity import architecture, identity, wrong_system
from vmgen_build.bases.within import within
from vmgen_build.systems.parse import parse_system

AMD64, I386, ARM64 = 0x3E, 0x03, 0xB7


def root(folder: Path, files: dict[str, str], machine: int = AMD64) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "usr/bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin").symlink_to("/usr/bin")
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00" + machine.to_bytes(2, "little")
    (folder / "usr/bin/dash").write_bytes(head)
    (folder / "usr/bin/sh").symlink_to("/usr/bin/dash")
    return folder


@pytest.mark.parametrize(
    ("os", "files"),
    [
        ("debian-12", {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n'}),
        ("debian-12", {"usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\n'}),
        ("debian-sid", {"etc/os-release": "ID=debian\n", "etc/debian_version": "forky/sid\n"}),
        ("debian-6", {"etc/debian_version": "6.0.10\n"}),
        ("ubuntu-10.10", {"etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.10\n"}),
        ("ubuntu-24.04", {"etc/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=debian\n'}),
        ("fedora-14", {"etc/redhat-release": "Fedora release 14 (Laughlin)\n"}),
        ("fedora-42", {"etc/os-release": "ID=fedora\nVERSION_ID=42\n"}),
        ("centos-7", {"etc/redhat-release": "CentOS Linux release 7.9.2009 (Core)\n"}),
        ("rhel-6", {"etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"}),
        ("rocky-9", {"etc/os-release": 'ID="rocky"\nVERSION_ID="9.3"\n'}),
        ("rocky-9.3", {"etc/os-release": 'ID="rocky"\nVERSION_ID="9"\n'}),
        ("opensuse-15.6", {"etc/os-release": 'ID="opensuse-leap"\nVERSION_ID="15.6"\n'}),
        ("opensuse-tumbleweed", {"etc/os-release": 'ID="opensuse-tumbleweed"\nVERSION_ID="20251125"\n'}),
        ("arch", {"etc/os-release": "ID=arch\n"}),
    ],
)
def test_each_system_is_known(tmp_path: Path, os: str, files: dict[str, str]) -> None:
    assert wrong_system(root(tmp_path, files), parse_system(f"{os}-amd64" if "-" in os else os)) == ""


@pytest.mark.parametrize(
    ("os", "files", "machine", "reason"),
    [
        (
            "debian-13-amd64",
            {"etc/os-release": "ID=debian\nVERSION_ID=12\nPRETTY_NAME=Twelve\n"},
            AMD64,
            "is of Twelve",
        ),
        ("ubuntu-24.04-amd64", {"etc/os-release": "ID=debian\nVERSION_ID=12\n"}, AMD64, "is of debian 12, and"),
        ("rocky-9.3-amd64", {"etc/os-release": "ID=rocky\nVERSION_ID=9.4\n"}, AMD64, "says rocky-9.3"),
        ("debian-12-amd64", {"etc/os-release": "ID=debian\nVERSION_ID=12\n"}, ARM64, "is for arm64"),
        ("debian-12-amd64", {"etc/os-release": "ID=debian\nVERSION_ID=12\n"}, I386, "is for i386"),
        ("debian-12-amd64", {}, AMD64, "does not say of which system"),
        ("debian-12-amd64", {"etc/os-release": "ID=\x1b[31mred\n"}, AMD64, "is of [31mred"),
    ],
)
def test_another_system_is_named(tmp_path: Path, os: str, files: dict[str, str], machine: int, reason: str) -> None:
    wrong = wrong_system(root(tmp_path, files, machine), parse_system(os))
    assert reason.replace("[31m", "") in wrong and "\x1b" not in wrong


def test_no_file_of_this_host_is_read(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").symlink_to("/usr/lib/os-release")
    assert identity(tmp_path) is None


def test_a_pipe_for_a_program_is_passed_over(tmp_path: Path) -> None:
    whole = root(tmp_path, {}, ARM64)
    (whole / "usr/bin/sh").unlink()
    os.mkfifo(whole / "usr/bin/sh")
    assert within(5, lambda: architecture(whole)) == ""
    (whole / "usr/bin/bash").symlink_to("dash")
    assert architecture(whole) == "arm64"
