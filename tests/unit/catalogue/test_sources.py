"""Programs of the catalogue that are built from their source: where, of what, and in which order."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from tests.unit.catalogue.test_data import ENTRIES
from vmgen_build.catalogue.catalogue import Catalogue, known_programs
from vmgen_build.catalogue.entries import Entry
from vmgen_build.catalogue.programs import Program, Unavailable
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

BOOKWORM = parse_system("debian-12-amd64")
SYSTEMS = [
    *(f"debian-{version}-{arch}" for version in ("11", "12", "13", "sid") for arch in ("amd64", "i386", "arm64")),
    *(
        "ubuntu-20.04",
        "ubuntu-24.04",
        "fedora-42",
        "rocky-9",
        "centos-7",
        "opensuse-15.6",
        "opensuse-tumbleweed",
        "arch",
    ),
]
SUM = "0" * 64


def found(name: str, system: System, programs: Catalogue | None = None) -> Program | Unavailable:
    return (programs or known_programs()).resolve(name, None, system)


def sourced(system: System) -> list[Program]:
    return [program for program in known_programs().all_programs(system) if program.source is not None]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_source_is_whole_wherever_it_is_used(name: str) -> None:
    system = parse_system(name)
    for program in sourced(system):
        assert program.source is not None
        assert re.fullmatch("[0-9a-f]{64}", program.source.sha256), program
        assert bool(program.source.script) == (program.source.build == "script") and program.source.build, program
        assert [each.source is not None for each in known_programs().built_first(program, system)] == [
            True for _ in program.source.wants
        ]


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_that_is_wanted_is_lacking(name: str) -> None:
    system = parse_system(name)
    holes = [hole for hole in known_programs().holes(system) if "built first" in hole.advice]
    assert holes == []


@pytest.mark.parametrize(
    ("name", "systems"),
    [
        (
            "eclipse",
            "debian-11 debian-12-arm64 debian-sid ubuntu-20.04 ubuntu-26.04-arm64 fedora-42 rocky-8 opensuse-15.6 arch",
        ),
        ("snort", "debian-11 debian-12-i386 debian-13-arm64 debian-sid fedora-42 opensuse-tumbleweed arch"),
        ("dynamips", "debian-11 debian-12 debian-13"),
    ],
)
def test_what_systems_lack_is_built_from_its_source(name: str, systems: str) -> None:
    for system in systems.split():
        program = found(name, parse_system(system))
        assert isinstance(program, Program) and program.source is not None and program.packages == (), system


@pytest.mark.parametrize(
    ("name", "system"),
    [
        *(("eclipse", system) for system in ("debian-12-i386", "debian-10", "ubuntu-16.04", "centos-7", "fedora-14")),
        *(("snort", system) for system in ("rocky-9", "opensuse-15.6", "debian-10", "fedora-14")),
        *(("eclipse", system) for system in ("opensuse-13.2", "opensuse-42.3")),
    ],
)
def test_what_no_source_is_for_is_missing_and_says_what_to_do(name: str, system: str) -> None:
    lacking = found(name, parse_system(system))
    assert isinstance(lacking, Unavailable) and "by [config] [[sources]]" in lacking.reason


def test_a_package_of_the_system_comes_before_a_source() -> None:
    snort = found("snort", parse_system("ubuntu-24.04"))
    assert isinstance(snort, Program) and (snort.packages, snort.source) == (("snort",), None)


def test_an_architecture_has_its_own_archive() -> None:
    sums = []
    for arch, word in (("amd64", "x86_64"), ("arm64", "aarch64")):
        eclipse = found("eclipse", parse_system(f"debian-12-{arch}"))
        assert isinstance(eclipse, Program) and eclipse.source is not None
        assert all(url.endswith(f"-{word}.tar.gz") for url in eclipse.source.urls)
        sums.append(eclipse.source.sha256)
    assert sums[0] != sums[1]


def test_its_packages_have_the_names_of_the_release() -> None:
    packages = {}
    for name in ("debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04", "fedora-42", "arch"):
        eclipse = found("eclipse", parse_system(name))
        assert isinstance(eclipse, Program) and eclipse.source is not None
        packages[name] = eclipse.source.packages[0]
    assert list(packages.values()) == ["libgtk-3-0", "libgtk-3-0t64", "libgtk-3-0", "libgtk-3-0t64", "gtk3", "gtk3"]


def test_scripts_are_right_sh() -> None:
    scripts = [value for entry in ENTRIES for key, value in entry.options.items() if key.startswith("source_script")]
    text = "\n".join(["#!/bin/sh", "set -eu", *scripts, ""])
    checked = subprocess.run(["shellcheck", "-s", "dash", "-"], input=text, text=True, capture_output=True, check=False)
    assert scripts and checked.stdout == ""


def own(**wants: str) -> Catalogue:
    """Programs with a source, each with what it wants."""
    options = {"source": "https://x.org/x.tgz", "source_sha256": SUM, "source_build": "make"}
    entries = [Entry(name, "devel", options | ({"source_wants": text} if text else {})) for name, text in wants.items()]
    return known_programs().with_entries(entries)


def order(name: str, programs: Catalogue) -> list[str]:
    program = found(name, BOOKWORM, programs)
    assert isinstance(program, Program)
    return [each.name for each in programs.built_first(program, BOOKWORM)]


def test_what_a_source_wants_is_built_first_each_once() -> None:
    programs = own(top="left right", left="ground", right="ground left", ground="")
    assert order("top", programs) == ["ground", "left", "right"]
    assert order("ground", programs) == []
    assert order("snort", known_programs()) == ["libdaq"]


@pytest.mark.parametrize(
    ("wants", "reason"),
    [
        ({"top": "top"}, "top is wanted by what it wants built first"),
        ({"top": "left", "left": "right", "right": "left"}, "is wanted by what it wants built first"),
        ({"top": "nothing"}, "top wants 'nothing' built first, which is not built from source there"),
        ({"top": "vim"}, "top wants 'vim' built first, which is not built from source there"),
        ({"top": "left", "left": "gns3"}, "left wants 'gns3' built first, which is not built from source there"),
    ],
)
def test_what_cannot_be_built_first_makes_a_program_lacking(wants: dict[str, str], reason: str) -> None:
    programs = own(**wants)
    lacking = found("top", BOOKWORM, programs)
    assert isinstance(lacking, Unavailable) and reason in lacking.reason
    assert [reason in hole.advice for hole in programs.holes(BOOKWORM) if hole.name == "top"] == [True]


def test_many_that_want_many_are_put_in_order_at_once() -> None:
    """Each wants all those before it: as many paths as 2 to the power of 60."""
    names = [f"p{number}" for number in range(60)]
    programs = own(**{name: " ".join(names[:number]) for number, name in enumerate(names)})
    assert order(names[-1], programs) == names[:-1]


def test_a_script_stands_in_place_of_a_build_system() -> None:
    entry = Entry(
        "x", "devel", {"source": "https://x.org/x.tgz", "source_build": "make", "source_script.debian": "make"}
    )
    here, there = entry.source(BOOKWORM), entry.source(replace(BOOKWORM, distribution="fedora"))
    assert here is not None and there is not None
    assert (here.build, here.script, there.build, there.script) == ("script", "make", "make", "")
