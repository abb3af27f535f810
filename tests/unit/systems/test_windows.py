"""Editions of Windows against libosinfo's database, and the names that recipes write."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from pyVmomi import vim

from vmgen_build.systems.parse import parse_system
from vmgen_build.systems.windows import DRIVER_FOLDERS, FAMILY

DATABASE = Path("/usr/share/osinfo/os/microsoft.com")

FILES = {
    "xp": "win-xp",
    "vista": "win-vista",
    "7": "win-7",
    "8": "win-8",
    "8.1": "win-8.1",
    "10": "win-10",
    "11": "win-11",
    "2003": "win-2k3",
    "2008": "win-2k8",
    "2008r2": "win-2k8r2",
    "2012": "win-2k12",
    "2012r2": "win-2k12r2",
    "2016": "win-2k16",
    "2019": "win-2k19",
    "2022": "win-2k22",
}
"""Version -> the database's file. It may not have the newest yet."""

ARCHES = {"i386": ("i686", "all"), "amd64": ("x86_64", "all")}

EVERY = [(edition, arch) for edition in FAMILY.editions for arch in edition.needs]


@pytest.mark.parametrize(("edition", "arch"), EVERY, ids=lambda one: getattr(one, "name", one))
def test_the_least_is_that_of_libosinfo(edition, arch) -> None:  # type: ignore[no-untyped-def]
    file = DATABASE / f"{FILES.get(edition.version, 'none')}.xml"
    if not file.exists():
        pytest.skip("libosinfo's database does not have it")
    found = [
        (int(least.findtext("ram", "0")), int(least.findtext("storage", "0")))
        for resources in ElementTree.parse(file).iter("resources")
        if resources.get("arch") in ARCHES[arch]
        for least in resources.findall("minimum")
    ]
    assert found == [(edition.needs[arch].ram, edition.needs[arch].disk)]


@pytest.mark.parametrize("version", sorted({edition.version for edition in FAMILY.editions if edition.nt >= (6, 0)}))
def test_folders_of_drivers_are_those_of_libosinfo(version: str) -> None:
    """It names those of clients up to 10, as .../virtio-win/VERSION/w10/amd64."""
    assert DRIVER_FOLDERS[version]
    folder = DATABASE / f"{FILES.get(version, 'none')}.d"
    if not folder.exists():
        pytest.skip("libosinfo's database does not have it")
    drivers = [driver for file in folder.glob("*.xml") for driver in ElementTree.parse(file).iter("driver")]
    places = [driver.get("location", "") for driver in drivers]
    found = {place.split("/")[-2] for place in places if "/virtio-win/" in place}
    assert found == {DRIVER_FOLDERS[version]}


@pytest.mark.parametrize(("edition", "arch"), EVERY, ids=lambda one: getattr(one, "name", one))
def test_guest_ids_are_those_of_the_api(edition, arch) -> None:  # type: ignore[no-untyped-def]
    needs = edition.needs[arch]
    known = set(vim.vm.GuestOsDescriptor.GuestOsIdentifier.values)
    assert {name for _, name in needs.guest_ids} <= known
    versions = [since for since, _ in needs.guest_ids]
    assert versions == sorted(versions, reverse=True)
    assert all(("64" in name) == (arch == "amd64") for _, name in needs.guest_ids)


@pytest.mark.parametrize(
    ("text", "name", "title", "generation"),
    [
        ("winxppro", "winxppro", "Windows XP Professional", "xp"),
        ("winxp-home", "winxp-home", "Windows XP Home Edition", "xp"),
        ("win7-ultimate-x86", "win7-ultimate", "Windows 7 Ultimate", "nt6"),
        ("Win8.1-amd64", "win8.1", "Windows 8.1", "nt6"),
        ("win10-pro-amd64", "win10-pro", "Windows 10 Pro", "nt10"),
        ("winsrv2022-datacenter", "winsrv2022-datacenter", "Windows Server 2022 Datacenter", "nt10"),
    ],
)
def test_names(text: str, name: str, title: str, generation: str) -> None:
    system = parse_system(text)
    assert (system.name, system.title, system.generation) == (name, title, generation)
    assert parse_system(f"{system.name}-{system.arch}") == system


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("win11-i386", "there is no Windows 11 for i386; write win11-amd64"),
        ("win10-arm64", "there is no Windows 10 for arm64"),
        ("win10-basic", "'basic' in 'win10-basic' is no Windows 10; write win10, with -home or -pro"),
        ("winxppro-home", "is no Windows XP Professional"),
    ],
)
def test_what_there_is_none_of(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_system(text)
