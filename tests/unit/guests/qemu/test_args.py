"""The command line of a machine in QEMU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import pytest

from vmgen_build.errors import BuildError
from vmgen_build.guests.qemu.args import Power, Wiring, arguments, board_of, reduced, replaced
from vmgen_build.plan.machine import CdDrive, Drive, Machine, Nic, Volume

GIB = 1 << 30
ROOMY = Power("tcg", 4, 8 * GIB)


def drive(name: str = "hdd0", **changed: object) -> Drive:
    root = Volume(
        option="root", number=1, kind="primary", fs="ext4", size=None, mount="/", label=None, uuid="00000000-0000"
    )
    plain = Drive(
        name=name,
        file=f"{name}.vmdk",
        size=None,
        bus="scsi",
        controller="pvscsi",
        index=0,
        unit=0,
        table="dos",
        boot=name == "hdd0",
        volumes=(root,) if name == "hdd0" else (),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def machine(*drives: Drive, **changed: object) -> Machine:
    plain = Machine(
        name="lab",
        os="debian-12",
        arch="amd64",
        cpus=2,
        ram=GIB,
        firmware="bios",
        hw_version=13,
        drives=drives or (drive(),),
        cds=(),
        nics=(),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def words(of: Machine, power: Power = ROOMY, cds: Mapping[int, int] = MappingProxyType({})) -> list[str]:
    """Disks are the descriptors from 20 on, taps those from 60."""
    disks = tuple(range(20, 20 + len(of.drives)))
    firmware = (40, 41) if of.firmware == "efi" else None
    taps = tuple(range(60, 60 + len(of.nics)))
    return arguments(of, Wiring(disks, cds, firmware, taps, 5, 7, 9), power)


def given(argv: list[str], option: str) -> list[str]:
    return [value for word, value in pairwise(argv) if word == option]


@pytest.mark.parametrize(
    ("place", "devices"),
    [
        ({}, ["pvscsi,id=pvscsi0x0", "scsi-hd,bus=pvscsi0x0.0,scsi-id=0,lun=0,drive=disk0,bootindex=1"]),
        (
            {"index": 2, "unit": 15},
            ["pvscsi,id=pvscsi2x0", "scsi-hd,bus=pvscsi2x0.0,scsi-id=15,lun=0,drive=disk0,bootindex=1"],
        ),
        (
            {"controller": "lsilogic", "unit": 6},
            ["lsi53c895a,id=lsilogic0x0", "scsi-hd,bus=lsilogic0x0.0,scsi-id=6,lun=0,drive=disk0,bootindex=1"],
        ),
        (
            {"controller": "lsilogic", "unit": 15},
            ["lsi53c895a,id=lsilogic0x2", "scsi-hd,bus=lsilogic0x2.0,scsi-id=1,lun=0,drive=disk0,bootindex=1"],
        ),
        ({"bus": "ide", "index": 1, "unit": 1}, ["ide-hd,bus=ide.1,unit=1,drive=disk0,bootindex=1"]),
        (
            {"bus": "sata", "index": 1, "unit": 7},
            ["ich9-ahci,id=sata1x1", "ide-hd,bus=sata1x1.1,drive=disk0,bootindex=1"],
        ),
        (
            {"bus": "nvme", "unit": 14},
            ["nvme,id=nvme0x0,serial=nvme0x0", "nvme-ns,bus=nvme0x0,nsid=15,drive=disk0,bootindex=1"],
        ),
    ],
)
def test_each_disk_hangs_where_the_recipe_says(place: dict[str, object], devices: list[str]) -> None:
    assert given(words(machine(drive(**place))), "-device") == devices


def test_disks_of_one_controller_share_it_and_the_root_is_booted() -> None:
    argv = words(machine(drive("data", unit=3), drive("hdd0", unit=1)))
    assert given(argv, "-device") == [
        "pvscsi,id=pvscsi0x0",
        "scsi-hd,bus=pvscsi0x0.0,scsi-id=3,lun=0,drive=disk0",
        "scsi-hd,bus=pvscsi0x0.0,scsi-id=1,lun=0,drive=disk1,bootindex=1",
    ]
    assert [word for word in given(argv, "-drive") if "disk0" in word] == [
        "if=none,id=disk0,format=raw,auto-read-only=off,cache=unsafe,file=/dev/fdset/20"
    ]


def test_two_kinds_of_one_number_are_two_controllers() -> None:
    argv = words(machine(drive(), drive("hdd1", controller="lsilogic", unit=1)))
    assert [d.split(",")[0] for d in given(argv, "-device")] == ["pvscsi", "scsi-hd", "lsi53c895a", "scsi-hd"]


def test_an_efi_machine_boots_from_what_its_firmware_knows() -> None:
    one = machine(drive(), drive("hdd1", unit=1), firmware="efi")
    argv = words(one)
    assert given(argv, "-device")[:2] == [
        "virtio-scsi-pci,id=virtio0x0",
        "scsi-hd,bus=virtio0x0.0,scsi-id=0,lun=0,drive=disk0,bootindex=1",
    ]
    assert given(argv, "-device")[2:] == ["pvscsi,id=pvscsi0x0", "scsi-hd,bus=pvscsi0x0.0,scsi-id=1,lun=0,drive=disk1"]
    assert given(argv, "-drive")[:2] == [
        "if=pflash,unit=0,format=raw,readonly=on,file=/dev/fdset/40",
        "if=pflash,unit=1,format=raw,auto-read-only=off,file=/dev/fdset/41",
    ]
    assert replaced(one) == ["QEMU boots from no pvscsi controller by EFI: virtio-scsi-pci takes its place"]
    assert replaced(machine()) == []


@pytest.mark.parametrize(
    ("firmware", "bus", "board"),
    [("bios", "scsi", "pc"), ("efi", "scsi", "q35"), ("efi", "sata", "q35"), ("efi", "ide", "pc")],
)
def test_the_board(firmware: str, bus: str, board: str) -> None:
    one = machine(drive(bus=bus), firmware=firmware)
    assert board_of(one) == board
    assert given(words(one), "-machine") == [f"{board},graphics=off"]


def test_cd_drives_take_free_places_from_the_second_controller_on() -> None:
    cds = tuple(CdDrive(name=f"cd{n}", image="/etc/shadow", connected=True) for n in range(3))
    argv = words(machine(drive(bus="ide", index=1, unit=0), cds=cds), cds={0: 50})
    assert given(argv, "-device")[1:] == [
        "ide-cd,bus=ide.1,unit=1,drive=cd0",
        "ide-cd,bus=ide.0,unit=0",
        "ide-cd,bus=ide.0,unit=1",
    ]
    assert given(argv, "-drive")[-1] == "if=none,id=cd0,media=cdrom,readonly=on,format=raw,file=/dev/fdset/50"
    assert given(words(machine(cds=cds[1:], firmware="efi")), "-device")[2:] == ["ide-cd,bus=ide.0", "ide-cd,bus=ide.1"]


def test_what_has_no_place_is_an_error() -> None:
    cds = tuple(CdDrive(name=f"cd{n}", image=None, connected=True) for n in range(5))
    with pytest.raises(BuildError, match="has 5 CD drives, and 4 places of its IDE controllers are free"):
        words(machine(cds=cds))
    with pytest.raises(BuildError, match="'hdd0': a machine has two IDE controllers"):
        words(machine(drive(bus="ide", index=2)))


def test_interfaces_keep_their_cards_and_addresses() -> None:
    nics = tuple(
        Nic(name=f"eth{n}", hw_addr=f"00:50:56:00:00:0{n}", type="nat", adapter=card, bridge=None, connected=True)
        for n, card in enumerate(("vmxnet3", "e1000e"))
    )
    argv = words(machine(nics=nics))
    assert given(argv, "-netdev") == [
        "tap,id=net0,fd=60",
        "tap,id=net1,fd=61",
    ]
    assert given(argv, "-device")[-2:] == [
        "vmxnet3,id=nic0,netdev=net0,mac=00:50:56:00:00:00,romfile=",
        "e1000e,id=nic1,netdev=net1,mac=00:50:56:00:00:01,romfile=",
    ]


def test_no_more_than_the_host_has() -> None:
    one, small = machine(cpus=8, ram=4 * GIB), Power("kvm", 2, GIB)
    argv = words(one, small)
    assert (given(argv, "-smp"), given(argv, "-m"), given(argv, "-accel")) == (["2"], ["1024"], ["kvm"])
    assert [sentence.split(":")[0] for sentence in reduced(one, small)] == [
        "this host has 2 processors",
        "this host has 1024 MiB of memory to give",
    ]
    assert reduced(machine(), small) == []
    assert given(words(one), "-m") == ["4096"]


def test_issue_8_16_qemu_gets_open_files_and_a_filter_of_system_calls() -> None:
    argv = words(machine(firmware="efi", name="a,b"))
    assert given(argv, "-add-fd") == [f"fd={n},set={n}" for n in (20, 40, 41, 5)]
    assert given(argv, "-sandbox") == ["on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    assert given(argv, "-name") == ["a,,b"]
    assert not [word for word in argv if "/" in word and "/dev/fdset/" not in word]


def test_images_above_each_other_are_named_here_and_not_by_them() -> None:
    made = arguments(machine(), Wiring(((20, 21, 22),), {}, None, (), 5, 7, 9), ROOMY)
    nodes = [json.loads(value) for word, value in pairwise(made) if word == "-blockdev"]
    assert [(node["node-name"], node["backing"], node["read-only"]) for node in nodes] == [
        ("disk0-1", None, True),
        ("disk0-2", "disk0-1", True),
        ("disk0", "disk0-2", False),
    ]
    assert [node["file"]["filename"] for node in nodes] == ["/dev/fdset/20", "/dev/fdset/21", "/dev/fdset/22"]
    assert [value for word, value in pairwise(made) if word == "-add-fd"] == [
        f"fd={number},set={number}" for number in (20, 21, 22, 5)
    ]


def test_without_taps_qemu_stands_between_the_machine_and_the_network() -> None:
    nic = Nic(name="build", hw_addr="52:54:00:00:00:01", type="nat", adapter="e1000", bridge=None, connected=True)
    made = arguments(machine(nics=(nic,)), Wiring((20,), {}, None, None, 5, 7, 9), ROOMY)
    joined = next(value for word, value in pairwise(made) if word == "-netdev")
    assert joined.startswith("user,id=net0,") and "fd=" not in joined


def test_a_user_s_machine_is_reached_from_this_host_alone() -> None:
    nic = Nic(name="build", hw_addr="52:54:00:00:00:01", type="nat", adapter="e1000", bridge=None, connected=True)
    wiring = Wiring((20,), {}, None, None, 5, 7, 9, forwards=True, guest_agent=11)
    made = arguments(machine(nics=(nic,)), wiring, ROOMY)
    joined = next(value for word, value in pairwise(made) if word == "-netdev")
    assert joined.endswith(",hostfwd=tcp:127.0.0.1:0-:22")
    assert "socket,id=guest-agent,fd=11" in made and 11 in wiring.fds
    assert "virtserialport,chardev=guest-agent,name=org.qemu.guest_agent.0" in made


def test_a_machine_that_starts_anew_by_itself_has_a_clock_of_this_place() -> None:
    """By default QEMU ends then, and the clock has UTC."""
    assert "-no-reboot" in words(machine()) and given(words(machine()), "-rtc") == ["base=utc"]
    wiring = Wiring((20,), {}, None, None, 5, 7, 9, clock="2026-11-30T12:00:00", resets=True)
    made = arguments(machine(), wiring, ROOMY)
    assert "-no-reboot" not in made and given(made, "-rtc") == ["base=2026-11-30T12:00:00"]


@pytest.mark.parametrize("installs", [True, False])
def test_what_installs_begins_from_the_first_cd_where_no_disk_starts(installs: bool) -> None:
    cds = tuple(CdDrive(name=f"cd{number}", image=None, connected=True) for number in range(2))
    wiring = Wiring((20,), {0: 30, 1: 31}, None, (), 5, 7, 9, installs=installs, resets=installs)
    made = arguments(machine(cds=cds), wiring, ROOMY)
    devices = [value for word, value in pairwise(made) if word == "-device"]
    booted = [device.partition(",drive=")[2] for device in devices if "bootindex" in device]
    assert booted == ["disk0,bootindex=1", *(["cd0,bootindex=2"] if installs else [])]
    assert ("-no-reboot" in made) is not installs


def test_a_floppy_is_an_open_file_too() -> None:
    wiring = Wiring((20,), {}, None, (), 5, 7, 9, floppy=33)
    made = arguments(machine(), wiring, ROOMY)
    assert "if=floppy,index=0,format=raw,readonly=on,file=/dev/fdset/33" in made
    assert "fd=33,set=33" in made and 33 in wiring.fds
