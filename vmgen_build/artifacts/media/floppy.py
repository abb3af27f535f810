"""Floppies of 1.44 MB, FAT12: what Setup of Windows XP and 2003 looks for winnt.sif on, in A:. mtools(1) makes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from vmgen_build.artifacts.media.names import require_names
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written, private_files, whole_file
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.programs import needed
from vmgen_build.host.run import Word, run

FLOPPY_REQUIREMENTS = tuple(
    needed(program, "writes the floppy that Windows Setup reads") for program in ("mformat", "mmd", "mcopy")
)

SIZE = 2880 * 512
CLUSTER, CLUSTERS, ROOT_ENTRIES = 512, 2847, 224
"""Of the format: bytes of a cluster, how many of them files and folders have, and entries of the root folder."""

_ENTRY = 32
_OLDEST = 315532800
"""1980-01-01, the first day that FAT has."""

_SHORT = re.compile(r"[A-Za-z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Za-z0-9!#$%&'()@^_`{}~-]{1,3})?")
_SERIAL = "564d474e"


def write_floppy(
    files: Mapping[str, bytes], out: Path, *, epoch: int, label: str = "ANSWERS", private: bool = True
) -> Written:
    """files: path with / between its parts -> content. epoch: the time of each entry, in seconds. private: whether it
    holds a secret, and is its owner's alone. Nothing but `out` is written, the rest is in memory.

    Raises BuildError for a name that is not 8.3, and where they do not fit; HostError without mtools, and where `out`
    cannot be written.
    """
    if not re.fullmatch(r"[A-Z0-9_]{1,11}", label):
        raise ValueError(f"'{label}' is no label of a floppy")
    folders = require_names(files, "a floppy", _not_short)
    _require_room(files, folders)
    with ExitStack() as stack:
        image = stack.enter_context(in_memory(bytes(SIZE)))
        floppy = _Floppy(image, epoch)
        floppy.run(["mformat", "-f", "1440", "-v", label, "-N", _SERIAL, "::"])
        for folder in folders:
            floppy.run(["mmd", f"::/{folder}"])
        for name in sorted(files):
            content = stack.enter_context(in_memory(files[name]))
            floppy.run(["mcopy", name_of(content), f"::/{name}"], content)
        image.seek(0)
        with private_files(private), whole_file(out) as file:
            file.write(image.read())
    return Written.of(out)


class _Floppy:
    def __init__(self, image: IO[bytes], epoch: int) -> None:
        self._image = image
        self._env = {
            "HOME": "/nonexistent",
            "MTOOLSRC": "/dev/null",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(max(epoch, _OLDEST)),
        }

    def run(self, command: Sequence[Word], *given: IO[bytes]) -> None:
        """given: files in memory that it reads."""
        program, *words = command
        fds = [file.fileno() for file in (self._image, *given)]
        finished = run([program, "-i", name_of(self._image), *words], env=self._env, fds=fds)
        if finished.code != 0:
            raise BuildError(f"the floppy cannot be made: {program}: {finished.reason}")


def _not_short(part: str) -> str:
    return "" if _SHORT.fullmatch(part) else "has not the form of eight letters, a dot and three"


def _require_room(files: Mapping[str, bytes], folders: Sequence[str]) -> None:
    """Entries of a folder: two of its own, and one for each file and folder in it. The root has the label's instead."""
    inside = [path.rpartition("/")[0] for path in (*files, *folders)]
    if inside.count("") + 1 > ROOT_ENTRIES:
        raise BuildError(
            f"a floppy takes {ROOT_ENTRIES - 1} files in its root, and these are more; put them in a folder"
        )
    sizes = [len(content) for content in files.values()]
    sizes += [(2 + inside.count(folder)) * _ENTRY for folder in folders]
    used = sum(-(-size // CLUSTER) for size in sizes)
    if used > CLUSTERS:
        text = f"a floppy holds {CLUSTERS * CLUSTER} bytes, and these files need {used * CLUSTER}"
        raise BuildError(f"{text}; leave scripts and files to a CD, or shorten them")
