"""libvirt of Debian 13: each domain is defined, twice, and compared with the recipe; one machine starts without KVM.

What its daemon prints of a domain is compared with the machine that the recipe describes, device by device.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.consumers.chroot import Inside, Refused, entered, made
from tests.consumers.model import Images, Try
from tests.consumers.virtualbox import MACHINES
from vmgen_build.backends.kvm.domain import MODELS
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

PACKAGES = (
    *("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-daemon-config-network", "libvirt-clients"),
    *("qemu-system-x86", "qemu-utils", "ovmf", "dnsmasq-base", "iproute2", "iptables", "nftables", "zstd"),
)
IMAGES = "/var/lib/libvirt/images"
CONF = 'security_driver = "none"\nstdio_handler = "file"\nuser = "root"\ngroup = "root"\n'
START = """cp /state/qemu.conf /etc/libvirt/
getent passwd libvirt-qemu >/dev/null || useradd --system libvirt-qemu
mkdir -p /dev/net; mknod /dev/net/tun c 10 200
rm -rf /var/lib/libvirt/qemu /etc/libvirt/qemu/*.xml
setsid libvirtd >/run/libvirtd.log 2>&1 &
until virsh -q uri >/dev/null 2>&1; do sleep 1; kill -0 $!; done
"""
EFI = "[hardware]\nvm_id = efi\nos = debian-12\nfirmware = efi\nram = 1024\n[config]\nhostname = hal\n"
SWITCH = ('type="kvm"', 'type="qemu"')
WAIT = 1200.0
"""Seconds that an emulated machine may take until its agent answers, on a busy host."""

_BUSES = {"scsi": "scsi", "sata": "sata", "nvme": "virtio", "ide": "ide"}


def tries(images: Images) -> Iterator[Try]:
    root = made(images.chroots, "trixie", PACKAGES)
    with _daemon(root) as inside:
        program = f"libvirt {inside.ask('virsh', '--version').strip()} (Debian 13)"
        for what, recipe in MACHINES.items():
            plan = images.compile(recipe, "-b", "kvm")
            yield Try(program, f"define: {what}", _wrong(_defined(inside, root, plan)))
        out = images.build(EFI, "-b", "kvm")
        yield Try(program, "start without KVM: name, address, shut down", _wrong(_started(inside, root, out)))


def _wrong(found: Iterator[str]) -> tuple[str, ...]:
    """What is wrong; what it refuses is one such thing."""
    try:
        return tuple(found)
    except Refused as error:
        return (str(error),)


@contextmanager
def _daemon(root: Path) -> Iterator[Inside]:
    """Its domains and files end with it."""
    with tempfile.TemporaryDirectory(prefix="vmgen-libvirt-") as state:
        (Path(state) / "qemu.conf").write_text(CONF)
        with entered(root, [(Path(state), "/state")]) as inside:
            inside.ask("sh", "-euc", START)
            yield inside


def _defined(inside: Inside, root: Path, out: Path) -> Iterator[str]:
    """Twice, as after a rebuild."""
    machine = machine_of(load(out / "recipe.ini"))
    for _ in range(2):
        _define(inside, root, out / "domain.xml")
    shown = ET.fromstring(inside.ask("virsh", "-q", "dumpxml", machine.name))
    yield from _differing(_wanted(machine), _shown(shown))
    inside.ask("virsh", "-q", "undefine", *(("--nvram",) if machine.firmware == "efi" else ()), machine.name)


def _define(inside: Inside, root: Path, domain: Path) -> None:
    (root / "root/domain.xml").write_text(domain.read_text().replace(*SWITCH))
    inside.ask("virsh", "-q", "define", "/root/domain.xml")


def _wanted(machine: Machine) -> dict[str, object]:
    nics = [(nic.hw_addr.lower(), MODELS[nic.adapter], "up" if nic.connected else "down") for nic in machine.nics]
    places = [(drive.index, drive.unit) for drive in machine.drives if drive.bus == "scsi"]
    return {
        "memory": machine.ram >> 10,
        "vcpu": machine.cpus,
        "firmware": machine.firmware,
        "disks": [_BUSES[drive.bus] for drive in machine.drives],
        "places of SCSI disks": places,
        "CD drives": len(machine.cds),
        "adapters": nics,
    }


def _shown(domain: ET.Element) -> dict[str, object]:
    devices = domain.findall("devices/disk")
    disks = [disk for disk in devices if disk.get("device") == "disk"]
    return {
        "memory": int(domain.findtext("memory", "0")),
        "vcpu": int(domain.findtext("vcpu", "0")),
        "firmware": "efi" if _part(domain, "os").get("firmware") == "efi" else "bios",
        "disks": [_part(disk, "target").get("bus") for disk in disks],
        "places of SCSI disks": [_place(disk) for disk in disks if _part(disk, "target").get("bus") == "scsi"],
        "CD drives": len(devices) - len(disks),
        "adapters": [_adapter(one) for one in domain.findall("devices/interface")],
    }


def _adapter(interface: ET.Element) -> tuple[str | None, str | None, str]:
    link = interface.find("link")
    state = "up" if link is None else link.get("state", "up")
    return _part(interface, "mac").get("address"), _part(interface, "model").get("type"), state


def _place(disk: ET.Element) -> tuple[int, int]:
    """Controller, and the place on it, which libvirt calls unit of a target."""
    address = _part(disk, "address")
    return int(address.get("controller", "0")), int(address.get("unit", "0"))


def _part(element: ET.Element, name: str) -> ET.Element:
    found = element.find(name)
    return ET.Element(name) if found is None else found


def _started(inside: Inside, root: Path, out: Path) -> Iterator[str]:
    """As docs/using-images.md says, from net-start to undefine."""
    shutil.copy(out / "efi-kvm-amd64.qcow2", root / IMAGES.lstrip("/"))
    _define(inside, root, out / "efi-kvm-amd64.xml")
    inside.run("virsh", "-q", "net-start", "default")
    inside.ask("virsh", "-q", "start", "efi")
    if not _waited(lambda: "192.168.122." in _agent(inside, "domifaddr", "--source", "agent"), WAIT):
        yield f"its agent tells no address after {WAIT:.0f} s"
        inside.run("virsh", "-q", "destroy", "efi")
    elif (name := _agent(inside, "domhostname", "--source", "agent").strip()) != "hal":
        yield f"its name is {name}, not hal"
    if not _waited(lambda: _is_up(inside), WAIT):
        yield f"it is not up after {WAIT:.0f} s"
    inside.run("virsh", "-q", "shutdown", "efi")
    if not _waited(lambda: "shut off" in inside.run("virsh", "-q", "domstate", "efi").stdout, WAIT):
        yield f"it is not shut down after {WAIT:.0f} s"
    inside.run("virsh", "-q", "undefine", "--nvram", "efi")


def _is_up(inside: Inside) -> bool:
    """The agent answers before the system is up, which loses what is left of its start when it is shut down then."""
    asked = {"path": "/bin/systemctl", "arg": ["is-active", "--quiet", "multi-user.target"]}
    try:
        pid = _asked_agent(inside, "guest-exec", asked)["pid"]
        while not (answer := _asked_agent(inside, "guest-exec-status", {"pid": pid}))["exited"]:
            time.sleep(1)
    except Refused:
        return False
    return bool(answer["exitcode"] == 0)


def _asked_agent(inside: Inside, what: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    text = json.dumps({"execute": what, "arguments": arguments})
    return dict(json.loads(inside.ask("virsh", "-q", "qemu-agent-command", "efi", text))["return"])


def _agent(inside: Inside, verb: str, *words: str) -> str:
    return inside.run("virsh", "-q", verb, "efi", *words).stdout


def _waited(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(2)
    return False


def _differing(wanted: Mapping[str, object], seen: Mapping[str, object]) -> Iterator[str]:
    for key, value in wanted.items():
        if json.dumps(seen[key]) != json.dumps(value):
            yield f"{key}: {seen[key]}, not {value}"
