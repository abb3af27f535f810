"""What travels to a guest for a step, and how it gets there: one list for all communicators.

In the step's folder, which is in memory where the guest can mount, and never part of a layer:

script            the step's script
files/NAME        each StepFile, with its mode
secrets/NAME      each secret, 0400
NAME              settings of the build's own: those of the package manager (bases/supply.py)
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from vmgen_build.bases.supply import Supply
from vmgen_build.errors import BuildError
from vmgen_build.guests.model import PATH
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.model import Plan, Step

ENVIRONMENT = {
    "PATH": PATH,
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}

SCRIPT = "script"
"""Its name in the folder."""

FOLDERS = ("files", "secrets")

SMALL = 8 << 20
"""Bytes that are packed in memory; more goes by a file."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file below the step's folder: bytes, or a file of this host (source) whose sha256 is given.

    secret: it may not reach a disk on its way. stamp: modification time, seconds since the epoch; None for any.
    """

    path: str
    mode: int
    content: bytes = field(default=b"", repr=False)
    source: Path | None = None
    sha256: str = ""
    secret: bool = False
    stamp: int | None = None


def environment(plan: Plan, supply: Supply) -> dict[str, str]:
    """The variables that each command of a guest has."""
    own = supply.environment(plan.system.family.step_folder)
    return {**ENVIRONMENT, **own, "SOURCE_DATE_EPOCH": str(plan.epoch)}


def items_of(step: Step, settings: Mapping[str, bytes], epoch: int) -> tuple[Item, ...]:
    """All that travels for a step. settings: name -> bytes; package managers compare their time with their indexes'.

    Raises BuildError where a file was not downloaded.
    """
    for file in step.files:
        if file.urls and file.source is None:
            raise BuildError(f"step '{step.name}': {file.urls[0]} was not downloaded; build again")
    return (
        Item(SCRIPT, 0o500, step.script.encode()),
        *(Item(name, 0o644, content, stamp=epoch) for name, content in settings.items()),
        *(Item(f"files/{f.name}", f.mode, f.content or b"", f.source, f.sha256) for f in step.files),
        *(Item(f"secrets/{name}", 0o400, s.reveal().encode(), secret=True) for name, s in step.secrets.items()),
    )


def run_item(step_folder: str, variables: Mapping[str, str], before: str = "") -> Item:
    """What runs the step's script with these variables alone. before: lines of sh that come first."""
    words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), f"{step_folder}/script"]
    return Item("run", 0o500, f"{before}exec {shlex.join(words)}\n".encode())


def write_items(items: Sequence[Item], folder: Path) -> None:
    """Write them into an empty folder. Raises BuildError where a source is no more what the plan was made of."""
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o700)
    for item in items:
        path = folder / item.path
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file, opened_item(item) as content:
            shutil.copyfileobj(content, file)
        path.chmod(item.mode)
        if item.stamp is not None:
            os.utime(path, (item.stamp, item.stamp))


@contextmanager
def packed(items: Sequence[Item]) -> Iterator[BinaryIO]:
    """The step's folder as a tar, to be read from its start. Raises BuildError as `write_items`."""
    with _spool(items) as goal:
        with tarfile.open(fileobj=goal, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in FOLDERS:
                folder = tarfile.TarInfo(name)
                folder.mode, folder.type = 0o700, tarfile.DIRTYPE
                tar.addfile(folder)
            for item in items:
                with opened_item(item) as content:
                    info = tarfile.TarInfo(item.path)
                    info.mode, info.size, info.mtime = item.mode, content.size, item.stamp or 0
                    tar.addfile(info, cast(BinaryIO, content))
        goal.seek(0)
        yield goal


def _spool(items: Sequence[Item]) -> BinaryIO:
    """Where the tar is packed: in memory where it holds a secret, as a file where it is large."""
    if any(item.secret for item in items):
        return os.fdopen(os.memfd_create("vmgen-step"), "w+b")
    size = sum(item.source.stat().st_size if item.source else len(item.content) for item in items)
    return cast(BinaryIO, TemporaryFile()) if size > SMALL else io.BytesIO()


class ItemContent(io.RawIOBase):
    """The bytes of an item, digested while they are read. size: what is to come; fewer are an error."""

    def __init__(self, item: Item, file: BinaryIO, size: int) -> None:
        self._item, self._file, self.size = item, file, size
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._digest.update(chunk)
        self._left -= len(chunk)
        if len(chunk) < size and self._left > 0:
            raise self._changed()
        return chunk

    def check(self) -> None:
        if self._item.source is not None and self._digest.hexdigest() != self._item.sha256:
            raise self._changed()

    def _changed(self) -> BuildError:
        return BuildError(f"{self._item.source} was changed while the build ran: run the build again")


@contextmanager
def opened_item(item: Item) -> Iterator[ItemContent]:
    """An item's content; leaving the context checks that it was what the plan was made of."""
    if item.source is None:
        yield ItemContent(item, io.BytesIO(item.content), len(item.content))
        return
    try:
        file = open_regular(item.source)
    except OSError as error:
        raise BuildError(f"{item.source} cannot be read any more: {error.strerror}; run the build again") from error
    with file:
        content = ItemContent(item, file, os.fstat(file.fileno()).st_size)
        yield content
        content.check()
