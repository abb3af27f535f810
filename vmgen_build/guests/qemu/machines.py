"""Machines in QEMU on this host, for a plan to run in. All here runs inside a worker of host.namespaces.

A state is a layer of the store whose tree holds a qcow2 image for each drive. A machine that runs writes to new images
above those; when its state is kept, its file systems stand still for a moment (fsfreeze(8)), and new images are put
above what becomes the layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vmgen_build.artifacts.disk.convert import convert, opened
from vmgen_build.artifacts.disk.qcow2 import check_qcow2
from vmgen_build.artifacts.disk.stacked import flattened
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.bases.supply import Request, Supply, supply_kind
from vmgen_build.errors import BuildError
from vmgen_build.guests.machines.model import PATIENCE, Hypervisor, Note, RunningMachine, built_on
from vmgen_build.guests.machines.settings import settings_for
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.access import HOST, NAME_SERVER, NIC, Access, Standstill, Startup
from vmgen_build.guests.qemu.args import OFFERED, layer_options, reduced
from vmgen_build.guests.qemu.host import own_firmware, power
from vmgen_build.guests.qemu.process import Parts, Qemu
from vmgen_build.host.run import run
from vmgen_build.plan.machine import Drive, Machine
from vmgen_build.plan.minimal import WORK
from vmgen_build.plan.model import Step
from vmgen_build.store.layers import TREE, Store, tree_size
from vmgen_build.store.writeback import written_back
from vmgen_build.systems.model import HOME

TAKE = f"""\
#!/bin/sh
set -eu
lower={WORK}/offered
mkdir -p "$lower"
rm -rf {HOME}.upper {HOME}.work
mkdir -p {HOME} {HOME}.upper {HOME}.work
mount -o ro /dev/disk/by-id/virtio-{OFFERED} "$lower"
mount -t overlay overlay -o "lowerdir=$lower,upperdir={HOME}.upper,workdir={HOME}.work" {HOME}
"""
"""The package indexes that are offered, with all that is written there on the machine's own disk."""

RESTART = "setsid sh -c 'sleep 1; systemctl reboot || reboot' </dev/null >/dev/null 2>&1 &"

GOING_DOWN = 600.0
"""Seconds that a machine may take to end its services."""


def holds(store: Store, state: str) -> bool:
    """Whether a machine may begin with it: it is there, with the very images that it was put above. One that was made
    anew has its blocks elsewhere."""
    if not store.holds(state):
        return False
    below = store.meta(state).get("below", {})
    return all(store.holds(parent) and _made_at(store, parent) == below[parent] for parent in below)


def _made_at(store: Store, state: str) -> float:
    """When the state was made: what tells it from others of its id."""
    return float(store.meta(state)["created"])


def as_built(machine: Machine) -> Machine:
    return built_on(machine, NIC)


def as_started(machine: Machine) -> Machine:
    """The same for a user's machine. QEMU has LSI's SCSI controllers in part alone, and systems of today no driver for
    that part: its disks hang on virtio-scsi meanwhile."""
    drives = (replace(drive, controller=_NEAREST.get(drive.controller, drive.controller)) for drive in machine.drives)
    return replace(machine, drives=tuple(drives), nics=(NIC,), cds=())


_NEAREST = {"lsilogic": "virtio"}


@dataclass(kw_only=True)
class QemuMachines(Hypervisor):
    """machine: as `as_built` or `as_started` gives it. access: how it is spoken to. folder: for what runs; it lies on
    the store's disk. note: takes a sentence for the user. waiting: called with the id of a state that another build is
    making. picture: a file for the screen of a machine that does not come up. indexes: gives the folder of this host
    with the package indexes of the machine's archive; None where it has none. shell: whether `open_shell` may be
    called."""

    store: Store
    machine: Machine
    access: Access
    folder: Path
    note: Note
    waiting: Callable[[str], None]
    picture: Path
    indexes: Callable[[], Path | None]
    shell: bool = False

    where = "QEMU"
    resets: ClassVar[bool] = False
    _count: int = 0

    def holds(self, state: str) -> bool:
        return holds(self.store, state)

    @contextmanager
    def claim(self, state: str) -> Iterator[None]:
        with self.store.claim(state, lambda: self.waiting(state)):
            yield

    @contextmanager
    def in_use(self, state: str) -> Iterator[None]:
        with self.store.in_use([state]):
            yield

    @contextmanager
    def written_back(self, states: Sequence[str]) -> Iterator[None]:
        with written_back(self.store, states):
            yield

    def take_in(self, state: str, disks: Disks, title: str) -> None:
        scratch = self.new_folder()
        tree = _made(scratch / TREE)
        for disk in disks.disks:
            goal = tree / file_of(disk.name)
            if disk.format == "qcow2":
                disk.path.rename(goal)
            else:
                convert(disk, goal, "qcow2")
                disk.path.unlink()
        self.store.add(state, scratch, name="base", parents=(), extra={"title": title})

    @contextmanager
    def started(self, states: Sequence[str]) -> Iterator[RunningMachine]:
        machine = self.machine_on(states)
        try:
            machine.start()
            yield machine
        finally:
            machine.stop()

    def machine_on(self, states: Sequence[str]) -> QemuMachine:
        return QemuMachine(self, states)

    def clock(self) -> str:
        """As of Wiring, of a machine that is about to start."""
        return "utc"

    def size_of(self, drive: Drive, state: str) -> int:
        """Bytes of the drive's disk in a state that is there. Raises BuildError."""
        with opened(self.store.tree(state) / file_of(drive.name)) as file:
            try:
                return check_qcow2(file)
            except ValueError as error:
                raise BuildError(f"the layer {state[:12]} is damaged: {error}; remove it by: cache prune") from error

    def offered(self, folder: Path) -> Path | None:
        """An image in `folder` of the package indexes that this host has; None for none. To fetch and to read them
        takes an emulated processor minutes."""
        indexes = self.indexes()
        if indexes is None:
            return None
        image, size = folder / "offered.img", tree_size(indexes) * 5 // 4 + (16 << 20)
        words: list[str | Path] = [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-d",
            indexes,
            image,
            f"{size >> 10}k",
        ]
        made = run(words)
        return image if made.code == 0 else None

    def new_folder(self) -> Path:
        self._count += 1
        return _made(self.folder / f"{self._count:02d}")


class QemuMachine(RunningMachine):
    """states: those that it stands on. Its own images are above theirs."""

    def __init__(self, machines: QemuMachines, states: Sequence[str]) -> None:
        self._machines, self._states = machines, list(states)
        self._drives = machines.machine.drives
        self._top = self._new_images()
        self._qemu: Qemu | None = None
        self._communicator: Communicator | None = None
        self._standstill: Standstill | None = None
        self._height = 0
        self._has_indexes = False

    @property
    def _running(self) -> Qemu:
        if self._qemu is None:
            raise BuildError("the machine runs no more; build again")
        return self._qemu

    @property
    def communicator(self) -> Communicator:
        if self._communicator is None:
            raise BuildError("the machine runs no more; build again")
        return self._communicator

    @property
    def has_indexes(self) -> bool:
        return self._has_indexes

    def start(self) -> None:
        """Return when it is up. Its caller calls `stop` too, whatever comes of it. Raises BuildError, HostError."""
        machines, given = self._machines, power()
        machine = machines.machine
        for sentence in reduced(machine, given):
            machines.note(sentence)
        folder = machines.new_folder()
        firmware = own_firmware(folder) if machine.firmware == "efi" else None
        stacks = tuple(self._stack(drive) for drive in self._drives)
        offered = machines.offered(folder)
        access = machines.access
        parts = Parts(
            machine=machine,
            disks=stacks,
            cds={},
            firmware=firmware,
            taps=None,
            power=given,
            work=WORK,
            offered=offered,
            forwards=access.forwards,
            guest_agent=access.guest_agent,
            shell=machines.shell,
            clock=machines.clock(),
            resets=machines.resets,
        )
        began, self._height = time.monotonic(), 0
        self._qemu = Qemu(parts, folder).__enter__()
        startup = Startup(
            qemu=self._qemu,
            name=machine.name,
            note=machines.note,
            picture=machines.picture,
            own=access.own,
            began=began,
            patience=access.patience,
        )
        self._communicator = access.opened(startup)
        self._has_indexes = offered is not None and self.communicator.run(TAKE, PATIENCE).code == 0

    def stop(self) -> None:
        self._machines.access.close()
        self._communicator = self._standstill = None
        if self._qemu is not None:
            qemu, self._qemu = self._qemu, None
            qemu.__exit__()

    def supply(self, request: Request) -> Supply:
        return supply_kind(request.system).of_this_host(request, self._machines.store.cache)

    def reached(self, settings: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return settings_for(settings, HOST, f"nameserver {NAME_SERVER}\n")

    def snapshot(self, step: Step) -> None:
        former, self._top = self._top, self._new_images()
        self._frozen().freeze()
        try:
            self._put_above(self._top)
        finally:
            self._frozen().thaw()
        self._keep_state(step, former)

    def _keep_state(self, step: Step, images: Path) -> None:
        """images: the folder with those that were written to since the state before."""
        store = self._machines.store
        below = {state: _made_at(store, state) for state in self._states}
        more = {"title": step.title, "below": below}
        store.add(step.id, images, name=step.name, parents=tuple(self._states), extra=more)
        self._states.append(step.id)

    def _start_anew(self) -> None:
        if self._machines.access.own:
            self._go_down()
        else:
            self._halt()
        self.start()

    def picture(self, goal: Path) -> None:
        self._running.picture(goal)

    def open_shell(self, command: str) -> None:
        self._machines.access.open_shell(self._running, self.communicator, command)

    def take_disks(self) -> Disks:
        self._trim()
        self._halt()
        folder = self._machines.new_folder()
        disks = []
        for drive in self._drives:
            raw = Disk(drive.name, folder / f"{drive.name}.raw")
            flattened(self._stack(drive), raw, folder)
            disks.append(raw)
        return Disks(tuple(disks))

    def keep(self, folder: Path) -> str:
        self._halt()
        return self._left_in(folder)

    def _left_in(self, folder: Path) -> str:
        """Its disks are left there; how to start it, and how to remove them."""
        tree = _made(folder)
        for drive in self._drives:
            flattened(self._stack(drive), Disk(drive.name, tree / file_of(drive.name), "qcow2"), tree)
        images = " ".join(f"-drive file={tree / file_of(drive.name)},format=qcow2" for drive in self._drives)
        command = f"qemu-system-x86_64 {self._start_words()} {images}"
        return f"start it with:\n  {command}\nand remove it with: rm -rf {tree}"

    def _start_words(self) -> str:
        """Options of QEMU for people."""
        return "-m 1024 -nographic"

    def _trim(self) -> None:
        """What no file uses need not be packed."""
        self._run("fstrim --all || :")

    def _go_down(self) -> None:
        """By its own way to restart, at whose end QEMU ends (-no-reboot)."""
        qemu = self._running
        self._run(RESTART)
        self._machines.access.close()
        try:
            qemu.wait(GOING_DOWN)
        except BuildError as error:
            raise BuildError(f"the machine did not go down within {GOING_DOWN:g} s to start anew\n{error}") from error
        self.stop()

    def _frozen(self) -> Standstill:
        if self._standstill is None:
            self._standstill = self._machines.access.standstill(self._running, self.communicator)
        return self._standstill

    def _halt(self) -> None:
        """Nothing is written any more, and each file system is whole: no service of it is to write its last words."""
        qemu = self._running
        self._frozen().freeze()
        qemu.control.execute("quit")
        qemu.wait(PATIENCE)
        self.stop()

    def _run(self, script: str) -> str:
        ran = self.communicator.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"in the machine: {ran.out.strip()}\n{self._running.last_words()}")
        return ran.out

    def _new_images(self) -> Path:
        """A folder, to become a layer, with an empty image for each drive, as large as the one below."""
        folder = self._machines.new_folder()
        tree = _made(folder / TREE)
        for drive in self._drives:
            size = str(self._machines.size_of(drive, self._states[0]))
            done = run(["qemu-img", "create", "-q", "-f", "qcow2", tree / file_of(drive.name), size])
            if done.code != 0:
                raise BuildError(f"cannot make an image of {size} bytes: {done.reason}")
        return folder

    def _stack(self, drive: Drive) -> tuple[Path, ...]:
        store, name = self._machines.store, file_of(drive.name)
        return (*(store.tree(state) / name for state in self._states), self._top / TREE / name)

    def _put_above(self, folder: Path) -> None:
        """From now on what is written goes to new images."""
        control = self._running.control
        self._height += 1
        for number, drive in enumerate(self._drives):
            name = f"disk{number}-new{self._height}"
            below = f"disk{number}" if self._height == 1 else f"disk{number}-new{self._height - 1}"
            with (folder / TREE / file_of(drive.name)).open("r+b") as file:
                fdset = control.add_fd(file.fileno())
            control.execute("blockdev-add", **layer_options(name, fdset, None, writable=True))
            control.execute("blockdev-snapshot", node=below, overlay=name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def file_of(drive: str) -> str:
    """The name of a drive's image in a layer."""
    return f"{drive}.qcow2"
