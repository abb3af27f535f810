"""Issue 8, item 7: a machine that a manifest describes is read as strictly as a recipe."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from vmgen_build.plan.machine import CdDrive, Drive, Machine, Nic, Volume
from vmgen_build.plan.readback import machine_read_back

ROOT = Volume(
    option="root", number=1, kind="primary", fs="ext4", size=None, mount="/", label="a label", uuid="00000000-0000"
)
DRIVE = Drive(
    name="hdd0",
    file="lab-hdd0.vmdk",
    size=1 << 33,
    bus="scsi",
    controller="lsilogic",
    index=0,
    unit=0,
    table="dos",
    boot=True,
    volumes=(ROOT,),
)
NIC = Nic(name="eth0", hw_addr="02:00:00:00:00:01", type="nat", adapter="e1000", bridge=None, connected=True)
MACHINE = Machine(
    name="lab",
    os="debian-12",
    arch="amd64",
    cpus=2,
    ram=1 << 30,
    firmware="bios",
    hw_version=13,
    drives=(DRIVE,),
    cds=(CdDrive(name="cd0", image="debian.iso", connected=True),),
    nics=(NIC,),
)

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> str:
    data = copy.deepcopy(json.loads(MACHINE.to_json()))
    change(data)
    return json.dumps(data)


def test_issue_8_7_what_the_tool_wrote_is_read_as_it_was() -> None:
    assert machine_read_back(MACHINE.to_json()) == MACHINE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda m: m["nics"][0].update(adapter="vfio-pci,host=0000:00:1f.2"), "nics: 0: adapter"),
        (lambda m: m["nics"][0].update(hw_addr="02:00:00:00:00:01,file=/etc/shadow"), "nics: 0: hw_addr"),
        (lambda m: m["nics"][0].update(hw_addr="01:00:5e:00:00:01"), "nics: 0: hw_addr"),
        (lambda m: m["nics"][0].update(name="eth0 up"), "nics: 0: name"),
        (lambda m: m["nics"][0].update(bridge="br0/../x"), "nics: 0: bridge"),
        (lambda m: m["drives"][0].update(bus="ide,file=/etc/shadow"), "drives: 0: bus"),
        (lambda m: m["drives"][0].update(controller="virtio,x=y"), "drives: 0: controller"),
        (lambda m: m["drives"][0].update(name="../../etc/cron.d/x"), "drives: 0: name"),
        (lambda m: m["drives"][0].update(file="/etc/shadow"), "drives: 0: file"),
        (lambda m: m["drives"][0].update(unit="0,lun=1"), "drives: 0: unit"),
        (lambda m: m["drives"][0].update(unit=True), "drives: 0: unit"),
        (lambda m: m["drives"][0].update(unit=7), "hangs at no place of scsi: 0:7"),
        (lambda m: m["drives"][0].update(boot="yes"), "drives: 0: boot"),
        (lambda m: m["drives"][0].update(boot=False), "not one disk to boot from"),
        (lambda m: m["drives"][0].update(size=-1), "drives: 0: size"),
        (lambda m: m["drives"].append(m["drives"][0]), "is there twice"),
        (lambda m: m["drives"][0]["volumes"][0].update(fs="nfs"), "volumes: 0: fs"),
        (lambda m: m["drives"][0]["volumes"][0].update(mount="/../x"), "volumes: 0: mount"),
        (lambda m: m["drives"][0]["volumes"][0].update(number=10**30), "volumes: 0: number"),
        (lambda m: m["drives"][0].update(volumes=[m["drives"][0]["volumes"][0]] * 200), "the limit 'volumes'"),
        (lambda m: m["cds"][0].update(image="a\nb"), "cds: 0: image"),
        (lambda m: m["cds"][0].update(connected=1), "cds: 0: connected"),
        (lambda m: m.update(cds=m["cds"] * 1000), "the limit 'drives'"),
        (lambda m: m.update(firmware="efi,file=/x"), "firmware"),
        (lambda m: m.update(name="lab,process=x"), "name"),
        (lambda m: m.update(os="debian-12; id"), "os"),
        (lambda m: m.update(arch="amd64,x"), "arch"),
        (lambda m: m.update(cpus=1e999), "cpus"),
        (lambda m: m.update(cpus="2"), "cpus"),
        (lambda m: m.update(ram=None), "ram"),
        (lambda m: m.update(extra=1), "no field 'extra'"),
        (lambda m: m.pop("nics"), "it has no field 'nics'"),
        (lambda m: m.update(nics={}), "nics: it is no list"),
    ],
)
def test_issue_8_7_what_no_recipe_can_say_is_refused_by_its_field(change: Change, field: str) -> None:
    with pytest.raises(ValueError) as caught:
        machine_read_back(changed(change))
    assert field in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "[" * 100_000, '{"name": ' + '"x"' * 3, "x" * 2_000_000])
def test_issue_8_7_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        machine_read_back(text)
