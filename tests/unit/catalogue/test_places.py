"""Which systems an option of the catalogue is for, and which of several options counts."""

from __future__ import annotations

import pytest

from vmgen_build.catalogue.entries import Entry
from vmgen_build.catalogue.places import parse_place
from vmgen_build.systems.parse import parse_system


def counts(system: str, *places: str) -> str:
    """The place whose option counts for a system; each option's value is its place."""
    options = {f"packages.{place}": place for place in places} | {"packages": "any"}
    return Entry("x", "devel", options).text("packages", parse_system(system))


@pytest.mark.parametrize(
    ("system", "places", "expected"),
    [
        ("debian-12-amd64", ["debian", "debian-12"], "debian-12"),
        ("debian-12-i386", ["debian-12", "debian-12-i386", "debian-i386"], "debian-12-i386"),
        ("debian-12-i386", ["debian-12", "debian-i386"], "debian-12"),
        ("debian-12-i386", ["debian", "debian-i386"], "debian-i386"),
        ("debian-12-amd64", ["debian-11..12", "debian"], "debian-11..12"),
        ("debian-13-amd64", ["debian-11..12", "debian"], "debian"),
        ("debian-12-amd64", ["debian-11..12", "debian-12"], "debian-12"),
        ("debian-12-i386", ["debian-11..12", "debian-i386"], "debian-11..12"),
        ("debian-12-i386", ["debian-11..12", "debian-12..-i386"], "debian-12..-i386"),
        ("debian-11-amd64", ["debian-..11"], "debian-..11"),
        ("debian-12-amd64", ["debian-..11"], "any"),
        ("debian-sid-amd64", ["debian-13.."], "debian-13.."),
        ("debian-sid-amd64", ["debian-..sid", "debian"], "debian-..sid"),
        ("debian-13-amd64", ["debian-sid.."], "any"),
        ("fedora-9-amd64", ["fedora-10.."], "any"),
        ("fedora-41-amd64", ["fedora-41..", "fedora"], "fedora-41.."),
        ("fedora-42-amd64", ["fedora-38..", "fedora-41..", "fedora-40..45"], "fedora-40..45"),
        ("fedora-42-amd64", ["fedora-38..", "fedora-41.."], "fedora-41.."),
        ("fedora-42-amd64", ["fedora-..50", "fedora-..45"], "fedora-..45"),
        ("fedora-42-amd64", ["fedora-..50", "fedora-2.."], "fedora-2.."),
        ("ubuntu-20.04-amd64", ["ubuntu-..22.04", "ubuntu-22.10.."], "ubuntu-..22.04"),
        ("ubuntu-10.10-amd64", ["ubuntu-10.04..10.9"], "any"),
        ("opensuse-15.6-amd64", ["opensuse-15", "opensuse"], "opensuse-15"),
        ("opensuse-15.6-amd64", ["opensuse-15", "opensuse-15.6"], "opensuse-15.6"),
        ("opensuse-15.6-amd64", ["opensuse-..15"], "opensuse-..15"),
        ("opensuse-tumbleweed-amd64", ["opensuse-16.0.."], "opensuse-16.0.."),
        ("arch-amd64", ["arch-rolling"], "arch-rolling"),
        ("win10", ["windows-10", "linux"], "windows-10"),
        ("win10", ["linux"], "any"),
        ("arch-amd64", ["linux"], "linux"),
        ("rocky-9-amd64", ["linux", "fedora"], "fedora"),
        ("debian-12-arm64", ["linux", "linux-arm64"], "linux-arm64"),
    ],
)
def test_the_most_specific_place_counts(system: str, places: list[str], expected: str) -> None:
    assert counts(system, *places) == counts(system, *reversed(places)) == expected


@pytest.mark.parametrize(
    ("system", "places", "expected"),
    [
        ("ubuntu-22.04-amd64", ["debian-12"], "debian-12"),
        ("ubuntu-20.04-amd64", ["debian-..11", "debian"], "debian-..11"),
        ("ubuntu-18.04-amd64", ["debian-..11", "debian"], "debian"),
        ("ubuntu-22.04-amd64", ["debian-12", "ubuntu"], "ubuntu"),
        ("rocky-9-amd64", ["rhel-9", "fedora-34", "fedora"], "rhel-9"),
        ("rocky-9.4-amd64", ["rhel-9..", "fedora"], "rhel-9.."),
        ("almalinux-10-amd64", ["fedora-40..", "fedora-..39"], "fedora-40.."),
        ("centos-7-amd64", ["fedora-..21", "fedora"], "fedora-..21"),
        ("rhel-8.10-amd64", ["fedora-28", "fedora"], "fedora-28"),
        ("rhel-99-amd64", ["fedora-28..", "fedora"], "fedora"),
        ("scientific-6-amd64", ["rhel-6", "fedora-12"], "rhel-6"),
    ],
)
def test_a_relative_stands_in_by_its_version(system: str, places: list[str], expected: str) -> None:
    assert counts(system, *places) == expected


def test_an_architecture_of_a_relative_counts_too() -> None:
    assert counts("ubuntu-22.04-arm64", "debian-arm64", "debian") == "debian-arm64"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("debain-12", "'debain' is no system; write one of debian, ubuntu, "),
        ("debian-..", "'..' is no range; write one such as 11..12, 41.. or ..11"),
        ("debian-13..11", "'13..11' ends before it begins; write 11..13"),
        ("debian-bookworm", "'bookworm' is no version of debian; write a number or sid"),
        ("debian-11..bookworm", "'bookworm' cannot end a range of debian; write numbers, such as 11..12"),
        ("windows-7..10", "'7' cannot end a range of windows; write numbers, such as 11..12"),
        ("debian-12-sparc", "'12-sparc' is no version of debian; write a number or sid"),
        ("debian-1.2.3.4.5", "'1.2.3.4.5' is no version of debian; write a number or sid"),
    ],
)
def test_a_wrong_place_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_place(text)
    assert str(caught.value).startswith(message)


def test_every_relative_has_its_version() -> None:
    assert parse_system("rocky-9.4").relatives == (("rhel", "9"), ("fedora", "34"))
    assert parse_system("ubuntu-24.04").relatives == (("debian", "12"),)
    assert parse_system("ubuntu-10.10").relatives == (("debian", ""),)
    assert parse_system("fedora-42").relatives == parse_system("win10").relatives == ()
