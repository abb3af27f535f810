"""The data files: every entry is whole and means one thing."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from vmgen_build.catalogue import programs
from vmgen_build.catalogue.programs import CATEGORIES, Program, resolve
from vmgen_build.systems.parse import parse_system

OPTIONS = {
    "aliases",
    "choices",
    "packages",
    "units",
    "ports",
    "commands",
    "debconf",
    "setup",
    "idle",
    "machine",
    "conflicts",
    "missing",
    "notes",
}
PLACE = re.compile(
    r"windows|(debian|ubuntu|fedora|centos|rhel|rocky|almalinux|scientific|opensuse|arch)(-(\d[\d.]*|sid))?"
    r"(-(amd64|i386|arm64))?"
)
DEBIANS = [f"debian-{v}-{a}" for v in ("11", "12", "13", "sid") for a in ("amd64", "i386", "arm64")]

ENTRIES = [entry for category in CATEGORIES for entry in programs._read(programs._OWN, category)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_an_entry_is_whole(entry: programs._Entry) -> None:
    for key in entry.options:
        option, _, place = key.partition(".")
        assert option in OPTIONS, key
        assert not place or PLACE.fullmatch(place), key
    names = {e.name for e in ENTRIES}
    assert set(entry.words("choices")) <= names
    assert set(entry.words("conflicts", parse_system("debian-12"))) <= names
    for word in entry.words("ports"):
        assert re.fullmatch(r"[1-9]\d{0,4}/(tcp|udp)", word) and int(word.split("/")[0]) < 65536
    assert (
        any(key.startswith("packages") for key in entry.options)
        or entry.words("choices")
        or "missing" in str(entry.options)
    )


def test_a_word_means_one_program() -> None:
    owners = defaultdict(set)
    for entry in ENTRIES:
        for word in (entry.name, *entry.words("aliases")):
            owners[programs._normal(word)].add(entry.name)
    assert {word: names for word, names in owners.items() if len(names) > 1} == {}


def test_no_alias_is_a_package_of_another_program() -> None:
    for entry in ENTRIES:
        for package in entry.all_packages():
            found = programs._catalogue().find(package)
            assert found is None or package in found.all_packages() or package in found.words("aliases"), package


@pytest.mark.parametrize("name", DEBIANS)
def test_debian_entries_fit_their_formats(name: str) -> None:
    for program in programs.all_programs(parse_system(name)):
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
        assert isinstance(resolve(name, None, parse_system("debian-12")), Program), name
