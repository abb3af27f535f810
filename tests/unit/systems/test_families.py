"""What families say: their own tables, and distributions that come from outside the package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from vmgen_build import plugins
from vmgen_build.catalogue.programs import Program, resolve
from vmgen_build.errors import VmgenError
from vmgen_build.installers import GuestFile, Installer, Source, installer_for
from vmgen_build.systems import Archive, Distribution, Family, System, debian, families
from vmgen_build.systems.model import WRITERS
from vmgen_build.systems.parse import known_systems, parse_system

MADE_UP = Distribution(
    name="lernstick",
    installer="apt",
    words=("lern",),
    fillers=("exam",),
    known={"3": "spring"},
    rolling="3",
    bases={"3": "mmdebstrap"},
    relative="debian",
    relative_versions={"3": "sid"},
    archives={
        "": (Archive(name="lernstick", uri="https://deb.example.org/lernstick", suites=("{codename}", "extra")),)
    },
)


@contextmanager
def registered(kind: str, name: str, thing: object) -> Iterator[None]:
    plugins.register(f"vmgen_build.{kind}", name, thing)
    try:
        yield
    finally:
        plugins.unregister(f"vmgen_build.{kind}", name)


@pytest.fixture
def made_up() -> Iterator[Family]:
    family = replace(debian.FAMILY, name="lernstick", rank=11, distributions=(MADE_UP,))
    with registered("families", "lernstick", family):
        yield family


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_a_family_is_whole(family: Family) -> None:
    assert set(family.writers) <= set(WRITERS)
    assert family.admin_group in family.groups
    assert family.templates and family.step_folder
    assert family.distributions or family.editions
    for row in family.distributions:
        assert re.fullmatch(r"[a-z]+", row.name)
        assert parse_system(row.example).family is family
        assert set(row.bases) <= set(row.known)
    if family.package_names:
        assert re.fullmatch(family.package_names.pattern, "vim")


def test_ranks_and_distributions_are_not_shared() -> None:
    rows = [row.name for family in families() for row in family.distributions]
    assert len(set(rows)) == len(rows)
    assert [family.name for family in families()] == ["debian", "redhat", "suse", "arch", "windows"]


@pytest.mark.parametrize(
    ("name", "archives"),
    [
        (
            "debian-12",
            [
                ("http://deb.debian.org/debian", ("bookworm", "bookworm-updates")),
                ("http://deb.debian.org/debian-security", ("bookworm-security",)),
            ],
        ),
        ("debian-sid", [("http://deb.debian.org/debian", ("sid",))]),
        ("fedora-42", []),
        ("win11", []),
    ],
)
def test_a_system_knows_its_archives(name: str, archives: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(archive.uri, archive.suites) for archive in parse_system(name).archives] == archives


def test_a_distribution_of_others_is_known_while_it_is_there(made_up: Family) -> None:
    assert "lernstick-3" in known_systems()
    for text in ("lernstick-3-i386", "lern-spring-i386", "lernstick-exam-3-i386", "lernstick-i386", "lern3-i386"):
        system = parse_system(text)
        assert (system.name, system.codename, system.arch) == ("lernstick-3", "spring", "i386")
        assert (system.family, system.base, system.installer) == (made_up, "mmdebstrap", "apt")
    plugins.unregister("vmgen_build.families", "lernstick")
    with pytest.raises(ValueError, match="not a known system"):
        parse_system("lernstick-3")


def test_its_programs_are_those_of_the_version_that_it_is_made_from(made_up: Family) -> None:
    def packages(program: str, system: str) -> tuple[str, ...]:
        found = resolve(program, None, parse_system(system))
        assert isinstance(found, Program)
        return found.packages

    assert packages("tomcat", "lernstick-3") == packages("tomcat", "debian-sid") == ("tomcat11",)
    assert packages("tomcat", "debian-12") == ("tomcat10",)
    assert packages("kernel-devel", "lernstick-3-arm64") == packages("kernel-devel", "debian-sid-arm64")


def test_its_canonical_sources_are_its_own(made_up: Family) -> None:
    system = parse_system("lernstick-3")
    path, text = installer_for(system).canonical_sources(system)
    assert path == "/etc/apt/sources.list.d/lernstick.sources"
    assert text == ("Types: deb\nURIs: https://deb.example.org/lernstick\nSuites: spring extra\nComponents: main\n")


class Portage(Installer):
    """An installer of others."""

    def install(self, packages: Sequence[str], recommends: bool = False) -> list[str]:
        return ["emerge", *packages]

    def is_installed(self, packages: Sequence[str]) -> str:
        return "true\n"

    def list_installed(self) -> str:
        return "qlist -Iv"

    def repository(self, source: Source, system: System) -> tuple[GuestFile, ...]:
        return ()

    def canonical_sources(self, system: System) -> tuple[str, str]:
        return "/etc/portage/repos.conf", ""


def test_an_installer_of_others_is_found_by_its_name() -> None:
    installer = Portage()
    row = Distribution(name="gentoo", installer="portage", rolling="rolling", known={"rolling": ""})
    with registered("families", "gentoo", Family(name="gentoo", rank=50, distributions=(row,))):
        with pytest.raises(VmgenError, match="gentoo-rolling installs its packages with portage"):
            installer_for(parse_system("gentoo"))
        with registered("installers", "portage", installer):
            assert installer_for(parse_system("gentoo")) is installer
