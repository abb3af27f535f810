"""The media that make a Windows by hand, as files beside a plan that was written out."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.media import FLOPPY_REQUIREMENTS, ISO_REQUIREMENTS, write_floppy, write_iso
from vmgen_build.errors import BuildError, HostError, RecipeError
from vmgen_build.host.files import Written
from vmgen_build.host.programs import require_programs
from vmgen_build.host.remove import open_folder, remove_tree
from vmgen_build.plan.model import Plan
from vmgen_build.plan.setup import has_setup
from vmgen_build.plan.setupmedia import SetupMedia, setup_media
from vmgen_build.recipe.recipe import Recipe

LABEL = "VMGEN_SETUP"

_SCRATCH = ".vmgen-cd-"

OLDEST = 315532800
"""1980-01-01: what is copied to a FAT has no earlier date."""


@dataclass(frozen=True, slots=True)
class MediaWritten:
    """notes: what is to be known of them, a line each."""

    paths: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def media_of(recipe: Recipe, plan: Plan, templates: Path | None) -> SetupMedia | str:
    """What is to be written, or why there is nothing: "" where no Setup makes the machine.

    Raises RecipeError for what no answer file can say, where the recipe names the medium that Setup begins from.
    """
    if not has_setup(recipe):
        return ""
    try:
        return setup_media(recipe, plan, templates)
    except RecipeError as error:
        if recipe.hardware.is_installed:
            raise
        return "; ".join(map(str, error.problems))


def texts_of(media: SetupMedia | str) -> dict[str, str]:
    """What of it is to be read beside the plan, and holds no secret: name -> text."""
    return {"run.bat": media.run} if isinstance(media, SetupMedia) else {}


def write_media(media: SetupMedia | str, plan: Plan, folder: Path) -> MediaWritten:
    """Files NAME-setup.iso and, for XP and 2003, NAME-setup.img, their owner's alone. One that cannot be written is
    left out, with its reason; what an earlier call left in its place is removed."""
    if media == "":
        return MediaWritten()
    cd, floppy = folder / f"{plan.name}-setup.iso", folder / f"{plan.name}-setup.img"
    if isinstance(media, str):
        notes = [_left_out(cd, media)]
        _remove(floppy)
        return MediaWritten((), tuple(notes))
    epoch = max(plan.epoch, OLDEST)
    found: list[Path] = []
    notes = []
    todo: list[tuple[Path, Callable[[], Written]]] = [(cd, lambda: _cd(media, cd, epoch))]
    if media.floppy:
        todo.append((floppy, lambda: _floppy(media, floppy, epoch)))
    else:
        _remove(floppy)
    for path, write in todo:
        try:
            found.append(write().path)
        except (BuildError, HostError) as error:
            notes.append(_left_out(path, str(error)))
        except OSError as error:
            notes.append(_left_out(path, f"{error.strerror}; make room there, or choose another folder with --output"))
    if found:
        names = " and ".join(path.name for path in found)
        several = len(found) > 1
        what = f"{names} {'hold' if several else 'holds'} the recipe's passwords"
        notes.append(f"{what}; keep {'them' if several else 'it'} to yourself")
    return MediaWritten(tuple(found), tuple(notes))


def _cd(media: SetupMedia, path: Path, epoch: int) -> Written:
    require_programs(ISO_REQUIREMENTS)
    with _scratch(path.parent) as scratch:
        return write_iso(media.cd, path, label=LABEL, folder=scratch, epoch=epoch)


def _floppy(media: SetupMedia, path: Path, epoch: int) -> Written:
    require_programs(FLOPPY_REQUIREMENTS)
    return write_floppy(media.floppy, path, epoch=epoch)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder in it for what is put onto a CD, locked as long as we live. Those of dead processes are removed first.

    Raises HostError where none can be made.
    """
    try:
        for left in folder.glob(f"{_SCRATCH}*"):
            _reap(left)
        made = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
        lock = _locked(made)
    except OSError as error:
        text = f"cannot write to {folder}: {error.strerror}; choose another folder with --output"
        raise HostError(text) from error
    try:
        yield made
    finally:
        remove_tree(made)
        if lock is not None:
            os.close(lock)


def _reap(left: Path) -> None:
    """Raises OSError."""
    status = left.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    lock = _locked(left)
    if lock is not None:
        remove_tree(left)
        os.close(lock)


def _locked(folder: Path) -> int | None:
    """The folder, open and locked; None where another process has it. Raises OSError."""
    descriptor = open_folder(folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _left_out(path: Path, reason: str) -> str:
    """The note; an earlier one of the name is another recipe's, or an older state of this one."""
    _remove(path)
    return f"{path.name} was not written: {reason}"


def _remove(path: Path) -> None:
    """Not a folder, which is none of ours."""
    with suppress(FileNotFoundError, IsADirectoryError):
        path.unlink()
