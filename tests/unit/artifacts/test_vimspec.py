"""The spec of the vSphere API, read by the types of VMware's own client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.artifacts.fullmachine import FULL
from tests.vimjson import lacking, vim_object
from vmgen_build.artifacts.ovf.devices import items
from vmgen_build.artifacts.vimspec import config_spec_json
from vmgen_build.plan.machine import Machine

Make = Callable[[str], Machine]


def spec(machine: Machine) -> Any:
    return vim_object(json.loads(config_spec_json(machine)))


def devices(made: Any) -> list[Any]:
    assert {change.operation for change in made.deviceChange} == {"add"}
    return [change.device for change in made.deviceChange]


def kind(made: Any) -> str:
    return str(type(made).__name__.rpartition(".")[2])


def hanging(made: Any) -> list[tuple[str, int, str, int]]:
    """Type and number of a controller, type and unit of what hangs on it."""
    found = devices(made)
    controllers = {device.key: device for device in found if hasattr(device, "busNumber")}
    return [
        (kind(controllers[one.controllerKey]), controllers[one.controllerKey].busNumber, kind(one), one.unitNumber)
        for one in found
        if one.controllerKey is not None
    ]


@pytest.mark.parametrize("hardware", ["", FULL])
def test_each_name_is_a_property_of_the_right_type(machine: Make, hardware: str) -> None:
    made = spec(machine(hardware))
    assert kind(made) == "ConfigSpec"
    assert lacking(made) == []


def test_the_form_is_that_of_the_json_api(machine: Make) -> None:
    def first(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(first, value))
        return {next(iter(value))}.union(*map(first, value.values())) if isinstance(value, dict) else set()

    assert first(json.loads(config_spec_json(machine(FULL)))) == {"_typeName"}


def test_the_machine(machine: Make) -> None:
    old = spec(machine(FULL.replace("hw_version = 20", "hw_version = 9")))
    assert (old.version, old.guestId) == ("vmx-09", "debian6_64Guest")
    made = spec(machine(FULL))
    assert (made.name, made.version, made.guestId) == ("lab", "vmx-20", "debian12_64Guest")
    assert (made.numCPUs, made.memoryMB, made.firmware) == (4, 1024, "efi")
    assert made.bootOptions.efiSecureBootEnabled is False
    assert made.files.vmPathName == "[datastore] lab/lab.vmx"


def test_what_hangs_where(machine: Make) -> None:
    assert hanging(spec(machine(FULL))) == [
        ("ParaVirtualSCSIController", 0, "VirtualDisk", 0),
        ("VirtualLsiLogicController", 1, "VirtualDisk", 3),
        ("VirtualIDEController", 0, "VirtualDisk", 0),
        ("VirtualNVMEController", 0, "VirtualDisk", 0),
        ("VirtualAHCIController", 0, "VirtualDisk", 0),
        ("VirtualIDEController", 1, "VirtualCdrom", 0),
        ("VirtualIDEController", 1, "VirtualCdrom", 1),
    ]


def test_keys_are_new_ones(machine: Make) -> None:
    keys = [device.key for device in devices(spec(machine(FULL)))]
    assert len(set(keys)) == len(keys) and max(keys) < 0


def test_disks(machine: Make) -> None:
    disks = [device for device in devices(spec(machine(FULL))) if kind(device) == "VirtualDisk"]
    assert [(disk.capacityInKB, disk.capacityInBytes) for disk in disks] == [
        (0, None),
        (2 << 20, 2 << 30),
        (4 << 10, 4 << 20),
        (1 << 20, 1 << 30),
        (1 << 20, 1 << 30),
    ]
    assert [disk.backing.fileName for disk in disks][::4] == [
        "[datastore] lab/lab-system.vmdk",
        '[datastore] lab/plain "disk" ü.vmdk',
    ]


def test_cd_drives(machine: Make) -> None:
    cds = [device for device in devices(spec(machine(FULL))) if kind(device) == "VirtualCdrom"]
    assert [(kind(cd.backing), cd.connectable.startConnected) for cd in cds] == [
        ("IsoBackingInfo", True),
        ("RemotePassthroughBackingInfo", False),
    ]
    assert cds[0].backing.fileName == "[datastore] lab/tools.iso"


def test_adapters(machine: Make) -> None:
    nics = [device for device in devices(spec(machine(FULL))) if hasattr(device, "macAddress")]
    assert [(kind(nic), nic.backing.deviceName, nic.connectable.startConnected) for nic in nics] == [
        ("VirtualVmxnet3", "NAT", True),
        ("VirtualE1000e", "bridged", False),
        ("VirtualE1000", "hostonly", True),
        ("VirtualE1000", "NAT", True),
    ]
    assert (nics[0].addressType, nics[0].macAddress) == ("manual", "00:50:56:3f:00:01")


def test_it_is_the_machine_of_the_descriptor(machine: Make) -> None:
    """What an OVA's Items say of places, the spec says too."""
    full = machine(FULL)
    described = [dict(item) for item in items(full)]
    controllers = {item["InstanceID"]: item["Address"] for item in described if item["ResourceType"] in (5, 6, 20)}
    places = [(controllers[i["Parent"]], i["AddressOnParent"]) for i in described if i["ResourceType"] in (15, 17)]
    assert [(number, unit) for _, number, _, unit in hanging(spec(full))] == places
