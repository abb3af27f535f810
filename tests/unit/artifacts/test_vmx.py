"""The VMX file of a machine, read as VMware's own dictionaries are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.artifacts.fullmachine import FULL
from vmgen_build.artifacts.vmx import guest_os, line, vmx
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Machine

Make = Callable[[str], Machine]

BARE = """\
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "13"
displayName = "lab"
annotation = "lab: Debian 12 (amd64), made by vmgen-build"
guestOS = "debian10-64"
firmware = "bios"
nvram = "lab.nvram"
numvcpus = "1"
memsize = "1024"
floppy0.present = "FALSE"
vmci0.present = "TRUE"
uuid.action = "create"
BRIDGES
scsi0.present = "TRUE"
scsi0.virtualDev = "lsilogic"
scsi0:0.present = "TRUE"
scsi0:0.deviceType = "scsi-hardDisk"
scsi0:0.fileName = "lab-hdd0.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "e1000"
ethernet0.connectionType = "nat"
ethernet0.addressType = "static"
ethernet0.address = "00:16:3e:12:34:56"
ethernet0.checkMACAddress = "FALSE"
ethernet0.startConnected = "TRUE"
"""


def read(text: str) -> dict[str, str]:
    """As VMware reads it (open-vm-tools, lib/dict/dictll.c): a line each, quoted, | and two hex digits for a byte."""
    found = {}
    for one in text.splitlines():
        match = re.fullmatch(r'([^ \t="#]+) = "([^"]*)"', one)
        assert match is not None, one
        assert match[1] not in found
        value = re.sub(r"\|([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), match[2])
        found[match[1]] = value
    return found


def under(keys: dict[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in keys.items() if name.startswith(prefix)}


def test_a_bare_machine(machine: Make) -> None:
    text = vmx(machine("[[eths]]\n[[[eth0]]]\nhw_addr = 00:16:3e:12:34:56\n"))
    bridges = [one for one in text.splitlines(keepends=True) if one.startswith("pciBridge")]
    assert text.replace("".join(bridges), "BRIDGES\n") == BARE
    assert under(read("".join(bridges)), "pciBridge5.") == {
        "present": "TRUE",
        "virtualDev": "pcieRootPort",
        "functions": "8",
    }
    assert len(bridges) == 13


def test_the_head(machine: Make) -> None:
    keys = read(vmx(machine(FULL)))
    expected = {
        "virtualHW.version": "20",
        "guestOS": "debian12-64",
        "firmware": "efi",
        "uefi.secureBoot.enabled": "FALSE",
        "numvcpus": "4",
        "memsize": "1024",
    }
    assert {name: keys[name] for name in expected} == expected


def test_every_disk_and_drive_has_its_place(machine: Make) -> None:
    keys = read(vmx(machine(FULL)))
    files = {name: value for name, value in keys.items() if name.endswith(".fileName")}
    assert files == {
        "scsi0:0.fileName": "lab-system.vmdk",
        "scsi1:3.fileName": "lab-data.vmdk",
        "ide0:0.fileName": "lab-old.vmdk",
        "nvme0:0.fileName": "lab-fast.vmdk",
        "sata0:0.fileName": 'plain "disk" ü.vmdk',
        "ide1:0.fileName": "tools.iso",
        "ide1:1.fileName": "auto detect",
    }
    assert all(keys[name.replace("fileName", "present")] == "TRUE" for name in files)
    assert all(keys[f"{bus}.present"] == "TRUE" for bus in ("scsi0", "scsi1", "sata0", "nvme0"))
    assert (keys["scsi0.virtualDev"], keys["scsi1.virtualDev"]) == ("pvscsi", "lsilogic")
    assert (keys["ide1:0.deviceType"], keys["ide1:0.startConnected"]) == ("cdrom-image", "TRUE")
    assert (keys["ide1:1.deviceType"], keys["ide1:1.startConnected"]) == ("cdrom-raw", "FALSE")
    assert keys["ide0:0.deviceType"] == "ata-hardDisk"


def test_adapters(machine: Make) -> None:
    keys = read(vmx(machine(FULL)))
    nics = [under(keys, f"ethernet{number}.") for number in range(4)]
    assert [(nic["virtualDev"], nic["connectionType"], nic["startConnected"]) for nic in nics] == [
        ("vmxnet3", "nat", "TRUE"),
        ("e1000e", "bridged", "FALSE"),
        ("e1000", "hostonly", "TRUE"),
        ("e1000", "nat", "TRUE"),
    ]
    assert {nic["addressType"] for nic in nics} == {"static"}
    assert "checkMACAddress" not in nics[0], "VMware gives such away for machines whose address is set by hand"
    assert [nic["checkMACAddress"] for nic in nics[1:]] == ["FALSE"] * 3


def test_old_hardware_has_no_express_slots(machine: Make) -> None:
    assert not under(read(vmx(machine("hw_version = 4\n"))), "pciBridge")


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("debian12_64Guest", "debian12-64"),
        ("debian12Guest", "debian12"),
        ("ubuntu64Guest", "ubuntu-64"),
        ("ubuntuGuest", "ubuntu"),
        ("otherLinux64Guest", "otherlinux-64"),
        ("other26xLinux64Guest", "other26xlinux-64"),
    ],
)
def test_systems_have_other_names_there(identifier: str, name: str) -> None:
    assert guest_os(identifier) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_value_comes_back(value: str) -> None:
    text = line("annotation", value)
    assert text.count("\n") == 1 and not re.search("[\x00-\x08\x0a-\x1f\x7f]", text[:-1])
    inner = text.removeprefix('annotation = "').removesuffix('"\n')
    assert '"' not in inner
    assert re.sub(r"\|([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), inner) == value


def test_quotes_and_bars_are_escaped() -> None:
    assert line("a", 'x"|\n\tü#') == 'a = "x|22|7C|0A\tü#"\n'


def test_what_is_no_text_is_refused(machine: Make) -> None:
    bare = machine("")
    odd = replace(bare, drives=(replace(bare.drives[0], file="a\udcff.vmdk"),))
    with pytest.raises(BuildError, match="write the recipe in UTF-8"):
        vmx(odd)
