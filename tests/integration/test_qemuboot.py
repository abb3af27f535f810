"""Machines in QEMU: the copy that is booted, what is told of one that does not start, and speaking to one that does."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.manifest import probes_of
from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.model import Boot
from vmgen_build.boots.qemu.boot import VmBooted, booted_vm
from vmgen_build.boots.qemu.copies import SCRIPT, UNIT, UNITS, WANTS, give_agent, offset_of, throwaway
from vmgen_build.build.verify import ask_all
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus, Event, Note
from vmgen_build.guests.qemu import console as qemuconsole
from vmgen_build.host.confined import user
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.machine import Drive, Machine, Nic, Volume
from vmgen_build.systems.model import SYSTEMD_UP

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Built = tuple[Machine, Path, dict[str, Any]]

RECIPES = Path(__file__).parent / "recipes"
MIB, GIB = 1 << 20, 1 << 30


def volume(number: int, mount: str | None, fs: str = "ext4") -> Volume:
    return Volume(
        option=f"p{number}", number=number, kind="primary", fs=fs, size=None, mount=mount, label=None, uuid="0"
    )


def machine(*volumes: Volume, firmware: str = "bios") -> Machine:
    drives = tuple(
        Drive(
            name=f"hdd{n}",
            file=f"{n}.vmdk",
            size=None,
            bus="sata",
            controller="pvscsi",
            index=0,
            unit=n,
            table="dos",
            boot=not n,
            volumes=() if n else volumes,
        )
        for n in range(2)
    )
    return Machine(
        name="m",
        os="debian-12",
        arch="amd64",
        cpus=1,
        ram=512 * MIB,
        firmware=firmware,
        hw_version=13,
        drives=drives,
        cds=(),
        nics=(),
    )


def disk(path: Path, table: str, units: str = "etc/systemd/system") -> Path:
    """Two partitions; the second holds a root file system."""
    tree = path.parent / "tree"
    (tree / units).mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    script = f"label: {table}\nstart=1MiB, size=8MiB\nstart=16MiB, size=40MiB\n"
    subprocess.run(["sfdisk", "--quiet", path], input=script, text=True, check=True)
    command: list[str | Path] = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-d",
        tree,
        "-E",
        f"offset={16 * MIB}",
        path,
        "40m",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def debugfs(image: Path, request: str) -> str:
    command = ["debugfs", "-R", request, f"{image}?offset={16 * MIB}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_the_agent_is_put_into_the_root_file_system(tmp_path: Path, table: str) -> None:
    image = disk(tmp_path / "disk1", table)
    one = machine(volume(1, "/boot"), volume(2, "/"))
    assert offset_of(image, 2) == 16 * MIB
    assert give_agent(one, (image, image)) == ""
    assert "ExecStart" in debugfs(image, f"cat {UNITS}/{UNIT}")
    assert f'Fast link dest: "{UNITS}/{UNIT}"' in debugfs(image, f"stat {UNITS}/{WANTS}/{UNIT}")
    assert debugfs(image, f"cat {UNITS}/{SCRIPT}").startswith("#!/bin/sh\n")
    subprocess.run(["e2fsck", "-fn", f"{image}?offset={16 * MIB}"], check=True, capture_output=True)


def test_a_root_that_nothing_writes_to_is_reported(tmp_path: Path) -> None:
    reason = give_agent(machine(volume(1, "/", "btrfs")), (tmp_path / "none",))
    assert reason == "nothing on this host writes to a btrfs file system without mounting it"


def test_a_root_without_systemd_and_a_missing_partition_are_errors(tmp_path: Path) -> None:
    image = disk(tmp_path / "disk1", "dos", "etc")
    with pytest.raises(BuildError, match="cannot write to the root file system of the machine's copy"):
        give_agent(machine(volume(2, "/")), (image, image))
    with pytest.raises(BuildError, match="disk1 has no partition 3"):
        give_agent(machine(volume(3, "/")), (image, image))


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_issue_8_8_a_disk_without_any_partition_is_an_error_of_the_image(tmp_path: Path, table: str) -> None:
    with (tmp_path / "disk1").open("wb") as file:
        file.truncate(8 * MIB)
    subprocess.run(["sfdisk", "--quiet", tmp_path / "disk1"], input=f"label: {table}\n", text=True, check=True)
    with pytest.raises(BuildError, match="disk1 has no partition 1"):
        offset_of(tmp_path / "disk1", 1)


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_only_copies_are_written_to(tmp_path: Path, form: str) -> None:
    (tmp_path / "scratch").mkdir()
    own = disk(tmp_path / "own", "dos")
    first, second = tmp_path / "first, really", tmp_path / "second"
    for goal in (first, second):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, own, goal], check=True)
    before = digest(first), digest(second)
    disks = [Disk("hdd0", first, form), Disk("hdd1", second, form)]
    copies = throwaway(machine(volume(2, "/")), disks, tmp_path / "scratch")
    assert all(path.is_relative_to(tmp_path / "scratch") for path in copies)
    assert [digest(copy) for copy in copies] == [digest(own)] * 2
    assert give_agent(machine(volume(2, "/")), copies) == ""
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 64k", copies[1]], check=True, capture_output=True)
    assert (digest(first), digest(second)) == before


def test_a_raw_copy_of_the_caller_is_not_copied_again(tmp_path: Path) -> None:
    own = disk(tmp_path / "own", "dos")
    disks = [Disk("hdd0", own), Disk("hdd1", own)]
    assert throwaway(machine(volume(2, "/")), disks, tmp_path) == (own, own)


def test_a_raw_disk_that_looks_like_another_format_stays_a_raw_disk(tmp_path: Path) -> None:
    """A guest may write to its first sector what it likes, such as a qcow2 head that names a file of the host."""
    (tmp_path / "scratch").mkdir()
    secret, own = disk(tmp_path / "secret", "dos"), tmp_path / "own"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, own], check=True)
    copies = throwaway(machine(volume(2, "/")), [Disk("hdd0", own), Disk("hdd1", own)], tmp_path / "scratch")
    assert copies[0].read_bytes().rstrip(b"\0") == own.read_bytes().rstrip(b"\0")


@pytest.mark.parametrize(("firmware", "table"), [("bios", None), ("efi", "gpt")])
def test_a_disk_that_firmware_does_not_take_is_reported_at_once(
    tmp_path: Path, firmware: str, table: str | None
) -> None:
    images = [disk(tmp_path / name, table or "dos") for name in ("first", "second")]
    if table is None:
        with images[0].open("r+b") as file:
            file.seek(510)
            file.write(bytes(2))
    with pytest.raises(BuildError) as caught:
        boot_in_vain(machine(volume(2, "/", "xfs"), firmware=firmware), images, tmp_path)
    assert str(caught.value).startswith(
        "the machine does not start: its firmware finds nothing to boot\nthe last lines of its console:\n"
    )


def test_a_disk_without_boot_code_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemuconsole, "STALL", 2.0)
    images = [disk(tmp_path / name, "dos") for name in ("first", "second")]
    with pytest.raises(BuildError, match="its disk has no boot loader, or one that shows nothing for 2 s"):
        boot_in_vain(machine(volume(2, "/", "xfs")), images, tmp_path)


def test_what_qemu_refuses_is_reported(tmp_path: Path) -> None:
    image = disk(tmp_path / "disk", "dos")
    with pytest.raises(BuildError, match=r'QEMU said: .* Failed to get "write" lock'):
        boot_in_vain(machine(volume(2, "/")), [image, image], tmp_path)


@pytest.fixture(scope="module")
def built(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The smallest machine that boots by BIOS, its disk, and its manifest."""
    out = tmp_path_factory.mktemp("small")
    done = vmgen(RECIPES / "efi.ini", "-b", "kvm", "-o", out, "--set", "hardware.firmware=bios")
    assert done.returncode == 0, done.stderr[-4000:]
    manifest = json.loads((out / "efitest-kvm-amd64.qcow2.manifest.json").read_text())
    return Machine.from_json(manifest["build_recipe"]["machine.json"]), out / "efitest-kvm-amd64.qcow2", manifest


def capacity(disk: Path) -> int:
    """Bytes that the machine sees."""
    reported = subprocess.run(["qemu-img", "info", "--output=json", disk], capture_output=True, check=True).stdout
    return int(json.loads(reported)["virtual-size"])


def boot(
    one: Machine, disks: list[Disk], scratch: Path, work: Callable[[VmBooted], object], timeout: float = 600.0
) -> tuple[object, list[Event]]:
    events: list[Event] = []

    def inside(bus: Bus) -> object:
        with booted_vm(one, disks, Boot(bus, scratch, timeout, SYSTEMD_UP)) as booted:
            return work(booted)

    return run_isolated(inside, Bus(events.append), net=True), events


def boot_in_vain(one: Machine, images: list[Path], scratch: Path) -> None:
    boot(one, [Disk(image.name, image) for image in images], scratch, lambda _: None, 120.0)


def test_a_boot_loader_that_finds_nothing_is_reported_at_once(built: Built, tmp_path: Path) -> None:
    one, image, _ = built
    copy = tmp_path / "copy"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, copy], check=True)
    number = next(v.number for _, v in one.volumes() if v.mount == "/")
    start = offset_of(copy, number)
    blank = replace(one, drives=(replace(one.drives[0], volumes=(volume(number, "/", "xfs"),)),))
    with copy.open("r+b") as file:
        file.seek(start)
        file.write(bytes(MIB))
    with pytest.raises(BuildError, match="its boot loader does not find what to boot"):
        boot_in_vain(blank, [copy], tmp_path)


QUESTIONS = {
    "me": "id -u; hostname",
    "units": "systemctl list-units --state=failed --no-legend",
    "root": "findmnt -bno SIZE /",
    "partition": "cat /sys/class/block/sda1/size",
    "table": "sfdisk --verify /dev/sda",
    "lease": "ip -4 -o addr show dev eth0 scope global",
    "address": "cat /sys/class/net/eth0/address",
    "plugged": "cat /sys/class/net/eth0/carrier",
    "unplugged": "cd $(dirname $(grep -l 02:00:00:00:00:01 /sys/class/net/*/address))\n"
    "ip link set ${PWD##*/} up; sleep 2; cat carrier",
    "again": "/usr/lib/vmgen/grow-root; /usr/lib/vmgen/name-links",
}


def assert_issue_8_16_qemu_has_no_rights() -> None:
    """Called in a worker, whose processes are all that there are."""
    statuses = [path.read_text() for path in Path("/proc").glob("[0-9]*/status")]
    found = [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in statuses]
    (status,) = [one for one in found if one["Name"] == "qemu-system-x86"]
    assert {int(word) for word in status["Uid"].split()} == {user()}
    assert (int(status["CapEff"], 16), status["NoNewPrivs"], status["Seccomp"]) == (0, "1", "2")


@pytest.mark.slow
def test_a_qcow2_boots_on_an_enlarged_disk_with_other_adapters_and_is_spoken_to(built: Built, tmp_path: Path) -> None:
    """One boot for all: the probes, what hypervisors change, what of it the guest takes up, the way there and back."""
    one, image, manifest = built
    disk = tmp_path / "larger"
    subprocess.run(["cp", image, disk], check=True)
    size = capacity(disk)
    subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", disk, str(size + GIB)], check=True)
    nics = tuple(
        Nic(name=f"eth{n}", hw_addr=f"02:00:00:00:00:0{n}", type="nat", adapter="e1000", bridge=None, connected=not n)
        for n in range(2)
    )
    before = digest(disk)
    (tmp_path / "sent").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "scratch").mkdir()

    def work(booted: VmBooted) -> dict[str, tuple[int, str]]:
        guest = booted.communicator
        assert_issue_8_16_qemu_has_no_rights()
        guest.put(tmp_path / "sent", "/root/it", 0o600)
        guest.get("/root/it", tmp_path / "back")
        guest.delete("/root/it")
        probes = ask_all(booted, probes_of(manifest), Bus())
        failing = [result.probe for result in probes if result.outcome == "fails"]
        assert failing == ["eth0-hw-addr"] and len(probes) > 10, "all hold but for the adapter, which is another one"
        ran = {name: guest.run(script, 120.0) for name, script in QUESTIONS.items()}
        ran |= {"gone": guest.run("test -e /root/it"), "late": guest.run("sleep 60", 0.5)}
        return {name: (r.code, r.out.strip()) for name, r in ran.items()} | {
            "nobody": (0, booted.reach("192.0.2.77", 22))
        }

    found, message = boot(replace(one, nics=nics, cpus=64), [Disk("hdd0", disk, "qcow2")], tmp_path / "scratch", work)
    assert isinstance(found, dict)
    assert (found.pop("gone")[0], found.pop("late")[0]) == (1, 124)
    assert {name: ran for name, ran in found.items() if ran[0]} == {}
    answers = {name: out for name, (_, out) in found.items()}
    assert answers["me"].split() == ["0", "efitest"] and answers["units"] == ""
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
    assert int(answers["partition"]) * 512 > size + GIB - 4 * MIB
    assert int(answers["root"]) > size
    assert (answers["address"], answers["plugged"], answers["unplugged"]) == ("02:00:00:00:00:00", "1", "0")
    assert "inet " in answers["lease"] and answers["nobody"] != "open"
    notes = [event.text for event in message if isinstance(event, Note)]
    assert any(note.startswith("booted in ") and note.endswith(": running") for note in notes), notes
    assert any("the machine boots with those, not with 64" in note for note in notes)
    assert digest(disk) == before
