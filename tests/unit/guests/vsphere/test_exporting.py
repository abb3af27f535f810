"""Which of a lease's files is which disk, and what is refused of what comes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.vsphere.exporting import Received, _check_range, _compare, _disks_of, _nvram_of, _place
from vmgen_build.plan.machine import Drive


@dataclass
class Device:
    """As vim.HttpNfcLease.DeviceUrl."""

    key: str
    disk: bool = True
    targetId: str | None = None  # noqa: N815


DRIVE = Drive(
    name="hdd0",
    file="hdd0.vmdk",
    size=None,
    bus="scsi",
    controller="pvscsi",
    index=0,
    unit=0,
    table="dos",
    boot=True,
    volumes=(),
)
DRIVES = (DRIVE, replace(DRIVE, name="hdd1", bus="ide", index=1), replace(DRIVE, name="hdd2", index=1, unit=2))


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("/vm-42/ParaVirtualSCSIController0:1", ("scsi", 0, 1)),
        ("/vm-42/VirtualLsiLogicController2:15", ("scsi", 2, 15)),
        ("/42/VirtualIDEController1:0", ("ide", 1, 0)),
        ("/vm-42/VirtualAHCIController0:3", ("sata", 0, 3)),
        ("/vm-42/VirtualNVMEController0:0", ("nvme", 0, 0)),
        ("/vm-42/nvram", None),
        ("/vm-42/OtherController0:0", None),
    ],
)
def test_the_place_of_a_disk(key: str, place: tuple[str, int, int] | None) -> None:
    assert _place(key) == place


def test_disks_come_in_the_order_of_the_drives() -> None:
    names = ["VirtualIDEController1:0", "ParaVirtualSCSIController1:2", "ParaVirtualSCSIController0:0"]
    devices = [Device("/vm-1/nvram", disk=False), *(Device(f"/vm-1/{name}") for name in names)]
    found = _disks_of(devices, DRIVES, "there")
    assert [device.key for device in found] == [f"/vm-1/{names[i]}" for i in (2, 0, 1)]
    assert _disks_of([Device("anything")], DRIVES[:1], "there")[0].key == "anything"


def test_other_disks_are_refused() -> None:
    with pytest.raises(BuildError, match="exports 1 disks, and the machine has 3"):
        _disks_of([Device("x")], DRIVES, "there")
    with pytest.raises(BuildError, match="no disk at"):
        _disks_of([Device(f"/vm-1/ParaVirtualSCSIController0:{n}") for n in range(3)], DRIVES, "there")


def test_the_nvram_among_a_lease_s_files() -> None:
    disk = Device("/vm-1/VirtualIDEController1:0", targetId="disk-0.vmdk")
    other = [
        disk,
        Device("/vm-1/VirtualCdrom0", disk=False),
        Device("/vm-1/nvram"),
        Device("/vm-1/nonvram", disk=False),
    ]
    assert _nvram_of(other) is None
    for one in (Device("/vm-1/nvram", disk=False), Device("nvram:1", disk=False), Device("x", False, "file1.nvram")):
        assert _nvram_of([*other, one]) is one


def answer(status: int, given: str) -> Any:
    return SimpleNamespace(status=status, headers={"Content-Range": given})


def test_a_transfer_goes_on_only_where_it_was_cut() -> None:
    _check_range(answer(200, ""), 0)
    _check_range(answer(206, "bytes 70-99/100"), 70)
    for status, given in ((200, ""), (206, "bytes 7-99/100"), (206, "")):
        with pytest.raises(HostError, match="cut after 70 bytes, and the server does not let it go on"):
            _check_range(answer(status, given), 70)


def test_the_server_s_own_sums_count() -> None:
    one = Received("key", Path("x"), 5, {"sha1": "a" * 40, "sha256": "b" * 64})

    def entry(**more: Any) -> Any:
        return SimpleNamespace(**{"key": "key", "sha1": "a" * 40, "size": 5, **more})

    _compare(
        [entry(), entry(sha1="", checksum="B" * 64, checksumType="sha256"), entry(key="other", size=7)], [one], "x"
    )
    _compare([entry(checksum="c" * 32, checksumType="md5")], [one], "x")
    for wrong in ({"size": 6}, {"sha1": "c" * 40}, {"checksum": "c" * 64, "checksumType": "sha256"}):
        with pytest.raises(BuildError, match="sent another disk than it says"):
            _compare([entry(**wrong)], [one], "x")
