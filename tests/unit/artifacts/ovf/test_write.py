"""The OVF descriptor of a machine: what importers read from it."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.ovf.guest import guest_of
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.artifacts.ovf.write import OvfFile, completed, descriptor, draft, file_names
from vmgen_build.errors import BuildError, RecipeError
from vmgen_build.plan.machine import CdDrive, Machine
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML

Make = Callable[[str], Machine]
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
VBOX = "{http://www.virtualbox.org/ovf/machine}"
VMW = "{http://www.vmware.com/schema/ovf}"
GB = 1 << 30


def files(machine: Machine) -> list[OvfFile]:
    disks = len(machine.drives)
    return [OvfFile(name, 1000 + i, i * GB if i <= disks else None) for i, name in enumerate(file_names(machine), 1)]


def read(text: str) -> ET.Element:
    assert read_descriptor(text.encode()).findings == ()
    return ET.fromstring(text)


def items(root: ET.Element) -> list[dict[str, str]]:
    """Without Description, which says nothing to a program."""
    found = []
    for item in root.iter(f"{OVF}Item"):
        assert [child.tag for child in item] == sorted(child.tag for child in item)
        found.append({c.tag.removeprefix(RASD): c.text or "" for c in item if c.tag != f"{RASD}Description"})
    return found


def of_type(root: ET.Element, kind: int) -> list[dict[str, str]]:
    return [item for item in items(root) if item["ResourceType"] == str(kind)]


def test_a_bare_machine(machine: Make) -> None:
    bare = machine("")
    root = read(descriptor(bare, files(bare)))
    assert [child.tag.removeprefix(OVF) for child in root] == [
        "References",
        "DiskSection",
        "NetworkSection",
        "VirtualSystem",
    ]
    assert [file.attrib for file in root.iter(f"{OVF}File")] == [
        {f"{OVF}href": "lab-hdd0.vmdk", f"{OVF}id": "file1", f"{OVF}size": "1001"}
    ]
    assert [disk.attrib for disk in root.iter(f"{OVF}Disk")] == [
        {
            f"{OVF}capacity": str(GB),
            f"{OVF}capacityAllocationUnits": "byte",
            f"{OVF}diskId": "vmdisk1",
            f"{OVF}fileRef": "file1",
            f"{OVF}format": "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
            f"{VBOX}uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "vmgen-build:/1")),
        }
    ]
    assert [item["ResourceType"] for item in items(root)] == ["3", "4", "6", "17", "10"]
    assert items(root)[0]["VirtualQuantity"] == "1"
    assert items(root)[1]["AllocationUnits"] == "byte * 2^20" and items(root)[1]["VirtualQuantity"] == "1024"
    assert root.findtext(f".//{VSSD}VirtualSystemType") == "vmx-13"
    assert root.find(f".//{VMW}Config").attrib[f"{VMW}value"] == "bios"  # type: ignore[union-attr]


DISKS = """num_cpu = 4
ram = 1023
firmware = efi
hw_version = 7
[[hdds]]
[[[system]]]
size = 8G
controller = pvscsi
[[[data]]]
size = 2G
pos = 0:3
controller = pvscsi
[[[second]]]
size = 1G
scsi_index = 1
[[[old]]]
size = 1G
type = ide
[[[fast]]]
size = 1G
type = nvme
[[[plain]]]
size = 1G
type = sata
name = plain disk.vmdk
"""


def test_every_disk_hangs_on_its_controller(machine: Make) -> None:
    full = machine(DISKS)
    root = read(descriptor(full, files(full)))
    controllers = {
        item["InstanceID"]: (item["ResourceType"], item.get("ResourceSubType"), item["Address"])
        for item in items(root)
        if item["ResourceType"] in {"5", "6", "20"}
    }
    places = [
        (item["HostResource"], controllers[item["Parent"]], item["AddressOnParent"]) for item in of_type(root, 17)
    ]
    assert places == [
        ("ovf:/disk/vmdisk1", ("6", "VirtualSCSI", "0"), "0"),
        ("ovf:/disk/vmdisk2", ("6", "VirtualSCSI", "0"), "3"),
        ("ovf:/disk/vmdisk3", ("6", "lsilogic", "1"), "0"),
        ("ovf:/disk/vmdisk4", ("5", None, "0"), "0"),
        ("ovf:/disk/vmdisk5", ("20", "vmware.nvme.controller", "0"), "0"),
        ("ovf:/disk/vmdisk6", ("20", "vmware.sata.ahci", "0"), "0"),
    ]
    assert len(controllers) == 5
    references = read_descriptor(ET.tostring(root)).references
    assert [(r.name, r.capacity) for r in references][-1] == ("plain disk.vmdk", 6 * GB)
    assert root.findtext(f".//{VSSD}VirtualSystemType") == "vmx-07"
    assert root.find(f".//{VMW}Config").attrib == {  # type: ignore[union-attr]
        f"{OVF}required": "false",
        f"{VMW}key": "firmware",
        f"{VMW}value": "efi",
    }
    assert [item["VirtualQuantity"] for item in items(root)[:2]] == ["4", "1024"], "memory in steps of 4 MB"


ETHS = """[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:12:34:56
[[[eth1]]]
type = bridged
adapter = vmxnet3
[[[eth2]]]
type = hostonly
adapter = e1000e
connected = no
[[[eth3]]]
type = veth
"""


def test_every_adapter_joins_the_network_of_its_type(machine: Make) -> None:
    full = machine(ETHS)
    root = read(descriptor(full, files(full)))
    assert [n.attrib[f"{OVF}name"] for n in root.iter(f"{OVF}Network")] == ["NAT", "bridged", "hostonly"]
    nics = of_type(root, 10)
    assert [(n["ResourceSubType"], n["Connection"], n["AutomaticAllocation"]) for n in nics] == [
        ("E1000", "NAT", "true"),
        ("VmxNet3", "bridged", "true"),
        ("E1000e", "hostonly", "false"),
        ("E1000", "NAT", "true"),
    ]
    assert [n["AddressOnParent"] for n in nics] == ["7", "8", "9", "10"]
    assert nics[0]["Address"] == "00:16:3e:12:34:56"
    assert nics[1]["Address"] == full.nics[1].hw_addr


CDS = "[[cds]]\n[[[cd0]]]\nimage = isos/debian & co.iso\n[[[cd1]]]\n"


def test_cd_drives_stand_on_the_second_ide_controller_and_then_on_the_first(machine: Make) -> None:
    full = machine("[[hdds]]\n[[[disk]]]\ntype = ide\n" + CDS)
    full = replace(full, cds=(*full.cds, CdDrive(name="cd2", image="b.iso", connected=False)))
    assert file_names(full) == ["lab-disk.vmdk", "debian & co.iso", "b.iso"]
    root = read(descriptor(full, files(full)))
    controllers = {item["InstanceID"]: item["Address"] for item in of_type(root, 5)}
    drives = [
        (controllers[i["Parent"]], i["AddressOnParent"], i.get("HostResource"), i["AutomaticAllocation"])
        for i in of_type(root, 15)
    ]
    assert drives == [
        ("1", "0", "ovf:/file/file2", "true"),
        ("1", "1", None, "false"),
        ("0", "1", "ovf:/file/file3", "false"),
    ]
    assert [r.capacity for r in read_descriptor(ET.tostring(root)).references] == [GB, None, None]


def test_too_many_cd_drives_are_refused(machine: Make) -> None:
    full = replace(machine(""), cds=tuple(CdDrive(name=f"cd{i}", image=None, connected=True) for i in range(5)))
    with pytest.raises(BuildError, match="5 CD drives, and 4 places"):
        descriptor(full, files(full))


@pytest.mark.parametrize(
    ("system", "arch", "hw_version", "cim", "os_type"),
    [
        ("debian-12", "amd64", 20, 96, "debian12_64Guest"),
        ("debian-12", "amd64", 19, 96, "debian11_64Guest"),
        ("debian-12", "amd64", 13, 96, "debian10_64Guest"),
        ("debian-12", "i386", 13, 95, "debian10Guest"),
        ("debian-13", "amd64", 30, 96, "debian13_64Guest"),
        ("debian-11", "amd64", 30, 96, "debian11_64Guest"),
        ("debian-sid", "amd64", 21, 96, "debian12_64Guest"),
        ("debian-12", "amd64", 4, 96, "otherLinux64Guest"),
        ("ubuntu-24.04", "amd64", 13, 94, "ubuntu64Guest"),
        ("ubuntu-24.04", "i386", 13, 93, "ubuntuGuest"),
        ("fedora-42", "amd64", 13, 101, "fedora64Guest"),
        ("centos-9", "amd64", 18, 107, "centos9_64Guest"),
        ("centos-10", "amd64", 13, 107, "centos7_64Guest"),
        ("rhel-9.4", "amd64", 14, 80, "rhel8_64Guest"),
        ("rocky-9", "amd64", 20, 80, "rockylinux_64Guest"),
        ("almalinux-9", "amd64", 18, 80, "rhel9_64Guest"),
        ("arch-rolling", "i386", 20, 36, "otherLinuxGuest"),
    ],
)
def test_the_guest_is_one_that_products_of_the_hardware_version_know(
    machine: Make, system: str, arch: str, hw_version: int, cim: int, os_type: str
) -> None:
    guest = guest_of(replace(machine(""), os=system, arch=arch, hw_version=hw_version))
    assert (guest.cim, guest.os_type) == (cim, os_type)


def test_hostile_names_stay_data(machine: Make) -> None:
    name = """a"b'<&>]]>\t\n--><x y="z"/><size 1>"""
    hostile = replace(machine(""), name=name)
    root = read(descriptor(hostile, files(hostile)))
    assert root.findtext(f"{OVF}VirtualSystem/{OVF}Name") == name
    assert root.find(f"{OVF}VirtualSystem").attrib[f"{OVF}id"] == name  # type: ignore[union-attr]
    drive = replace(hostile.drives[0], file=name, name=name)
    root = read(descriptor(replace(hostile, drives=(drive,)), [OvfFile(name, 1, GB)]))
    assert next(root.iter(f"{OVF}File")).attrib[f"{OVF}href"] == name


@pytest.mark.parametrize("name", ["a\x00b", "a\x1bb", "a\x0bb", "\udcff", "\ufffe"])
def test_what_no_xml_file_holds_is_refused(machine: Make, name: str) -> None:
    with pytest.raises(RecipeError, match=r"remove it|Unicode"):
        draft(replace(machine(""), name=name))


def test_a_draft_is_completed_by_sizes_alone(machine: Make) -> None:
    full = machine(DISKS + CDS)
    text = draft(full)
    with pytest.raises(ValueError, match="not well-formed"):
        read_descriptor(text.encode())
    assert completed(text, files(full)) == descriptor(full, files(full))
    with pytest.raises(BuildError, match="refers to file 7 of 6"):
        completed(text, files(full)[:-1])
    with pytest.raises(BuildError, match=r"capacity of lab-system.vmdk, which is no disk"):
        completed(text, [OvfFile("lab-system.vmdk", 1), *files(full)[1:]])


def test_files_that_do_not_fit_the_machine_are_refused(machine: Make) -> None:
    with pytest.raises(BuildError, match="lab has 1 disks and CD images, and the descriptor got 0 files"):
        descriptor(machine(""), [])
    same = machine("[[hdds]]\n[[[a]]]\nname = x.vmdk\n[[[b]]]\nsize = 1G\n")
    same = replace(same, drives=tuple(replace(drive, file="x.vmdk") for drive in same.drives))
    with pytest.raises(BuildError, match=r"two disks or CD images have the file name x\.vmdk"):
        draft(same)


def test_a_template_of_the_user_stands_for_ours(machine: Make, tmp_path: Path) -> None:
    (tmp_path / "vmware").mkdir()
    (tmp_path / "vmware/ovf.xml.j2").write_text("<own>{{ machine.name }} {{ references[0].size }}</own>")
    assert descriptor(machine(""), files(machine("")), Renderer(tmp_path, XML)) == "<own>lab 1001</own>"


def test_the_same_machine_has_the_same_descriptor(machine: Make) -> None:
    assert draft(machine(DISKS + CDS + ETHS)) == draft(Machine.from_json(machine(DISKS + CDS + ETHS).to_json()))
