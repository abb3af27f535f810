"""What families say: their own tables, and distributions that come from outside the package."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from vmgen_build import plugins
from vmgen_build.catalogue.catalogue import known_programs
from vmgen_build.catalogue.programs import Program
from vmgen_build.errors import VmgenError
from vmgen_build.installers import Installer, Manner, Placement, Source, installer_for
from vmgen_build.installers.base import PLAIN
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


UBUNTUS = (
    ("20.04", "focal", "http://archive.ubuntu.com/ubuntu"),
    ("22.04", "jammy", "http://archive.ubuntu.com/ubuntu"),
    ("25.04", "plucky", "http://old-releases.ubuntu.com/ubuntu"),
    ("26.04", "resolute", "http://archive.ubuntu.com/ubuntu"),
    ("26.04-arm64", "resolute", "http://ports.ubuntu.com/ubuntu-ports"),
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
        *(
            (f"ubuntu-{version}", [(uri, (name, f"{name}-updates", f"{name}-security"))])
            for version, name, uri in UBUNTUS
        ),
        (
            "fedora-42-arm64",
            [
                (
                    "https://dl.fedoraproject.org/pub/fedora/linux",
                    ("releases/42/Everything/aarch64/os", "updates/42/Everything/aarch64"),
                )
            ],
        ),
        ("fedora-14", []),
        (
            "rocky-9.4-amd64",
            [("https://dl.rockylinux.org/pub/rocky", ("9.4/BaseOS/x86_64/os", "9.4/AppStream/x86_64/os"))],
        ),
        ("win11", []),
    ],
)
def test_a_system_knows_its_archives(name: str, archives: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(archive.uri, archive.suites) for archive in parse_system(name).archives] == archives


@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        ("debian-11", "isc-dhcp-client", "usr-is-merged"),
        ("debian-12", "usr-is-merged", "dhcpcd-base"),
        ("debian-13", "isc-dhcp-client", "dhcpcd-base"),
        ("debian-sid", "dhcpcd-base", "isc-dhcp-client"),
        ("ubuntu-22.04", "isc-dhcp-client", "usr-is-merged"),
        ("ubuntu-24.04", "dhcpcd-base", "isc-dhcp-client"),
    ],
)
def test_a_version_has_base_packages_of_its_own(name: str, there: str, missing: str) -> None:
    packages = parse_system(name).base_packages
    assert there in packages and missing not in packages and "" not in packages
    assert {"systemd-sysv", "ifupdown", "ca-certificates"} <= set(packages)


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_what_was_tried_is_of_versions_and_architectures_that_there_are(family: Family) -> None:
    for row in family.distributions:
        for one in row.tried:
            assert one.how in ("real", "emulated", "look-alike", "rendered")
            for system in (parse_system(f"{row.name}-{v}-{a}") for v in one.versions for a in one.arches):
                assert system.version in one.versions and system.arch in one.arches and not system.unbuilt
            assert re.fullmatch(r"20\d\d-\d\d", one.when)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("ubuntu-24.04-i386", True),
        ("ubuntu-18.04-i386", False),
        ("ubuntu-24.04-arm64", False),
        ("arch-i386", True),
        ("arch-amd64", False),
        ("debian-13-i386", False),
    ],
)
def test_some_archives_have_no_whole_system_of_an_architecture(name: str, refused: bool) -> None:
    system = parse_system(name)
    assert bool(system.unbuilt) is refused
    assert not (refused and system.base)


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
        found = known_programs().resolve(program, None, parse_system(system))
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

    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        return f"emerge {shlex.join(packages)}\n"

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        raise ValueError("packages are sources")

    def remove(self, packages: Sequence[str]) -> str:
        return f"emerge -C {shlex.join(packages)}\n"

    def hold(self, packages: Sequence[str]) -> str:
        return "true\n"

    def on_hold(self, packages: Sequence[str]) -> str:
        return "true\n"

    def remove_unneeded(self) -> str:
        return "emerge --depclean\n"

    def owners(self) -> str:
        return "qfile\n"

    def is_installed(self, packages: Sequence[str]) -> str:
        return "true\n"

    def list_installed(self) -> str:
        return "qlist -Iv"

    def repository(self, source: Source, system: System) -> Placement:
        return Placement(())

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
