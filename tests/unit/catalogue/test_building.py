"""What programs are built with, by names of our own."""

from __future__ import annotations

import pytest

from vmgen_build.catalogue.building import (
    BUILD_SYSTEMS,
    UNPACKERS,
    _entries,
    build_system_of,
    known_needs,
    packages_for,
)
from vmgen_build.catalogue.places import parse_place
from vmgen_build.systems.parse import parse_system

SYSTEMS = ["debian-11", "debian-12", "debian-sid", "ubuntu-24.04", "fedora-42", "rocky-9", "opensuse-15.6", "arch"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_the_tool_itself_asks_for_is_known_everywhere(name: str) -> None:
    system = parse_system(name)
    asked = {need for build in BUILD_SYSTEMS.values() for need in (*build.needs, *build.runs)}
    assert [need for need in asked | {*UNPACKERS.values(), "patch"} if not packages_for(need, system)] == []


def test_an_entry_has_packages_alone_of_systems_that_there_are() -> None:
    for entry in _entries().values():
        for key in entry.options:
            option, _, place = key.partition(".")
            assert option == "packages", key
            if place:
                parse_place(place)


def test_names_are_those_of_the_system_or_of_its_relative() -> None:
    assert packages_for("zlib", parse_system("debian-12")) == ("zlib1g-dev",)
    assert packages_for("zlib", parse_system("ubuntu-24.04")) == ("zlib1g-dev",)
    assert packages_for("zlib", parse_system("rocky-9")) == ("zlib-devel",)
    assert packages_for("make", parse_system("arch")) == ("make",)
    assert packages_for("opensl", parse_system("debian-12")) is None
    assert "zlib" in known_needs()


@pytest.mark.parametrize(
    ("names", "build"),
    [
        ({"README", "configure", "Makefile"}, "autotools"),
        ({"configure.ac", "CMakeLists.txt"}, "autotools"),
        ({"CMakeLists.txt", "Makefile"}, "cmake"),
        ({"meson.build", "Makefile"}, "meson"),
        ({"setup.py", "Makefile"}, "python"),
        ({"Cargo.toml"}, "cargo"),
        ({"GNUmakefile"}, "make"),
        ({"README"}, None),
    ],
)
def test_a_tree_shows_how_it_is_built(names: set[str], build: str | None) -> None:
    assert build_system_of(frozenset(names)) == build
