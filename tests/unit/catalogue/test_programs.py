"""What a line of [devel], [services], [gui] or [network] means on a system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vmgen_build.catalogue.catalogue import Catalogue, known_programs
from vmgen_build.catalogue.entries import Entry
from vmgen_build.catalogue.programs import Port, Program, Unavailable
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

BOOKWORM = parse_system("debian-12-amd64")
TRIXIE = parse_system("debian-13-amd64")


def program(name: str, system: System = BOOKWORM, choice: str | None = None) -> Program:
    found = known_programs().resolve(name, choice, system)
    assert isinstance(found, Program), found
    return found


def unavailable(name: str, system: System = BOOKWORM, choice: str | None = None) -> Unavailable:
    found = known_programs().resolve(name, choice, system)
    assert isinstance(found, Unavailable), found
    return found


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("firefox", "firefox"),
        ("mozilla-firefox", "firefox"),
        ("Firefox", "firefox"),
        ("iceweasel", "firefox"),
        ("firefox-esr", "firefox"),
        ("mozilla-thunderbird", "thunderbird"),
        ("icedove", "thunderbird"),
        ("jdk", "openjdk"),
        ("http", "httpd"),
        ("apache2", "httpd"),
        ("ssh", "sshd"),
        ("openssh-server", "sshd"),
        ("mail-server", "mail_server"),
        ("mailserver", "mail_server"),
        ("build-essential", "build-utils"),
        ("build_utils", "build-utils"),
        ("nc", "netcat"),
        ("netcat-openbsd", "netcat"),
        ("subversion", "svn"),
        ("hg", "mercurial"),
        ("squid proxy", "squid"),
        ("chromium", "chrome"),
        ("linux-headers-amd64", "kernel-devel"),
        ("default-jdk", "openjdk"),
        ("tomcat11", "tomcat"),
    ],
)
def test_names_that_people_type(typed: str, name: str) -> None:
    assert program(typed).name == name


def test_a_package_of_several_programs_means_none_of_them() -> None:
    assert "libvirt-daemon-system" in program("kvm").packages
    assert "libvirt-daemon-system" in program("libvirt").packages
    assert unavailable("libvirt-daemon-system").reason == "no program is called 'libvirt-daemon-system'"


@pytest.mark.parametrize(
    ("name", "system", "packages"),
    [
        ("7zip", "debian-11-amd64", ("p7zip-full",)),
        ("7zip", "debian-12-amd64", ("7zip",)),
        ("kernel-devel", "debian-12-arm64", ("linux-headers-arm64",)),
        ("kernel-devel", "debian-12-i386", ("linux-headers-686",)),
        ("tomcat", "debian-sid-amd64", ("tomcat11",)),
        ("httpd", "ubuntu-24.04-amd64", ("apache2",)),
        ("firefox", "ubuntu-24.04-amd64", ("firefox-esr",)),
        ("firefox", "ubuntu-20.04-amd64", ("firefox",)),
        ("httpd", "fedora-42-amd64", ("httpd",)),
        ("httpd", "rocky-9-amd64", ("httpd",)),
        ("build-utils", "fedora-42-amd64", ("@development-tools", "@c-development")),
        ("build-utils", "fedora-14-i386", ("@development-tools",)),
        ("build-utils", "rocky-9.4-amd64", ("@development",)),
        ("tomcat", "ubuntu-22.04-amd64", ("tomcat9",)),
        ("tomcat", "ubuntu-24.04-amd64", ("tomcat10",)),
        ("docker", "ubuntu-26.04-amd64", ("docker.io", "docker-cli")),
        ("redis", "fedora-40-amd64", ("redis",)),
        ("redis", "fedora-42-amd64", ("valkey",)),
        ("redis", "almalinux-9-amd64", ("redis",)),
        ("redis", "almalinux-10-amd64", ("valkey",)),
        ("mysql", "centos-7-amd64", ("mariadb-server",)),
        ("mysql", "fedora-14-i386", ("mysql-server",)),
        ("openjdk", "fedora-14-i386", ("java-1.6.0-openjdk-devel",)),
        ("build-utils", "opensuse-15.6-amd64", ("pattern:devel_basis",)),
        ("firefox", "arch-amd64", ("firefox",)),
        ("eclipse", "win10", ("eclipse",)),
    ],
)
def test_the_most_specific_packages_count(name: str, system: str, packages: tuple[str, ...]) -> None:
    assert program(name, parse_system(system)).packages == packages


def test_a_service_brings_its_unit_ports_and_answers() -> None:
    sshd = program("sshd")
    assert (sshd.units, sshd.ports, sshd.runs) == (("ssh.service",), (Port(22, "tcp"),), True)
    assert program("dns_server").ports == (Port(53, "tcp"), Port(53, "udp"))
    assert program("mail_server").debconf[0] == "postfix postfix/main_mailer_type select Internet Site"
    assert program("wireshark").debconf == ("wireshark-common wireshark-common/install-setuid boolean false",)
    assert program("tomcat", TRIXIE).units == ("tomcat10.service",)
    assert program("tomcat", parse_system("debian-sid")).units == ("tomcat11.service",)


def test_services_that_do_not_come_up_say_why() -> None:
    assert program("dhcp_server").idle.startswith("it starts when /etc/dhcp/dhcpd.conf")
    assert program("ntp").machine == "a container may not set the clock"
    assert not program("dhcp_server").runs and not program("ntp").runs
    assert program("ntp").conflicts == ("chrony",)


def test_a_known_program_that_the_system_lacks() -> None:
    assert unavailable("gns3").reason == (
        "debian-12 has no 'gns3': it is not packaged; take it from PyPI by a [config] script"
    )
    assert unavailable("kernel-devel", parse_system("debian-13-i386")).reason.startswith("debian-13 has no")
    assert unavailable("valgrind", parse_system("win10")).reason == "win10 has no 'valgrind'"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("firefx", ("firefox",)),
        ("wiresark", ("wireshark",)),
        ("pyhton", ("python",)),
        ("subverson", ("svn",)),
        ("zzzzzz", ()),
        ("x" * 10_000, ()),
    ],
)
def test_an_unknown_name_has_near_ones(name: str, near: tuple[str, ...]) -> None:
    found = unavailable(name)
    assert found.reason == f"no program is called '{name}'"
    assert found.near[: len(near) or None] == near


def test_a_value_names_the_choice() -> None:
    assert program("mail_client").name == "mail_client"
    assert program("mail_client").packages == ("evolution",)
    assert program("mail_client", choice="mozilla-thunderbird").packages == ("thunderbird",)
    assert program("mail_client", choice="evolution").packages == ("evolution",)
    assert program("httpd", choice="nginx").units == ("nginx.service",)
    assert program("httpd", choice="apache2").name == "httpd"
    assert program("mail_server", choice="postfix").name == "mail_server"
    assert ("mozilla-thunderbird", "thunderbird") in program("mail_client").choices


def test_a_program_that_only_stands_for_others_takes_the_first_that_there_is() -> None:
    assert program("editor").name == "vim"
    assert program("web_browser", choice="google-chrome").packages == ("chromium",)
    assert program("desktop").name == "xfce"
    assert unavailable("desktop", parse_system("win10")).name == "xfce"


def test_a_value_that_is_no_choice() -> None:
    assert unavailable("mail_client", choice="mutt").reason == (
        "'mutt' is no choice for 'mail_client', which takes 1, 0, thunderbird or claws-mail"
    )
    assert unavailable("mail_client", choice="thunderbrid").near == ("thunderbird",)
    assert unavailable("vim", choice="7").reason == "'7' is no choice for 'vim', which takes 1 or 0"
    assert unavailable("mail_client", choice="firefox").near == ()


def test_a_choice_that_the_system_lacks() -> None:
    assert unavailable("dhcp_server", parse_system("debian-11"), "kea").reason == (
        "debian-11 has no 'kea': it comes with Debian 12; dhcp_server is there"
    )


def test_the_entry_changes_with_what_the_step_does_alone() -> None:
    bookworm, trixie = program("httpd"), program("httpd", TRIXIE)
    assert bookworm.entry() == trixie.entry()
    assert program("tomcat").entry() != program("tomcat", parse_system("debian-sid")).entry()


def test_all_programs_are_what_resolves() -> None:
    listed = {p.name for p in known_programs().all_programs(BOOKWORM)}
    assert {"vim", "editor", "sshd", "gnome"} <= listed
    assert not listed & {"gns3", "jenkins"} and {"eclipse", "snort", "libdaq"} <= listed
    assert "eclipse" in {p.name for p in known_programs().all_programs(parse_system("win10"))}


def test_known_names_hold_every_spelling() -> None:
    assert {"firefox", "mozilla-firefox", "mail_server", "mail-server", "firefox-esr"} <= known_programs().known_names()
    for name in known_programs().known_names():
        found = known_programs().resolve(name, None, BOOKWORM)
        assert isinstance(found, Program) or found.reason.startswith("debian-12 has no "), name


@pytest.mark.parametrize(
    ("name", "system", "packages"),
    [
        ("vim-enhanced", "fedora-42-amd64", ("vim-enhanced",)),
        ("MozillaFirefox", "opensuse-15.6-amd64", ("MozillaFirefox",)),
        ("gcc-c++", "rocky-9-amd64", ("gcc", "gcc-c++")),
        ("postgresql-server", "debian-12-amd64", ("postgresql",)),
    ],
)
def test_a_package_of_any_system_means_its_program(name: str, system: str, packages: tuple[str, ...]) -> None:
    assert name in known_programs().known_names()
    assert program(name, parse_system(system)).packages == packages


def test_a_package_of_several_programs_means_none() -> None:
    assert unavailable("qemu-system-x86").reason == "no program is called 'qemu-system-x86'"


def test_a_service_of_each_family_has_its_own_units() -> None:
    def units(name: str, system: str) -> tuple[str, ...]:
        return program(name, parse_system(system)).units

    systems = ("debian-12", "fedora-42", "rocky-9", "opensuse-15.6", "arch")
    assert [units("sshd", system) for system in systems] == [("ssh.service",), *[("sshd.service",)] * 4]
    assert [units("httpd", system)[0] for system in systems] == [
        *("apache2.service", "httpd.service", "httpd.service", "apache2.service", "httpd.service"),
    ]
    assert units("libvirt", "rocky-8") == ("libvirtd.service",) != units("libvirt", "rocky-9")
    assert units("openvpn", "fedora-42") == () and units("openvpn", "debian-12") == ("openvpn.service",)


def test_a_repository_of_a_vendor_and_one_that_is_shared() -> None:
    chrome = program("chrome", choice="google-chrome-stable").repository
    assert chrome is not None
    assert (chrome.name, chrome.suite, chrome.components) == ("google-chrome-stable", "stable", ("main",))
    assert (chrome.key[:8], len(chrome.fingerprint)) == ("https://", 40)
    screen, epel = (program(name, parse_system("rocky-9.4")).repository for name in ("screen", "epel"))
    assert screen == epel and epel is not None and epel.name == "epel" and "/9/" in epel.url
    assert program("screen", parse_system("centos-7")).repository is None
    assert program("screen", parse_system("fedora-42")).repository is None
    assert program("docker-ce", parse_system("ubuntu-24.04")).repository != program("docker-ce").repository


def test_a_repository_is_part_of_the_entry_and_changes_no_other() -> None:
    chrome = program("google-chrome-stable")
    assert chrome.entry() != replace(chrome, repository=None).entry()
    assert program("vim").entry() == repr(("vim", ("vim",), (), (), ()))


def test_what_was_checked_of_a_relative_is_not_checked() -> None:
    entry = Entry("x", "devel", {"checked.debian": "2026-11", "checked.fedora": "unchecked", "packages": "x"})
    assert entry.checked(BOOKWORM) == "2026-11"
    assert entry.checked(parse_system("ubuntu-24.04")) == entry.checked(parse_system("fedora-42")) == ""


def test_holes_say_what_is_missing_and_what_to_do() -> None:
    entries = [
        Entry("none", "devel", {"packages.debian": "a", "missing.fedora": "build it"}),
        Entry("lost", "devel", {"packages.debian": "b"}),
        Entry("daemon", "services", {"packages": "c", "units.debian": "c.service", "commands": "c"}),
        Entry(
            "whole", "services", {"packages": "d", "units.debian": "d.service", "units.fedora": "-", "commands": "-"}
        ),
        Entry("either", "gui", {"choices": "none whole"}),
    ]
    catalogue = Catalogue({}, {}, {}).with_entries(entries)
    found = {(hole.name, hole.lacks): hole.advice for hole in catalogue.holes(parse_system("fedora-42"))}
    assert list(found) == [("lost", "packages"), ("none", "packages"), ("daemon", "units")]
    assert found["none", "packages"] == "build it"
    lacking = [(hole.name, hole.lacks) for hole in catalogue.holes(BOOKWORM)]
    assert lacking == [("lost", "commands"), ("none", "commands")]
