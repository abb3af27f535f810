"""Ids of systems against libosinfo's database, which virt-manager goes by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmgen_build.systems.parse import parse_system

DATABASE = Path("/usr/share/osinfo/os")
OLD = ("debian-11", "debian-sid", "ubuntu-22.04", "fedora-36", "centos-7", "centos-9", "rhel-9", "rocky-9")
OLD += ("almalinux-9", "opensuse-15.4", "opensuse-tumbleweed", "arch")
"""Systems that were there before the database of Debian 12 was."""


@pytest.fixture(scope="module")
def ids() -> set[str]:
    if not DATABASE.is_dir():
        pytest.skip("needs osinfo-db")
    return {found for path in DATABASE.rglob("*.xml") for found in re.findall(r'<os id="([^"]+)"', path.read_text())}


@pytest.mark.parametrize("name", OLD)
def test_the_database_has_it(ids: set[str], name: str) -> None:
    assert parse_system(name).osinfo in ids


def test_the_version_stands_in_it() -> None:
    assert parse_system("debian-13").osinfo == "http://debian.org/debian/13"
    assert parse_system("win10").osinfo == ""
