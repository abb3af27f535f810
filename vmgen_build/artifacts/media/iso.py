"""CDs, ISO 9660 with Joliet: what Setup of Vista and later looks for autounattend.xml on, in the root of each drive.
xorrisofs(1) makes them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vmgen_build.artifacts.media.names import require_names
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, private_files, whole_file, write_private
from vmgen_build.host.programs import needed
from vmgen_build.host.run import run_into

ISO_REQUIREMENTS = (needed("xorrisofs", "writes the CD that Windows Setup reads"),)

LONGEST_NAME, DEEPEST = 64, 8
"""UTF-16 units of a name, by Joliet; levels of folders and files, by ISO 9660."""

_LARGEST = (4 << 30) - 1
"""Bytes of a file that is one extent: Windows reads the first extent alone."""


def write_iso(
    files: Mapping[str, bytes | Path], out: Path, *, label: str, folder: Path, epoch: int, private: bool = True
) -> Written:
    """files: path with / between its parts -> content, or the file of this host that has it. label: of the volume.
    folder: for what is temporary, of the build's own. epoch: the time of each entry, in seconds. private: whether it
    holds a secret, and is its owner's alone.

    Raises BuildError for a name that Windows cannot have, and for too large a file; HostError without xorriso, and
    where nothing can be written.
    """
    if not re.fullmatch(r"[A-Z0-9_]{1,16}", label):
        raise ValueError(f"'{label}' is no label of a CD")
    folders = require_names(files, "a CD", _not_joliet)
    for name, content in files.items():
        if name.count("/") >= DEEPEST:
            raise BuildError(f"'{name}' lies too deep for a CD, which has {DEEPEST} levels; move it up")
        if isinstance(content, Path):
            _require_size(content)
    try:
        with tempfile.TemporaryDirectory(prefix="vmgen-cd-", dir=folder) as scratch:
            tree = Path(scratch)
            for inner in folders:
                (tree / inner).mkdir()
            for name, content in files.items():
                _put(tree / name, content)
            with private_files(private), whole_file(out) as file:
                _run(tree, label, max(epoch, 1), file.fileno())
    except OSError as error:
        text = f"cannot write {out}: {error.strerror}; make room there, or choose another folder"
        raise HostError(text) from error
    return Written.of(out)


def _put(path: Path, content: bytes | Path) -> None:
    if isinstance(content, Path):
        path.symlink_to(content.absolute())
    else:
        write_private(path, content)


def _run(tree: Path, label: str, epoch: int, out: int) -> None:
    """Links are followed, and Rock Ridge, which would hold owners and modes, is left out."""
    layout = ["-iso-level", "3", "--norock", "-J", "-f", "-V", label, "--set_all_file_dates", f"={epoch}"]
    command: list[str | Path] = ["xorrisofs", "--no_rc", "-quiet", *layout, tree]
    env = {"SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    finished = run_into(command, out, env)
    if finished.code != 0:
        raise BuildError(f"the CD cannot be made: xorrisofs: {finished.reason}")


def _require_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error
    if size > _LARGEST:
        raise BuildError(f"{path} is larger than the 4 GiB that a file on a CD can have; give it to Windows otherwise")


def _not_joliet(part: str) -> str:
    if any(ord(char) > 0xFFFF for char in part):
        return "holds a character beyond U+FFFF, which a CD cannot name"
    if ";" in part:
        return "holds ';', which parts names from versions on a CD"
    return "" if len(part) <= LONGEST_NAME else f"is longer than the {LONGEST_NAME} characters of a name on a CD"
