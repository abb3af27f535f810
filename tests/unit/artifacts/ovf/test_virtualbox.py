"""The machine in VirtualBox's own words, behind all that VMware reads; tests/consumers gives it to the real one."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.ovf.write import OvfFile, completed, descriptor, draft, file_names, with_empty_disks
from vmgen_build.plan.machine import FirstStart, Machine
from vmgen_build.systems.windows import FAMILY

Make = Callable[[str], Machine]
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
VBOX = "{http://www.virtualbox.org/ovf/machine}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"

FULL = """num_cpu = 2
ram = 1023
firmware = efi
[[hdds]]
[[[system]]]
size = 1G
pos = 0:3
controller = pvscsi
[[[slow]]]
size = 1G
type = ide
[[[disk]]]
size = 1G
type = sata
[[[fast]]]
size = 1G
type = nvme
[[cds]]
[[[empty]]]
[[[tools]]]
image = tools.iso
[[eths]]
[[[eth0]]]
adapter = vmxnet3
hw_addr = 00:16:3e:12:34:5a
[[[eth1]]]
connected = no
[[[eth2]]]
type = bridged
adapter = pcnet32
[[[eth3]]]
type = hostonly
adapter = e1000e
"""


def files(machine: Machine) -> list[OvfFile]:
    disks = len(machine.drives)
    return [OvfFile(name, 9, 9 if i < disks else None) for i, name in enumerate(file_names(machine))]


def described(machine: Machine, ident: str = "") -> tuple[ET.Element, ET.Element]:
    """The envelope, and VirtualBox's element."""
    text = completed(draft(machine), files(machine), ident)
    assert read_descriptor(text.encode()).findings == ()
    root = ET.fromstring(text)
    (system,) = root.iter(f"{OVF}VirtualSystem")
    return root, system[-1]


def attributes(box: ET.Element, name: str) -> list[dict[str, str]]:
    return [element.attrib for element in box.iter(f"{VBOX}{name}")]


@pytest.fixture
def full(machine: Make, tmp_path: Path) -> Machine:
    (tmp_path / "tools.iso").write_bytes(b"iso")
    return machine(FULL)


def test_it_stands_last_and_is_not_required(full: Machine) -> None:
    _, box = described(full)
    assert box.tag == f"{VBOX}Machine" and box.attrib[f"{OVF}required"] == "false"
    assert box[0].tag == f"{OVF}Info"
    assert {element.tag[: len(VBOX)] for element in box[1:] for element in element.iter()} == {VBOX}
    assert (box.attrib["name"], box.attrib["OSType"]) == ("lab", "Debian_64")


def test_the_prefix_is_the_one_that_virtualbox_looks_for(full: Machine) -> None:
    """It compares prefixes, and not namespaces."""
    text = descriptor(full, files(full))
    assert "<vbox:Machine " in text and " vbox:uuid=" in text


def test_processors_memory_and_firmware_are_the_machines(full: Machine) -> None:
    root, box = described(full)
    amounts = [item.findtext(f"{RASD}VirtualQuantity") for item in root.iter(f"{OVF}Item")][:2]
    assert [attributes(box, "CPU")[0]["count"], attributes(box, "Memory")[0]["RAMSize"]] == amounts == ["2", "1024"]
    assert attributes(box, "Firmware") == [{"type": "EFI"}]
    assert attributes(box, "RTC") == [{"localOrUTC": "UTC"}]
    assert attributes(box, "AudioAdapter") == [{"enabled": "false"}]


def test_adapters_keep_their_addresses_and_networks(full: Machine) -> None:
    _, box = described(full)
    adapters = list(box.iter(f"{VBOX}Adapter"))
    assert [adapter.attrib["slot"] for adapter in adapters] == ["0", "1", "2", "3"]
    assert [adapter.attrib["MACAddress"] for adapter in adapters] == [
        nic.hw_addr.replace(":", "").upper() for nic in full.nics
    ]
    assert adapters[0].attrib["MACAddress"] == "00163E12345A"
    assert [adapter.attrib["type"] for adapter in adapters] == ["82540EM", "82545EM", "Am79C973", "82540EM"]
    assert [adapter.attrib["cable"] for adapter in adapters] == ["true", "false", "true", "true"]
    assert [adapter[0].tag.removeprefix(VBOX) for adapter in adapters] == [
        *("NAT", "NAT", "BridgedInterface", "HostOnlyInterface")
    ]


def test_disks_and_cd_drives_hang_where_the_machine_has_them(full: Machine) -> None:
    root, box = described(full)
    disks = [disk.attrib[f"{VBOX}uuid"] for disk in root.iter(f"{OVF}Disk")]
    found = {}
    for controller in box.iter(f"{VBOX}StorageController"):
        for device in controller:
            image = "".join(one.attrib["uuid"] for one in device).strip("{}")
            place = f"{controller.attrib['type']}:{device.attrib['port']}:{device.attrib['device']}"
            found[place] = disks.index(image) if image else device.attrib["type"]
    assert found == {
        "LsiLogic:3:0": 0,
        "PIIX4:0:0": 1,
        "AHCI:0:0": 2,
        "NVMe:0:0": 3,
        "PIIX4:1:0": "DVD",
        "PIIX4:1:1": "DVD",
    }
    assert [one["PortCount"] for one in attributes(box, "StorageController")] == ["2", "16", "1", "1"]


def test_uuids_are_made_from_the_plans_id(full: Machine) -> None:
    def found(ident: str) -> list[str]:
        root, box = described(full, ident)
        return [box.attrib["uuid"], *(disk.attrib[f"{VBOX}uuid"] for disk in root.iter(f"{OVF}Disk"))]

    assert found("a") == found("a") and len(set(found("a"))) == 5
    assert not set(found("a")) & set(found("b"))


@pytest.mark.parametrize(
    ("os", "wanted"),
    [
        *(("debian-12-i386", "Debian"), ("ubuntu-24.04-amd64", "Ubuntu_64"), ("rocky-9-amd64", "RedHat_64")),
        *(("arch-rolling-amd64", "ArchLinux_64"), ("opensuse-15.6-amd64", "OpenSUSE_64")),
        *(("winxp-i386", "WindowsXP"), ("win7-pro-amd64", "Windows7_64"), ("winsrv2012r2-amd64", "Windows2012_64")),
    ],
)
def test_virtualbox_has_a_name_of_each_system(machine: Make, os: str, wanted: str) -> None:
    name, _, arch = os.rpartition("-")
    _, box = described(replace(machine(""), os=name, arch=arch))
    assert box.attrib["OSType"] == wanted
    windows = wanted.startswith("Windows")
    assert attributes(box, "RTC") == [{"localOrUTC": "local" if windows else "UTC"}]


def test_every_windows_has_a_name_of_its_own(machine: Make) -> None:
    for row in FAMILY.editions:
        _, box = described(replace(machine(""), os=row.name, arch=row.arch))
        assert not box.attrib["OSType"].startswith("WindowsNT"), row.name


def test_more_than_eight_adapters_take_the_larger_chipset(machine: Make) -> None:
    eths = "[[eths]]\n" + "".join(f"[[[eth{n}]]]\n" for n in range(9))
    assert attributes(described(machine(eths))[1], "Chipset") == [{"type": "ICH9"}]
    assert attributes(described(machine(""))[1], "Chipset") == [{"type": "PIIX3"}]


def test_a_machine_with_empty_disks_is_not_for_virtualbox(full: Machine) -> None:
    assert "vbox:Machine" not in with_empty_disks(full, FirstStart())


def test_xmllint_reads_it(full: Machine) -> None:
    words = ["xmllint", "--nonet", "--noout", "--xpath", "string(//*[name()='vbox:Machine']/@name)", "-"]
    text = descriptor(full, files(full))
    assert subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout.strip() == "lab"
