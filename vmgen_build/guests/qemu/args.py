"""The command line that boots a machine in QEMU, on the devices that its recipe names. Pure.

What VMware has and QEMU lacks is replaced by its nearest kin:

- "lsilogic" (LSI 53C1030, parallel SCSI): lsi53c895a, LSI's parallel SCSI chip before it. Nearer kin by its firmware
  interface is mptsas1068, whose disks Linux 6.1 does not find in QEMU 7.2.
- OVMF, as distributions build it, has no driver for VMware's SCSI controllers. The disks that it boots an EFI machine
  from hang on virtio-scsi, all others where the recipe has them.
- A controller that takes fewer disks than VMware's is followed by more of its kind.
- A board with both EFI and IDE: QEMU's q35 has no IDE, so such a machine gets the older board, as VMware's do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.catalogue.hardware import BUSES
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import Drive, Machine, Nic

_CARDS: Mapping[str, str] = {"pcnet32": "pcnet"}
"""Recipe's word for an adapter -> QEMU's device, where it is another."""

CONTROLLERS = {
    "pvscsi": ("pvscsi", 64),
    "lsilogic": ("lsi53c895a", 7),
    "virtio": ("virtio-scsi-pci", 256),
    "sata": ("ich9-ahci", 6),
    "nvme": ("nvme", 256),
}
"""Recipe's word -> QEMU's device, and how many disks it takes."""

BOOTED_FROM = ("/", "/boot", "/boot/efi")
"""Mount points of what firmware and boot loader read."""

EMULATED = "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+lahf-lm"
"""An x86-64-v2 processor, the least that RHEL 9 and its relatives run on. What it lacks a kernel need not set up and
test: with `max`, an emulated machine boots a third slower."""

MIB = 1 << 20

Q35_PORTS = 6


@dataclass(frozen=True, slots=True)
class Power:
    """What the host gives: accel "kvm" or "tcg", processors, memory in bytes."""

    accel: str
    cpus: int
    memory: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """The host's ends of a machine: open descriptors, each of them open in QEMU under its number.

    disks: for each drive, in order, a raw image, or the qcow2 images that make it up, each above the one before it; the
    last of them is written to. cds: by the number of its drive, the image in it. firmware: EFI's code and the machine's
    own copy of its variables. taps: a tap device for each interface, in order; None where QEMU itself stands between
    the interfaces and this host's network (USER_NETWORK). agent, control: connected sockets for the second serial port
    and for QMP. console: a file for the first serial port to write to. offered: a raw image that is read only, a disk
    of the serial number OFFERED; None for none. forwards: whether a port of this host's loopback leads to port 22 of
    the machine, by QEMU's own network. guest_agent, shell: connected sockets for QEMU's guest agent and for the third
    serial port; None for none. clock: what the machine's clock begins with, as qemu(1) has it for -rtc base. floppy:
    the image in A:; None for no drive. installs: whether the first CD starts the machine where no disk does. resets:
    whether the machine may start anew by itself; where it may not, QEMU ends then. terminal: a connected socket for the
    first serial port, in place of the file; None for the file. window: whether its screen may be shown to viewers.
    """

    disks: tuple[int | tuple[int, ...], ...]
    cds: Mapping[int, int]
    firmware: tuple[int, int] | None
    taps: tuple[int, ...] | None
    console: int
    agent: int
    control: int
    offered: int | None = None
    forwards: bool = False
    guest_agent: int | None = None
    shell: int | None = None
    clock: str = "utc"
    floppy: int | None = None
    installs: bool = False
    resets: bool = False
    terminal: int | None = None
    window: bool = False

    @property
    def files(self) -> tuple[int, ...]:
        """Those that QEMU opens by name."""
        disks = [fd for disk in self.disks for fd in ((disk,) if isinstance(disk, int) else disk)]
        more = (one for one in (self.offered, self.floppy) if one is not None)
        return (*disks, *self.cds.values(), *(self.firmware or ()), *more, self.console)

    @property
    def fds(self) -> tuple[int, ...]:
        more = (one for one in (self.guest_agent, self.shell, self.terminal) if one is not None)
        return (*self.files, *(self.taps or ()), self.agent, *more, self.control)


USER_NETWORK = "ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3"
"""qemu(1), -netdev user: what the guest sends there QEMU sends on from sockets of its own. 10.0.2.2 is this host."""

FORWARD = "hostfwd=tcp:127.0.0.1:0-:22"
"""A free port of this host, which QEMU chooses, to what has the first address of USER_NETWORK."""

OFFERED = "vmgen-offered"

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's filter of system calls (seccomp): no other program is started, and no right gained."""


def arguments(machine: Machine, wiring: Wiring, power: Power) -> list[str]:
    """Raises BuildError for what QEMU's boards have no place for."""
    board = board_of(machine)
    words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-sandbox", SANDBOX]
    words += ["-name", _option(machine.name)]
    # graphics=off: SeaBIOS and GRUB's first stages write to the serial port too (SeaBIOS, sercon-port).
    words += ["-machine", f"{board},graphics=off", "-display", "none", "-vga", "std"]
    words += ["-accel", "kvm" if power.accel == "kvm" else "tcg,thread=multi,tb-size=256"]
    words += ["-cpu", "host" if power.accel == "kvm" else EMULATED]
    words += ["-smp", str(min(machine.cpus, power.cpus)), "-m", str(_memory(machine, power) // MIB)]
    words += [*([] if wiring.resets else ["-no-reboot"]), "-rtc", f"base={wiring.clock}"]
    for number in wiring.files:
        words += ["-add-fd", f"fd={number},set={number}"]
    if wiring.firmware is not None:
        code, variables = map(_file, wiring.firmware)
        words += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
        words += ["-drive", f"if=pflash,unit=1,format=raw,auto-read-only=off,file={variables}"]
    words += ["-chardev", _console(wiring), "-serial", "chardev:console"]
    words += ["-chardev", f"socket,id=agent,fd={wiring.agent}", "-serial", "chardev:agent"]
    if wiring.shell is not None:
        words += ["-chardev", f"socket,id=shell,fd={wiring.shell}", "-serial", "chardev:shell"]
    words += ["-chardev", f"socket,id=control,fd={wiring.control}", "-mon", "chardev=control,mode=control"]
    if wiring.window:
        words += ["-vnc", "none", "-device", "qemu-xhci,id=usb", "-device", "usb-tablet,bus=usb.0"]
    drives, cds = _drives(machine, wiring.disks), _cds(machine, board, wiring)
    words += [*_guest_agent(wiring.guest_agent), *_floppy(wiring.floppy)]
    return [*words, *drives, *cds, *_offered(wiring.offered), *_nics(machine.nics, wiring)]


def _console(wiring: Wiring) -> str:
    if wiring.terminal is not None:
        return f"socket,id=console,fd={wiring.terminal}"
    return f"file,id=console,append=on,path={_file(wiring.console)}"


def _file(number: int) -> str:
    """The set of this one descriptor (qemu(1), -add-fd)."""
    return f"/dev/fdset/{number}"


def board_of(machine: Machine) -> str:
    """QEMU's name of it: "pc" (as VMware's, the 440BX) or "q35"."""
    has_ide = any(drive.bus == "ide" for drive in machine.drives)
    return "q35" if machine.firmware == "efi" and not has_ide else "pc"


def reduced(machine: Machine, power: Power) -> list[str]:
    """What the machine gets less of than its recipe says, as sentences."""
    found = []
    if machine.cpus > power.cpus:
        found.append(f"this host has {power.cpus} processors: the machine boots with those, not with {machine.cpus}")
    if (given := _memory(machine, power)) < machine.ram:
        found.append(
            f"this host has {power.memory // MIB} MiB of memory to give: the machine boots with {given // MIB} MiB,"
            f" not with {machine.ram // MIB}"
        )
    return found


def replaced(machine: Machine) -> list[str]:
    """What the machine gets in place of what its recipe says, as sentences."""
    kinds = {(drive.controller, _kind(machine, drive)) for drive in machine.drives if drive.bus == "scsi"}
    return [
        f"QEMU boots from no {named} controller {'by EFI' if kind == 'virtio' else 'of its own'}:"
        f" {CONTROLLERS[kind][0]} takes its place"
        for named, kind in sorted(kinds)
        if CONTROLLERS[kind][0] != named
    ]


def _memory(machine: Machine, power: Power) -> int:
    return min(machine.ram, power.memory)


def _drives(machine: Machine, disks: Sequence[int | tuple[int, ...]]) -> Iterator[str]:
    controllers: set[str] = set()
    for number, (drive, image) in enumerate(zip(machine.drives, disks, strict=True)):
        if isinstance(image, int):
            how = "format=raw,auto-read-only=off,cache=unsafe"
            yield from ("-drive", f"if=none,id=disk{number},{how},file={_file(image)}")
        else:
            yield from _stacked(number, image)
        boot = ",bootindex=1" if drive.boot else ""
        if drive.bus == "ide":
            if not BUSES["ide"].holds((drive.index, drive.unit)):
                raise BuildError(f"'{drive.name}': a machine has two IDE controllers, 0 and 1; change its pos")
            yield from ("-device", f"ide-hd,bus=ide.{drive.index},unit={drive.unit},drive=disk{number}{boot}")
            continue
        kind = _kind(machine, drive)
        device, room = CONTROLLERS[kind]
        follower, place = divmod(drive.unit, room)
        name = f"{kind}{drive.index}x{follower}"
        if name not in controllers:
            controllers.add(name)
            yield from ("-device", f"{device},id={name}{f',serial={name}' if kind == 'nvme' else ''}")
        yield from ("-device", f"{_place(kind, name, place)},drive=disk{number}{boot}")


def layer_options(name: str, fd: int, below: str | None, *, writable: bool) -> dict[str, object]:
    """A qcow2 image above another, as QMP's blockdev-add takes it (qemu-qmp-ref(7), BlockdevOptionsQcow2). Which image
    is below is said here, and what the image itself says of it is not read."""
    file = {"driver": "file", "filename": _file(fd), "auto-read-only": False, "discard": "unmap"}
    common = {"read-only": not writable, "cache": {"no-flush": True}}
    return {
        "driver": "qcow2",
        "node-name": name,
        "file": file | common,
        "backing": below,
        "discard": "unmap",
        **common,
    }


def _stacked(number: int, images: Sequence[int]) -> Iterator[str]:
    """The topmost image is the node that bears the disk's name."""
    below = None
    for height, fd in enumerate(images, 1):
        top = height == len(images)
        name = f"disk{number}" if top else f"disk{number}-{height}"
        yield from ("-blockdev", json.dumps(layer_options(name, fd, below, writable=top)))
        below = name


def _offered(image: int | None) -> Iterator[str]:
    if image is not None:
        yield from ("-drive", f"if=none,id=offered,format=raw,readonly=on,file={_file(image)}")
        yield from ("-device", f"virtio-blk-pci,drive=offered,serial={OFFERED}")


def _kind(machine: Machine, drive: Drive) -> str:
    """A key of CONTROLLERS."""
    if drive.bus != "scsi":
        return drive.bus
    booted_from = drive.boot or any(volume.mount in BOOTED_FROM for volume in drive.volumes)
    return "virtio" if machine.firmware == "efi" and booted_from else drive.controller


def _place(kind: str, controller: str, place: int) -> str:
    """The disk's device at its place."""
    if kind == "sata":
        return f"ide-hd,bus={controller}.{place}"
    if kind == "nvme":
        return f"nvme-ns,bus={controller},nsid={place + 1}"
    return f"scsi-hd,bus={controller}.0,scsi-id={place},lun=0"


def _cds(machine: Machine, board: str, wiring: Wiring) -> Iterator[str]:
    """A drive without an image is empty."""
    for number, place in enumerate(_cd_places(machine, board)):
        medium = ""
        if number in wiring.cds:
            source = _file(wiring.cds[number])
            yield from ("-drive", f"if=none,id=cd{number},media=cdrom,readonly=on,format=raw,file={source}")
            medium = f",drive=cd{number}"
        boot = ",bootindex=2" if wiring.installs and number == 0 else ""
        yield from ("-device", f"ide-cd,{place}{medium}{boot}")


def _cd_places(machine: Machine, board: str) -> list[str]:
    """The place of each CD drive, as -device takes it."""
    if board == "pc":
        return [f"bus=ide.{index},unit={unit}" for index, unit in machine.cd_positions()]
    if len(machine.cds) > Q35_PORTS:
        raise BuildError(
            f"{machine.name} has more than the {Q35_PORTS} CD drives that QEMU's board takes; leave some out"
        )
    return [f"bus=ide.{port}" for port in range(len(machine.cds))]


def _guest_agent(socket: int | None) -> Iterator[str]:
    """A port of the name that qemu-ga(8) looks for."""
    if socket is not None:
        yield from ("-device", "virtio-serial-pci", "-chardev", f"socket,id=guest-agent,fd={socket}")
        yield from ("-device", "virtserialport,chardev=guest-agent,name=org.qemu.guest_agent.0")


def _floppy(image: int | None) -> Iterator[str]:
    """Only the older board has a controller for one."""
    if image is not None:
        yield from ("-drive", f"if=floppy,index=0,format=raw,readonly=on,file={_file(image)}")


def _nics(nics: Sequence[Nic], wiring: Wiring) -> Iterator[str]:
    """romfile= : nothing is booted from a network."""
    own = f"{USER_NETWORK},{FORWARD}" if wiring.forwards else USER_NETWORK
    for number, nic in enumerate(nics):
        kind, options = ("user", own) if wiring.taps is None else ("tap", f"fd={wiring.taps[number]}")
        card = _CARDS.get(nic.adapter, nic.adapter)
        yield from ("-netdev", f"{kind},id=net{number},{options}")
        yield from ("-device", f"{card},id=nic{number},netdev=net{number},mac={nic.hw_addr},romfile=")


def _option(text: str) -> str:
    """A value within a list of options, where a comma is written twice (qemu(1))."""
    return text.replace(",", ",,")
