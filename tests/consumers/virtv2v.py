"""virt-v2v of Debian 12: what it reads of each OVA, and the conversion of one to its end, whose machine then boots.

libguestfs runs a small machine of its own, emulated: a conversion takes half an hour.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.consumers.chroot import Inside, Refused, entered, made
from tests.consumers.model import Images, Try
from tests.consumers.virtualbox import MACHINES
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

PACKAGES = ("virt-v2v", "nbdkit", "libnbd-bin", "linux-image-amd64", "qemu-system-x86", "qemu-utils", "e2fsprogs")
"""nbdkit and libnbd-bin are what virt-v2v misses at its very end. The kernel is that of libguestfs's machine."""

ENVIRON = "LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg"
WORDS = "virt-v2v -i ova /images/{name}.ova -o local -os /converted -of qcow2 -n default"
LONGEST = 4 * 3600.0
"""Seconds, on a busy host without KVM."""

LOGIN = re.compile(r"^(\S+) login:", re.MULTILINE)


def tries(images: Images) -> Iterator[Try]:
    root = made(images.chroots, "bookworm", PACKAGES)
    with entered(root) as inside:
        program = f"virt-v2v {inside.ask('virt-v2v', '--version').split()[1]} (Debian 12)"
    for what, recipe in MACHINES.items():
        yield Try(program, f"read: {what}", _wrong(root, images.build(recipe, "-b", "vmware"), _read))
    out = images.build(MACHINES["a BIOS machine"], "-b", "vmware")
    yield Try(program, "convert: a BIOS machine, which then boots", _wrong(root, out, _converted))


def _wrong(root: Path, images: Path, used: Callable[[Inside, Path, Machine], Iterator[str]]) -> tuple[str, ...]:
    """What is wrong; what it refuses is one such thing."""
    machine = machine_of(load(images / "recipe.ini"))
    with (
        tempfile.TemporaryDirectory(prefix="vmgen-v2v-", dir=images.parent) as goal,
        entered(root, [(images, "/images"), (Path(goal), "/converted")]) as inside,
    ):
        try:
            return tuple(used(inside, Path(goal), machine))
        except Refused as error:
            return (str(error),)


def _read(inside: Inside, goal: Path, machine: Machine) -> Iterator[str]:
    shown = inside.ask("virt-v2v", "-i", "ova", f"/images/{machine.name}.ova", "--print-source")
    lines = [line.partition(":") for line in shown.splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in lines}
    wanted = {"source name": machine.name, "memory": f"{machine.ram} (bytes)", "nr vCPUs": str(machine.cpus)}
    wanted["firmware"] = {"efi": "uefi"}.get(machine.firmware, machine.firmware)
    for field, value in wanted.items():
        if fields.get(field) != value:
            yield f"{field} is {fields.get(field)}, and not {value}"
    disks = shown.partition("\ndisks:")[2].partition("\nremovable media:")[0].split("\n")
    if (count := len([line for line in disks if line.strip()])) != len(machine.drives):
        yield f"{count} disks, and not {len(machine.drives)}"


def _converted(inside: Inside, goal: Path, machine: Machine) -> Iterator[str]:
    words = WORDS.format(name=machine.name)
    printed = inside.ask("sh", "-euc", f"exec env {ENVIRON} {words} 2>&1", timeout=LONGEST)
    if "Finishing off" not in printed:
        yield f"it does not come to its end: {printed[-500:]}"
        return
    (domain,) = goal.glob("*.xml")
    buses = [target.get("bus") for target in ET.parse(domain).iterfind("devices/disk[@device='disk']/target")]
    if buses != ["virtio"] * len(machine.drives):
        yield f"its disks hang on {buses}, and not on virtio"
    networks = [source.attrib for source in ET.parse(domain).iterfind("devices/interface/source")]
    if networks != [{"network": "default"}] * len(machine.nics):
        yield f"its adapters join {networks}, and not the network default"
    (disk,) = goal.glob(f"{machine.name}-sd*")
    yield from _boots(disk, goal / "serial", machine)


def _boots(disk: Path, serial: Path, machine: Machine) -> Iterator[str]:
    """Of a copy: up to the login on its serial console."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(machine.ram >> 20), "-display", "none"]
    command += ["-snapshot", "-drive", f"if=virtio,format=qcow2,file={disk}", "-serial", f"file:{serial}"]
    with subprocess.Popen([*command, "-nic", "none"], stdin=subprocess.DEVNULL) as qemu:
        try:
            for _ in range(120):
                try:
                    ended = qemu.wait(10)
                except subprocess.TimeoutExpired:
                    if LOGIN.search(serial.read_text(errors="replace")):
                        return
                    continue
                yield f"QEMU ends with {ended}"
                return
            yield "no login on its serial console after 20 minutes"
        finally:
            qemu.kill()
