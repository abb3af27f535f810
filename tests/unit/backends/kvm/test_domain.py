"""The libvirt domain of a machine."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.backends.kvm.domain import domain
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Machine

Make = Callable[[str], Machine]


def names(machine: Machine) -> list[str]:
    return [f"lab-{drive.name}.qcow2" for drive in machine.drives]


def disks(root: ET.Element) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Bus, target, file, and controller, bus and unit of the address."""
    found = []
    for disk in root.iter("disk"):
        target, source, place = disk.find("target"), disk.find("source"), disk.find("address")
        assert target is not None
        address = tuple(place.attrib[key] for key in ("controller", "bus", "unit")) if place is not None else ()
        file = source.attrib["file"] if source is not None else ""
        found.append((target.attrib["bus"], target.attrib["dev"], file, address))
    return found


FULL = """num_cpu = 2
ram = 512
firmware = efi
[[hdds]]
[[[a]]]
[[[b]]]
size = 1G
type = sata
[[[c]]]
size = 1G
type = nvme
[[[d]]]
size = 1G
scsi_index = 2
controller = pvscsi
pos = 2:4
[[cds]]
[[[cd0]]]
image = isos/x.iso
[[[cd1]]]
image = y.iso
connected = no
[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:12:34:56
adapter = vmxnet3
[[[eth1]]]
type = bridged
adapter = e1000e
connected = no
[[[eth2]]]
type = hostonly
[[[eth3]]]
type = nat
bridge = br--7
"""


def test_every_disk_has_its_place(machine: Make) -> None:
    full = machine(FULL)
    root = ET.fromstring(domain(full, files=names(full)))
    assert disks(root) == [
        ("scsi", "sda", "/var/lib/libvirt/images/lab-a.qcow2", ("0", "0", "0")),
        ("sata", "sdb", "/var/lib/libvirt/images/lab-b.qcow2", ("0", "0", "0")),
        ("virtio", "vda", "/var/lib/libvirt/images/lab-c.qcow2", ()),
        ("scsi", "sdc", "/var/lib/libvirt/images/lab-d.qcow2", ("2", "0", "4")),
        ("sata", "sdd", "/var/lib/libvirt/images/lab-kvm-amd64-cd0.iso", ("0", "0", "1")),
        ("sata", "sde", "", ("0", "0", "2")),
    ]
    assert [(c.attrib["index"], c.attrib["model"]) for c in root.iter("controller")] == [
        ("0", "virtio-scsi"),
        ("2", "virtio-scsi"),
    ]
    assert [i for i, disk in enumerate(root.iter("disk")) if disk.find("boot") is not None] == [0]
    assert root.find("os").attrib == {"firmware": "efi"}  # type: ignore[union-attr]
    assert (root.findtext("vcpu"), root.findtext("memory")) == ("2", str(512 << 10))


def test_the_files_are_those_of_the_backend(machine: Make) -> None:
    two = machine("[[hdds]]\n[[[a]]]\n[[[b]]]\nsize = 1G\n")
    assert [Path(file).name for _, _, file, _ in disks(ET.fromstring(domain(two)))] == [
        "lab-kvm-amd64.qcow2",
        "lab-kvm-amd64-b.qcow2",
    ]
    root = ET.fromstring(domain(two, files=["a.raw", "b.qcow2"]))
    assert [driver.attrib["type"] for driver in root.iter("driver")] == ["raw", "qcow2"]


def test_ide_disks_take_the_chipset_that_has_ide(machine: Make) -> None:
    old = machine("[[hdds]]\n[[[a]]]\ntype = ide\npos = 0:1\n[[cds]]\n[[[cd0]]]\n")
    root = ET.fromstring(domain(old, files=names(old), folder="/srv/a & b"))
    assert root.find("os/type").attrib["machine"] == "pc"  # type: ignore[union-attr]
    assert disks(root) == [
        ("ide", "hda", "/srv/a & b/lab-a.qcow2", ("0", "0", "1")),
        ("ide", "hdb", "", ("0", "1", "0")),
    ]


def test_many_sata_disks_take_several_controllers(machine: Make) -> None:
    many = machine("[[hdds]]\n" + "".join(f"[[[d{i}]]]\ntype = sata\nsize = 1G\n" for i in range(28)))
    found = disks(ET.fromstring(domain(many, files=names(many))))
    assert found[25][1:2] + found[25][3:] == ("sdz", ("4", "0", "1"))
    assert found[26][1] == "sdaa" and len({(target, address) for _, target, _, address in found}) == 28


def test_every_adapter_joins_its_network(machine: Make) -> None:
    full = machine(FULL)
    text = domain(full, files=names(full))
    found = [
        (
            nic.find("source").attrib,  # type: ignore[union-attr]
            nic.find("model").attrib["type"],  # type: ignore[union-attr]
            nic.find("link") is None,
        )
        for nic in ET.fromstring(text).iter("interface")
    ]
    assert found == [
        ({"network": "default"}, "virtio", True),
        ({"bridge": "br0"}, "e1000e", False),
        ({"network": "hostonly"}, "e1000", True),
        ({"bridge": "br--7"}, "e1000", True),
    ]
    assert "isolated one" in text and "isolated one" not in domain(machine(""))


def test_only_what_a_pc_is(machine: Make) -> None:
    with pytest.raises(BuildError, match="of arm64 cannot be described; amd64 and i386 can"):
        domain(replace(machine(""), arch="arm64"))


@pytest.mark.parametrize("hardware", ["", FULL, "[[hdds]]\n[[[a]]]\ntype = ide\n[[cds]]\n[[[cd0]]]\n"])
def test_libvirt_takes_it(machine: Make, tmp_path: Path, hardware: str) -> None:
    full = machine(hardware)
    (tmp_path / "lab.xml").write_text(domain(full, files=names(full)))
    done = subprocess.run(["virt-xml-validate", tmp_path / "lab.xml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_libvirt_takes_it_again_after_a_rebuild(machine: Make, tmp_path: Path) -> None:
    """libvirt's own test driver has no KVM, but its rule: a name that is taken is taken for the machine of its UUID."""
    for name, ram in (("first", 1), ("second", 2)):
        built = replace(machine(""), ram=ram << 30)
        (tmp_path / f"{name}.xml").write_text(domain(built, files=names(built)).replace('type="kvm"', 'type="test"'))
    orders = f"define {tmp_path}/first.xml; define {tmp_path}/second.xml; dominfo lab"
    done = subprocess.run(["virsh", "-c", "test:///default", orders], capture_output=True, text=True)
    assert done.returncode == 0 and "Max memory:     2097152 KiB" in done.stdout, done.stderr


def test_nothing_stands_before_the_domain(machine: Make) -> None:
    """virt-xml takes no file whose first node is a comment; and the docs' line changes the type where it stands."""
    lines = domain(machine("")).splitlines()
    assert lines[1] == '<domain type="kvm">' and sum('type="kvm"' in line for line in lines) == 1


def test_hostile_names_stay_data(machine: Make, tmp_path: Path) -> None:
    hostile = replace(machine(""), name="""a"b'<&> --><x/>""")
    text = domain(hostile, files=["""x"y'<&>.qcow2"""])
    root = ET.fromstring(text)
    assert root.findtext("name") == hostile.name
    assert disks(root)[0][2] == """/var/lib/libvirt/images/x"y'<&>.qcow2"""
    (tmp_path / "lab.xml").write_text(text)
    subprocess.run(["virt-xml-validate", tmp_path / "lab.xml"], check=True, capture_output=True)
