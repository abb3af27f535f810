"""Setup of Windows on a server, by itself: from the medium and our answers, over restarts, until the machine is off.
Then it is started once more without them, and must take orders.

The disk comes before the medium in the order that the firmware starts from: an empty one starts nothing, and after its
first restart Setup goes on from the disk. EFI's loader on a medium of Windows asks for a key in its first seconds, and
nothing there tells when: one is pressed from the start on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vmgen_build.artifacts.result import Disks
from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.communicators.windows import WindowsFacts
from vmgen_build.guests.machines.inserted import Inserted
from vmgen_build.guests.machines.windows import ENDING, NOT_ENDED
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.discs import (
    Disc,
    insert_discs,
    insert_floppy,
    printed,
    remove_discs,
    serial_port,
    taken_out,
)
from vmgen_build.guests.vsphere.faults import ServerLost
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.privileges import KEYS_SINCE
from vmgen_build.guests.vsphere.properties import devices_of
from vmgen_build.guests.vsphere.screen import save_screen
from vmgen_build.guests.vsphere.source import disks_of
from vmgen_build.guests.vsphere.specs import changed, marked
from vmgen_build.guests.vsphere.tags import BUILD, LAYER, layer_name
from vmgen_build.guests.vsphere.waiting import Waiting
from vmgen_build.guests.vsphere.windows import WindowsMachines
from vmgen_build.guests.vsphere.windowstools import WindowsTools
from vmgen_build.limits import VSPHERE_SILENCE
from vmgen_build.plan.setupmedia import SAYS
from vmgen_build.text import duration, size

PATIENCE = 4 * 3600.0
"""Seconds that Setup may take; it takes a quarter of an hour or more."""

LOOK = 1.0
"""Seconds between two looks at it."""

LISTEN = 10.0
"""Seconds between two readings of what came out of its serial port."""

_FAILED = re.compile(rf"{re.escape(SAYS)}.*")

SHOWN = 600.0
"""Seconds after which a user hears that it is still at work."""

PRESSING = 120.0
"""Seconds from its start in which keys are pressed: the loader asks once, for 5."""

KEY = 0x2B << 16 | 0x07
"""Tab, which starts nothing where it comes too late, as UsbScanCodeSpecKeyEvent has it: the usage above its page (HID
Usage Tables, Keyboard/Keypad Page)."""

NO_KEYS = (
    "Setup by EFI waits for a key, and this server cannot press one: vSphere 6.5 is the least; write firmware = bios"
)

AWAITED = {
    False: "it waits for VMware Tools, which the first logon puts in: Setup may ask a person, or the Tools have failed",
    True: "VMware Tools run, and it waits for the first logon to switch the machine off",
}
"""Whether Tools have run -> what it waits for."""


def set_up(
    machines: WindowsMachines,
    state: str,
    disks: Disks,
    inserted: Inserted,
    check: Callable[[WindowsFacts], None],
) -> None:
    """Make the first state of what Setup puts on the disks. disks: empty ones, as of importing.Wanted. check: called
    with what the installed system says of itself; raises BuildError for another one than was meant.

    Raises BuildError where Setup does not come to its end; HostError. The machine of one that failed is left to
    Maker.clear.
    """
    maker = machines.maker
    if machines.machine.firmware == "efi" and maker.session.about.api_numbers < KEYS_SINCE:
        raise BuildError(f"{maker.session.where}: {NO_KEYS}")
    if maker.clones and machines.layers.find(state, anew=True) is not None:
        machines.note(f"{layer_name(state)} is kept already, and is begun with; remove it there to have Setup run anew")
        return
    made = _made(machines, disks, inserted)
    _SetupRun(machines, made, inserted.title, PATIENCE).run()
    maker.configure(made, changed(taken_out(devices_of(maker.session, made))))
    remove_discs(maker.session, made, maker.site.datacenter.ref)
    _start_once(machines, made, check)
    kind = LAYER if maker.clones else BUILD
    maker.configure(made, marked(maker.mark(kind, state=state, title=inserted.title)))
    machines.begin_with(made, state)


def _made(machines: WindowsMachines, disks: Disks, inserted: Inserted) -> Any:
    """vim.VirtualMachine with the media in its drives, off. Its mark names them before the first is sent."""
    from pyVmomi import vim

    maker = machines.maker
    session, datacenter = maker.session, maker.site.path
    floppy = inserted.floppy
    images = [*inserted.cds, *([floppy] if floppy is not None else [])]
    machines.note(f"sending what Setup runs from to {session.where} ({size(sum(i.stat().st_size for i in images))})")
    mark = maker.mark(BUILD, discs=len(inserted.cds), setup=True)
    wanted = Wanted(maker.name("base" if maker.clones else ""), mark, machines.machine, disks)
    made = import_machine(session, maker.site, wanted)
    config = machines.setup_config(made, mark)
    options = vim.vm.BootOptions
    first = options.BootableDiskDevice(deviceKey=disks_of(devices_of(session, made))[0].key)
    config.bootOptions = options(bootOrder=[first, options.BootableCdromDevice()])
    maker.configure(made, config)
    drives = insert_discs(session, made, [Disc(path, True) for path in inserted.cds], datacenter)
    drives.append(serial_port(session, made))
    if floppy is not None:
        drives.append(insert_floppy(session, made, floppy, datacenter))
    maker.configure(made, changed(drives))
    return made


@dataclass
class _SetupRun:
    """machine: vim.VirtualMachine."""

    machines: WindowsMachines
    machine: Any
    title: str
    patience: float
    _has_tools: bool = False
    _port_was_read: bool = False

    def run(self) -> None:
        """Raises BuildError, with where a picture of the screen lies; HostError."""
        try:
            self._run()
        except BuildError as error:
            raise BuildError(f"{error}{_screen(self.machines, self.machine)}") from error

    def _run(self) -> None:
        waiting = _switched_on(self.machines, self.machine)
        note, title = self.machines.note, self.title
        note(f"{title} begins; it may take up to {duration(self.patience)}")
        began = noted = read_at = time.monotonic()
        keys = _BootKeys(self.machines, self.machine)
        while self._goes_on(waiting, began):
            now = time.monotonic()
            if now - began > self.patience:
                raise BuildError(f"{title} did not end within {duration(self.patience)}: {self._awaited()}")
            keys.press(now - began)
            if now - read_at > LISTEN:
                read_at = now
                self._read_port()
            if now - noted > SHOWN:
                noted = now
                note(f"{title} is at work since {duration(now - began)}")
            time.sleep(LOOK)
        note(f"{title} is done after {duration(time.monotonic() - began)}")

    def _goes_on(self, waiting: Waiting, began: float) -> bool:
        """Whether the machine is on. It runs by itself while the server cannot be reached, for a while."""
        lost = time.monotonic()
        while True:
            try:
                is_on, has_tools = waiting.look()
                break
            except ServerLost:
                if time.monotonic() - lost > VSPHERE_SILENCE.amount:
                    raise
                time.sleep(LOOK)
        if has_tools and not self._has_tools:
            self._has_tools = True
            self.machines.note(f"VMware Tools run after {duration(time.monotonic() - began)}")
        return is_on

    def _awaited(self) -> str:
        unread = "" if self._port_was_read else "; what came out of its serial port could not be read"
        return f"{AWAITED[self._has_tools]}{unread}"

    def _read_port(self) -> None:
        """Raises BuildError where its first logon says that it failed."""
        maker = self.machines.maker
        lines = printed(maker.session, self.machine, maker.site.path)
        self._port_was_read |= lines is not None
        for line in lines or ():
            if match := _FAILED.search(line):
                raise BuildError(f"{self.title} says: {shown(match[0])}")


@dataclass
class _BootKeys:
    """What EFI's loader on a medium waits for. A machine that has just been switched on may refuse some."""

    machines: WindowsMachines
    machine: Any
    _refused: VmgenError | None = None
    _pressed: bool = False
    _over: bool = field(init=False)

    def __post_init__(self) -> None:
        self._over = self.machines.machine.firmware != "efi"

    def press(self, passed: float) -> None:
        """passed: seconds since the machine was switched on. Raises HostError, BuildError where none was taken."""
        from pyVmomi import vim

        if self._over:
            return
        if passed > PRESSING:
            self._over = True
            if not self._pressed:
                raise self._refused or BuildError("the server pressed no key, which Setup by EFI waits for")
            return
        spec = vim.vm.UsbScanCodeSpec
        keys = spec(keyEvents=[spec.KeyEvent(usbHidCode=KEY)])
        try:
            session = self.machines.maker.session
            taken = session.order("pressing a key", lambda: self.machine.PutUsbScanCodes(keys))
            self._pressed = self._pressed or bool(taken)
        except VmgenError as error:
            self._refused = error


def _start_once(machines: WindowsMachines, machine: Any, check: Callable[[WindowsFacts], None]) -> None:
    """Without the media, from the disk alone: a state that nobody can speak to is none to begin with."""
    access = machines.access
    try:
        communicator = access.opened(_switched_on(machines, machine))
        assert isinstance(communicator, WindowsTools)
        check(communicator.facts)
    except BuildError as error:
        raise BuildError(f"{error}{_screen(machines, machine)}") from error
    finally:
        access.close()
    if not machines.maker.went_off(machine, ENDING):
        raise BuildError(f"{NOT_ENDED}{_screen(machines, machine)}")


def _switched_on(machines: WindowsMachines, machine: Any) -> Waiting:
    maker = machines.maker
    waiting = Waiting(maker.session, machine, machines.note)
    host = maker.site.host.ref if maker.site.host is not None else None
    maker.done("switching the machine on", lambda: machine.PowerOnVM_Task(host), waiting.check_question)
    return waiting


def _screen(machines: WindowsMachines, machine: Any) -> str:
    """Where a picture of it lies, as a further line; nothing where none can be had."""
    with suppress(VmgenError):
        save_screen(machines.maker, machine, machines.picture)
        return f"\nits screen: {machines.picture}"
    return ""
