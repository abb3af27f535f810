"""A machine's disks come home from a server: by a lease, hashed while they come, each whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any

from vmgen_build.artifacts.disk.convert import new_image, opened
from vmgen_build.artifacts.nvram import check_nvram
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.digests import Digests
from vmgen_build.guests.vsphere.faults import ServerLost
from vmgen_build.guests.vsphere.leases import Lease, leased
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.transfer import CHUNK, Transfers
from vmgen_build.limits import DISK_CONTENT, NVRAM, Limit
from vmgen_build.plan.machine import Drive, Machine

TRIES = 5
"""How often a transfer that was cut goes on where it was, one after the other without a byte."""

_KEY = re.compile(r"/(?P<kind>[A-Za-z]+)Controller(?P<index>[0-9]{1,3}):(?P<unit>[0-9]{1,3})$")
_BUSES = {
    "VirtualIDE": "ide",
    "VirtualAHCI": "sata",
    "VirtualNVME": "nvme",
    "ParaVirtualSCSI": "scsi",
    "VirtualLsiLogic": "scsi",
    "VirtualLsiLogicSAS": "scsi",
    "VirtualBusLogic": "scsi",
}
"""Controllers as keys of a lease's devices name them, and the recipe's words for their buses."""

_NVRAM = re.compile(r"(?:^|[/.])nvram(?::[0-9]+)?$")
"""The end of a device's key (/vm-42/nvram), or of its file's name (lab.nvram)."""

_PARTIAL = 206

Report = Callable[[int, int], None]
"""Takes how many bytes have come, and how many are expected, 0 where that is not known."""


def export_machine(
    session: Session, machine: Any, described: Machine, folder: Path, report: Report = lambda _came, _all: None
) -> Disks:
    """The disks in their order, as stream-optimized VMDKs in an empty folder; hostile until they are checked. With the
    nvram of a machine whose firmware is EFI, where the server gives one.

    machine: vim.VirtualMachine, off. Raises HostError, BuildError.
    """
    what, drives = "exporting the machine's disks", described.drives
    lease = session.order(what, machine.ExportVm)
    with leased(session, lease, what) as ready:
        files = _disks_of(ready.devices, drives, session.where)
        expected = sum(max(0, int(device.fileSize or 0)) for device in files)
        coming = _Coming(Transfers(session), ready, expected, report)
        pairs = list(zip(files, drives, strict=True))
        received = [coming.receive(device, folder / f"{drive.name}.vmdk", _DISK) for device, drive in pairs]
        kept = _nvram_of(ready.devices) if described.firmware == "efi" else None
        nvram = [coming.receive(kept, folder / "machine.nvram", _KEPT)] if kept is not None else []
        _compare(ready.manifest(), [*received, *nvram], session.where)
    disks = tuple(Disk(drive.name, one.path, "vmdk") for drive, one in zip(drives, received, strict=True))
    return Disks(disks, _checked_nvram(nvram[0], session.where) if nvram else None)


@dataclass(frozen=True, slots=True)
class _Kind:
    """words: what comes, for messages. limit: of its size."""

    words: str
    limit: Limit


_DISK, _KEPT = _Kind("a disk", DISK_CONTENT), _Kind("the machine's nvram", NVRAM)


@dataclass(frozen=True, slots=True)
class Received:
    """key: of the device. size: bytes. sums: hex digests by their algorithms."""

    key: str
    path: Path
    size: int
    sums: Mapping[str, str]


def _disks_of(devices: Sequence[Any], drives: Sequence[Drive], where: str) -> list[Any]:
    """One for each drive. Raises BuildError."""
    disks = [device for device in devices if device.disk]
    if len(disks) != len(drives):
        raise BuildError(f"{where} exports {len(disks)} disks, and the machine has {len(drives)}")
    if len(disks) == 1:
        return disks
    places = {_place(str(device.key)): device for device in disks}
    wanted = [(drive.bus, drive.index, drive.unit) for drive in drives]
    if lacking := [place for place in wanted if place not in places]:
        keys = ", ".join(shown(str(device.key)) for device in disks)
        raise BuildError(f"{where} exports no disk at {lacking[0]}: it has {keys}")
    return [places[place] for place in wanted]


def _nvram_of(devices: Sequence[Any]) -> Any:
    """The device that is the machine's nvram, None for none. The API's reference names no way to know it by: its key
    or its file's name is that."""
    for device in devices:
        names = (str(device.key), str(getattr(device, "targetId", None) or ""))
        if not device.disk and any(_NVRAM.search(name) for name in names):
            return device
    return None


def _checked_nvram(one: Received, where: str) -> Path:
    """Raises BuildError."""
    with opened(one.path) as file:
        try:
            check_nvram(file, one.size)
        except ValueError as error:
            raise BuildError(
                f"{where} sent as the machine's nvram {one.size} bytes that are none: {error}; look at the machine's"
                " files on the datastore, or set [hardware] firmware = bios"
            ) from error
    return one.path


def _place(key: str) -> tuple[str, int, int] | None:
    """Bus, index of the controller, unit: of a key such as /vm-42/ParaVirtualSCSIController0:1."""
    match = _KEY.search(key)
    bus = _BUSES.get(match["kind"]) if match else None
    return (bus, int(match["index"]), int(match["unit"])) if match and bus else None


class _Coming:
    """The transfer of all files of one lease. expected: bytes."""

    def __init__(self, transfers: Transfers, lease: Lease, expected: int, report: Report) -> None:
        self._transfers, self._lease, self._expected, self._report = transfers, lease, expected, report
        self._came = 0

    def receive(self, device: Any, path: Path, kind: _Kind) -> Received:
        """A cut transfer goes on where it was, where the server offers that. Raises HostError, BuildError."""
        with Digests() as digests, new_image(path) as file:
            size = self._all_of(str(device.url), file, digests.add, kind)
        return Received(str(device.key), path, size, digests.made)

    def _all_of(self, url: str, file: IO[bytes], seen: Callable[[bytes], None], kind: _Kind) -> int:
        size, vain = 0, 0
        while True:
            before = size
            try:
                headers = {"Range": f"bytes={size}-"} if size else None
                with self._transfers.receive(url, f"receiving {kind.words}", headers) as answer:
                    _check_range(answer, size)
                    for data in _pieces(answer):
                        _write(file, data)
                        seen(data)
                        size += len(data)
                        self._count(len(data), size, kind)
                    return size
            except ServerLost:
                vain = 0 if size > before else vain + 1
                if not size or vain >= TRIES:
                    raise

    def _count(self, count: int, size: int, kind: _Kind) -> None:
        """Raises BuildError for what is too much, or where the lease is over."""
        self._came += count
        if size > kind.limit.amount:
            raise BuildError(f"{kind.words} that comes from the server: {kind.limit.exceeded}")
        self._lease.percent = self._came * 100 // self._expected if self._expected else 50
        self._lease.check()
        self._report(self._came, self._expected)


def _check_range(answer: HTTPResponse, size: int) -> None:
    """Raises HostError where a transfer that was cut cannot go on."""
    if not size:
        return
    given = answer.headers.get("Content-Range", "")
    if answer.status != _PARTIAL or not given.startswith(f"bytes {size}-"):
        raise HostError(
            f"the transfer of a disk was cut after {size} bytes, and the server does not let it go on there: build"
            " again; what was installed is kept"
        )


def _pieces(answer: HTTPResponse) -> Any:
    while data := answer.read(CHUNK):
        yield data
    if answer.length:
        raise ConnectionError(f"the last {answer.length} bytes are missing")


def _write(file: IO[bytes], data: bytes) -> None:
    try:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise HostError(f"cannot write a disk that comes home: {error.strerror}; make room in the cache") from error


def _compare(entries: Sequence[Any], received: Sequence[Received], where: str) -> None:
    """With what the server says that it has sent. Raises BuildError."""
    files = {one.key: one for one in received}
    for entry in entries:
        one = files.get(str(entry.key))
        if one is None:
            continue
        kind = str(getattr(entry, "checksumType", None) or "sha1").lower()
        named = str(getattr(entry, "checksum", None) or entry.sha1 or "").lower()
        wrong = entry.size is not None and int(entry.size) != one.size
        if wrong or (named and kind in one.sums and named != one.sums[kind]):
            raise BuildError(
                f"{where} sent another disk than it says: {one.size} bytes with {kind} {one.sums.get(kind, '?')}, and"
                f" it says {entry.size} and {shown(named)}; build again"
            )
