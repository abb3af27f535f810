"""VirtualBox of Debian sid: imports of OVAs, and disks that lie alone. Neither needs its kernel module.

What it shows of a machine is compared with the machine that the recipe describes, field by field.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.consumers.chroot import Inside, Refused, entered, made
from tests.consumers.model import Images, Try
from vmgen_build.plan.machine import Machine, Nic, machine_of
from vmgen_build.recipe.load import load

PACKAGES = ("virtualbox", "iproute2")
HOME = "/root"

_HEAD = "[hardware]\nvm_id = {name}\nos = debian-12-amd64\nnum_cpu = 2\nram = 1024\n"
_NATS = """[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:12:34:56
[[[eth1]]]
hw_addr = 02:16:3e:12:34:57
[[[eth2]]]
connected = no
"""
_NETS = """[[eths]]
[[[eth0]]]
adapter = vmxnet3
[[[eth1]]]
type = bridged
adapter = e1000e
[[[eth2]]]
type = hostonly
"""
_SECOND = "[[hdds]]\n[[[system]]]\nsize = 4G\n[[[data]]]\nsize = 64M\npos = 0:5\n"
_BUSES = """[[hdds]]
[[[system]]]
type = sata
[[[fast]]]
type = nvme
size = 64M
[[[old]]]
type = ide
size = 32M
[[cds]]
[[[cd0]]]
"""

MACHINES: Mapping[str, str] = {
    "a BIOS machine": _HEAD.format(name="bios"),
    "an EFI machine": _HEAD.format(name="efi") + "firmware = efi\n",
    "two disks": _HEAD.format(name="disks") + _SECOND,
    "SATA, NVMe and IDE disks, an empty CD drive": _HEAD.format(name="buses") + _BUSES,
    "three NAT adapters with MACs, one unplugged": _HEAD.format(name="nats") + _NATS,
    "vmxnet3, bridged and host-only adapters": _HEAD.format(name="nets") + _NETS,
}

_Use = Callable[[Inside, Path, Path], Iterator[str]]
"""Of the inside, the images, and the home of its user as this host sees it: each thing that is wrong."""

_ADAPTERS = {"e1000": "82545EM", "e1000e": "82540EM", "vmxnet3": "82540EM", "pcnet32": "Am79C973"}
_CONTROLLERS = {"scsi": "LsiLogic", "sata": "IntelAhci", "nvme": "NVMe", "ide": "PIIX4"}
_LINE = re.compile(r'"?([^"=]+)"?="?([^"]*)"?')
_SYSTEM = "Debian (64-bit)"


def tries(images: Images) -> Iterator[Try]:
    root = made(images.chroots, "sid", PACKAGES, "main contrib")
    with entered(root) as inside:
        version = inside.ask("VBoxManage", "--version").split()[-1].split("_")[0]
    program = f"VirtualBox {version} (sid)"
    for what, recipe in MACHINES.items():
        folder = images.build(recipe, "-b", "vmware")
        yield Try(program, f"import: {what}", _wrong(root, folder, _imported))
    lone = images.build(MACHINES["a BIOS machine"], "-b", "vmware", "--format", "vmdk")
    yield Try(program, "a lone VMDK: attach, clone", _wrong(root, lone, _attached))


def _wrong(root: Path, folder: Path, used: _Use) -> tuple[str, ...]:
    """Of a new user of VirtualBox, who finds the images in /images."""
    with tempfile.TemporaryDirectory() as home, entered(root, [(folder, "/images"), (Path(home), HOME)]) as inside:
        try:
            return tuple(used(inside, folder, Path(home)))
        except Refused as error:
            return (str(error),)


def _imported(inside: Inside, images: Path, home: Path) -> Iterator[str]:
    machine = machine_of(load(images / "recipe.ini"))
    for options in (("--options", "keepallmacs"), ("--vsys", "0", "--vmname", "again")):
        inside.ask("VBoxManage", "import", f"/images/{machine.name}.ova", *options)
    shown = inside.ask("VBoxManage", "showvminfo", machine.name, "--machinereadable")
    info = {match[1]: match[2] for line in shown.splitlines() if (match := _LINE.fullmatch(line))}
    for field, wanted in _fields(machine).items():
        if info.get(field) != wanted:
            yield f"{field} is {info.get(field)}, and not {wanted}"
    if (found := _places(info)) != (expected := _wanted_places(machine)):
        yield f"on the controllers hangs {sorted(found)}, and not {sorted(expected)}"
    folder = home / "VirtualBox VMs" / machine.name
    subprocess.run(["tar", "-xf", images / f"{machine.name}.ova", "-C", home], check=True)
    for drive in machine.drives:
        yield from _differs(home / drive.file, folder / drive.file)


def _fields(machine: Machine) -> dict[str, str]:
    found = {"name": machine.name, "ostype": _SYSTEM, "cpus": str(machine.cpus), "memory": str(machine.ram >> 20)}
    found |= {"firmware": machine.firmware.upper(), "audio": "none", "rtcuseutc": "on", "ioapic": "on"}
    for number, nic in enumerate(machine.nics, 1):
        found |= _adapter(nic, str(number))
    return found | {f"nic{len(machine.nics) + 1}": "none"}


def _adapter(nic: Nic, number: str) -> dict[str, str]:
    return {
        f"nic{number}": nic.type,
        f"nictype{number}": _ADAPTERS[nic.adapter],
        f"macaddress{number}": nic.hw_addr.replace(":", "").upper(),
        f"cableconnected{number}": "on" if nic.connected else "off",
    }


def _places(info: Mapping[str, str]) -> set[str]:
    """ "LsiLogic 0:0 lab-hdd0.vmdk" of each thing that hangs on a controller."""
    found = set()
    for field, name in info.items():
        if field.startswith("storagecontrollername"):
            kind = info[field.replace("name", "type")]
            for key, value in info.items():
                place = re.fullmatch(rf"{re.escape(name)}-(\d+)-(\d+)", key)
                if place and value != "none":
                    found.add(f"{kind} {place[1]}:{place[2]} {Path(value).name}")
    return found


def _wanted_places(machine: Machine) -> set[str]:
    found = set()
    for drive in machine.drives:
        port, device = (drive.index, drive.unit) if drive.bus == "ide" else (drive.unit, 0)
        found.add(f"{_CONTROLLERS[drive.bus]} {port}:{device} {drive.file}")
    return found | {f"PIIX4 {index}:{unit} emptydrive" for index, unit in machine.cd_positions()}


def _attached(inside: Inside, images: Path, home: Path) -> Iterator[str]:
    """By a machine that a user has made. The disk that comes with the image stays as it is."""
    inside.ask("cp", "/images/bios.vmdk", f"{HOME}/bios.vmdk")
    inside.ask("VBoxManage", "createvm", "--name", "own", "--ostype", "Debian_64", "--register")
    inside.ask("VBoxManage", "storagectl", "own", "--name", "SATA", "--add", "sata")
    words = ["storageattach", "own", "--storagectl", "SATA", "--port", "0", "--type", "hdd"]
    inside.ask("VBoxManage", *words, "--medium", f"{HOME}/bios.vmdk")
    inside.ask("VBoxManage", "clonemedium", "disk", f"{HOME}/bios.vmdk", f"{HOME}/clone.vdi")
    yield from _differs(images / "bios.vmdk", home / "clone.vdi")


def _differs(one: Path, other: Path) -> Iterator[str]:
    done = subprocess.run(["qemu-img", "compare", one, other], capture_output=True, text=True)
    if done.returncode != 0:
        yield f"{other.name} does not hold what {one.name} does: {(done.stdout + done.stderr).strip()}"
