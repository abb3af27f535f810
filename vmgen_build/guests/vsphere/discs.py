"""Images of this host in the drives of a build's machine: files in the machine's own folder, which go with it.

The mark of a machine says how many there may be, before the first is sent: so none stays behind whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vmgen_build.artifacts.vimspec import SIO_CONTROLLER
from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.vsphere.faults import has_kind
from vmgen_build.guests.vsphere.properties import devices_of, values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tags import mark_of
from vmgen_build.guests.vsphere.tasks import wait_for
from vmgen_build.guests.vsphere.transfer import CHUNK, Transfers, Upload

FLOPPY, SERIAL = "floppy.flp", "com1.txt"
"""Names of the files of a floppy drive, and of what came out of a serial port."""

PLACES = 2
"""Of an IDE controller."""


@dataclass(frozen=True, slots=True)
class Disc:
    """connected: when the machine starts."""

    path: Path
    connected: bool


def insert_discs(session: Session, machine: Any, discs: Sequence[Disc], datacenter: str) -> list[Any]:
    """Send them there; vim.vm.device.VirtualDeviceSpec of each drive that changes. machine: vim.VirtualMachine, off,
    and marked. datacenter: its path. Raises HostError, BuildError."""
    from pyVmomi import vim

    if not discs:
        return []
    names, drives = names_of(session, machine, len(discs)), _drives(session, machine)
    changes = []
    for disc, name in zip(discs, names, strict=True):
        _send(session, disc.path, name, datacenter)
        change = next(drives, None)
        if change is None:
            raise BuildError(f"{disc.path.name}: the machine has no place for another CD drive")
        change.device.backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=name)
        change.device.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=disc.connected, connected=False, allowGuestControl=True
        )
        changes.append(change)
    return changes


def insert_floppy(session: Session, machine: Any, image: Path, datacenter: str) -> Any:
    """The same for the image of a floppy; vim.vm.device.VirtualDeviceSpec of its drive, which is a new one."""
    from pyVmomi import vim

    name = f"{folder_of(session, machine)}/{FLOPPY}"
    _send(session, image, name, datacenter)
    drive = vim.vm.device.VirtualFloppy(
        key=-300,
        controllerKey=SIO_CONTROLLER,
        unitNumber=0,
        backing=vim.vm.device.VirtualFloppy.ImageBackingInfo(fileName=name),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True, connected=False, allowGuestControl=True
        ),
    )
    spec = vim.vm.device.VirtualDeviceSpec
    return spec(operation=spec.Operation.add, device=drive)


def serial_port(session: Session, machine: Any) -> Any:
    """vim.vm.device.VirtualDeviceSpec of a new one, whose output goes to a file that `printed` reads."""
    from pyVmomi import vim

    port = vim.vm.device.VirtualSerialPort(
        key=-301,
        controllerKey=SIO_CONTROLLER,
        yieldOnPoll=True,
        backing=vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=f"{folder_of(session, machine)}/{SERIAL}"),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True, connected=False, allowGuestControl=True
        ),
    )
    spec = vim.vm.device.VirtualDeviceSpec
    return spec(operation=spec.Operation.add, device=port)


def printed(session: Session, machine: Any, datacenter: str) -> list[str] | None:
    """Lines that came out of its serial port, the last ones where there are many; None where a server does not give
    them. datacenter: its path."""
    url = _url_of(f"{folder_of(session, machine)}/{SERIAL}", datacenter)
    with suppress(VmgenError), Transfers(session).receive(url, "reading the machine's serial port") as answer:
        end = b""
        while data := answer.read(CHUNK):
            end = (end + data)[-CHUNK:]
        return end.decode("latin-1").splitlines()
    return None


def taken_out(devices: Sequence[Any]) -> list[Any]:
    """vim.vm.device.VirtualDeviceSpec of each drive for CDs and floppies, and serial port: it is there no more."""
    from pyVmomi import vim

    device, spec = vim.vm.device, vim.vm.device.VirtualDeviceSpec
    drives = (device.VirtualCdrom, device.VirtualFloppy, device.VirtualSerialPort)
    return [spec(operation=spec.Operation.remove, device=one) for one in devices if isinstance(one, drives)]


def emptied(devices: Sequence[Any]) -> list[Any]:
    """vim.vm.device.VirtualDeviceSpec of each CD drive, with nothing in it."""
    from pyVmomi import vim

    changes = []
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualCdrom):
            device.backing = vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
            device.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
                startConnected=False, connected=False, allowGuestControl=True
            )
            edit = vim.vm.device.VirtualDeviceSpec.Operation.edit
            changes.append(vim.vm.device.VirtualDeviceSpec(operation=edit, device=device))
    return changes


def remove_discs(session: Session, machine: Any, datacenter: Any) -> None:
    """Those of a machine that is off and ours. datacenter: vim.Datacenter. Raises HostError, BuildError."""
    path = "config.annotation"
    mark = mark_of(values_of(session, "looking at the machine", machine, [path]).get(path))
    if mark is None or not (mark.discs or mark.setup):
        return
    files: Any = session.content.fileManager
    others = [f"{folder_of(session, machine)}/{name}" for name in (FLOPPY, SERIAL)] if mark.setup else []
    for name in (*names_of(session, machine, mark.discs), *others):
        what, order = f"removing {name}", partial(files.DeleteDatastoreFile_Task, name, datacenter)
        try:
            wait_for(session, session.order(what, order), what)
        except VmgenError as error:
            if not has_kind(error, "FileNotFound"):
                raise


def names_of(session: Session, machine: Any, count: int) -> list[str]:
    """Of the files on the machine's datastore, as the API has them: [datastore] folder/cd0.iso."""
    folder = folder_of(session, machine)
    return [f"{folder}/cd{number}.iso" for number in range(count)]


def folder_of(session: Session, machine: Any) -> str:
    """The machine's own, as the API has it: [datastore] folder. Raises BuildError."""
    path = "config.files.vmPathName"
    place = str(values_of(session, "looking at the machine", machine, [path]).get(path, ""))
    folder = place.rpartition("/")[0]
    if not folder.startswith("["):
        raise BuildError(f"{session.where}: the machine's files have no folder: {place!r}")
    return folder


def _send(session: Session, image: Path, name: str, datacenter: str) -> None:
    session.read(f"sending {image.name}", lambda: session.content.rootFolder.childType)
    upload = Upload(_url_of(name, datacenter), image.stat().st_size)
    with image.open("rb") as file:
        Transfers(session).send(file, upload, f"sending {image.name}")


def _url_of(name: str, datacenter: str) -> str:
    """name: as of `names_of`."""
    store, _, path = name.removeprefix("[").partition("] ")
    return f"https://*/folder/{quote(path)}?dcPath={quote(datacenter, safe='')}&dsName={quote(store, safe='')}"


def _drives(session: Session, machine: Any) -> Iterator[Any]:
    """Changes of the drives that are there, then new ones on free places of IDE controllers."""
    from pyVmomi import vim

    devices = devices_of(session, machine)
    spec = vim.vm.device.VirtualDeviceSpec
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualCdrom):
            yield spec(operation=spec.Operation.edit, device=device)
    taken = {(device.controllerKey, device.unitNumber) for device in devices}
    controllers = [device.key for device in devices if isinstance(device, vim.vm.device.VirtualIDEController)]
    places = [(key, unit) for key in controllers for unit in range(PLACES) if (key, unit) not in taken]
    for number, (controller, unit) in enumerate(places, start=1):
        drive = vim.vm.device.VirtualCdrom(key=-200 - number, controllerKey=controller, unitNumber=unit)
        yield spec(operation=spec.Operation.add, device=drive)
