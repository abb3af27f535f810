"""The data files: every entry is whole and means one thing."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict

import pytest

from vmgen_build.catalogue.catalogue import _OWN, known_programs, normal, read
from vmgen_build.catalogue.entries import Entry
from vmgen_build.catalogue.options import CATEGORIES, wrong_option, wrong_value
from vmgen_build.catalogue.programs import Program
from vmgen_build.systems.parse import parse_system

DEBIANS = [f"debian-{v}-{a}" for v in ("11", "12", "13", "sid") for a in ("amd64", "i386", "arm64")]

ENTRIES = [entry for category in CATEGORIES for entry in read(_OWN, category)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_an_entry_is_whole(entry: Entry) -> None:
    for key, value in entry.options.items():
        assert (wrong_option(key) or wrong_value(key, value)) == "", key
    names = {e.name for e in ENTRIES}
    assert set(entry.words("choices")) <= names
    named = [value for key, value in entry.options.items() if key.partition(".")[0] in ("conflicts", "needs")]
    assert {word for value in named for word in value.split()} <= names
    assert (
        any(key.startswith("packages") for key in entry.options)
        or entry.words("choices")
        or "missing" in str(entry.options)
    )


def test_a_word_means_one_program() -> None:
    owners = defaultdict(set)
    for entry in ENTRIES:
        for word in (entry.name, *entry.words("aliases")):
            owners[normal(word)].add(entry.name)
    assert {word: names for word, names in owners.items() if len(names) > 1} == {}


def test_no_alias_is_a_package_of_another_program() -> None:
    for entry in ENTRIES:
        for package in entry.all_packages():
            found = known_programs().find(package)
            assert found is None or package in found.all_packages() or package in found.words("aliases"), package


@pytest.mark.parametrize("name", DEBIANS)
def test_debian_entries_fit_their_formats(name: str) -> None:
    for program in known_programs().all_programs(parse_system(name)):
        for package in program.packages:
            assert re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package), program
        for unit in program.units:
            assert re.fullmatch(r"[a-z0-9@-]+\.(service|socket|target)", unit), program
        for line in program.debconf:
            owner, question, kind, *_ = line.split(" ")
            assert "/" in question and kind in ("select", "string", "boolean", "note"), line
            assert owner
        for command in program.commands:
            assert re.fullmatch(r"[A-Za-z0-9._+-]+", command), program
        assert program.units or not program.idle, program


@pytest.mark.parametrize(
    "names",
    [
        "vim emacs python php tcl valgrind build-utils kernel-devel mpich2 openmp openjdk git svn mercurial",
        "http mail dns nfs ntp squid bittorrent httpd sshd dns_server mail_server ftp_server",
        "firefox mozilla-firefox chrome mozilla-thunderbird mail_client pidgin wireshark",
        "nmap traceroute netcat tcpdump",
    ],
)
def test_the_programs_of_the_thesis_are_there(names: str) -> None:
    for name in names.split():
        assert isinstance(known_programs().resolve(name, None, parse_system("debian-12")), Program), name


LINUX = ("debian-12", "ubuntu-24.04", "fedora-42", "rocky-8", "rocky-9", "rocky-10", "opensuse-15.6", "arch")
FAMILIES = ("fedora-42", "opensuse-15.6", "opensuse-tumbleweed", "arch")


@pytest.mark.parametrize("name", [*LINUX, "debian-13", "opensuse-tumbleweed", "fedora-14", "centos-7", "ubuntu-20.04"])
def test_every_system_has_whole_entries(name: str) -> None:
    system = parse_system(f"{name}-amd64" if name != "fedora-14" else "fedora-14-i386")
    known = system.family.package_names
    assert known is not None
    for program in known_programs().all_programs(system):
        for package in program.packages:
            assert re.fullmatch(known.pattern, package), program
        assert program.units or not (program.idle or program.machine), program
        if source := program.repository:
            assert source.key.startswith("https://") and re.fullmatch("[0-9A-F]{40}", source.fingerprint), program
            assert source.suite or system.codename or system.installer != "apt", program


@pytest.mark.parametrize("name", FAMILIES)
def test_every_program_is_there_or_says_what_to_do(name: str) -> None:
    system = parse_system(f"{name}-amd64")
    lacking = [h for h in known_programs().holes(system) if h.lacks == "packages"]
    assert [hole.name for hole in lacking if hole.advice.startswith("no package")] == []
    assert len(known_programs().all_programs(system)) > 120


@pytest.mark.parametrize("name", FAMILIES)
def test_every_service_has_its_units(name: str) -> None:
    holes = list(known_programs().holes(parse_system(f"{name}-amd64")))
    assert [hole.name for hole in holes if hole.lacks == "units"] == []
    assert {hole.name for hole in holes if hole.lacks == "commands"} <= {"kerberos", "scapy", "iptables-persistent"}


@pytest.mark.parametrize("name", LINUX)
def test_setup_lines_are_right_sh(name: str) -> None:
    every = known_programs().all_programs(parse_system(f"{name}-amd64"))
    script = "\n".join(["#!/bin/sh", "set -eu", *(line for program in every for line in program.setup), ""])
    assert shellcheck(script) == ""


def shellcheck(script: str) -> str:
    return subprocess.run(
        ["shellcheck", "-s", "dash", "-"], input=script, text=True, capture_output=True, check=False
    ).stdout
