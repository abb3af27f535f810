"""A root of others made ready for steps: it is of the recipe's system, and keeps nothing of the machine that it was."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from vmgen_build.bases.identity import wrong_system
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.beneath import open_beneath
from vmgen_build.host.remove import remove_tree
from vmgen_build.plan.bases import Foreign
from vmgen_build.systems.parse import parse_system

_FOLDERS = {"dev": 0o755, "etc": 0o755, "proc": 0o555, "run": 0o755, "sys": 0o555, "tmp": 0o1777, "root": 0o700}
"""That every machine has, and that images of containers may lack."""

_MARKS = (".dockerenv", "run/.containerenv")
"""By which programs take a machine for a container of docker or podman: systemd-detect-virt(1)."""

_OWN = ("etc/fstab", "etc/resolv.conf", "etc/machine-id")
"""Files that say what disks, name servers and name the former machine had."""

_MISSHAPEN = (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What open(2) says where a root has a file or a circle of links for a folder."""


def adopt(root: Path, base: Foreign) -> None:
    """Raises RecipeError at the recipe's line where the root is of another system or for another machine, or holds
    something else in a folder's place."""
    wrong = wrong_system(root, parse_system(f"{base.os}-{base.arch}"))
    if wrong:
        raise _refused(base, wrong)
    try:
        _make_ready(root)
    except OSError as error:
        if error.errno not in _MISSHAPEN:
            raise
        raise _refused(base, f"cannot be made ready: {error}; write another base") from error


def _refused(base: Foreign, wrong: str) -> RecipeError:
    option = "base" if base.source else "os"
    return RecipeError([Problem(base.where, f"[hardware] {option}", f"{base.source} {wrong}", code="base")])


def _make_ready(root: Path) -> None:
    for name, mode in _FOLDERS.items():
        with suppress(FileExistsError):
            (root / name).mkdir()
            (root / name).chmod(mode)
    for name in _MARKS:
        _remove(root, name)
    for name in _OWN:
        _empty(root, name)


def _empty(root: Path, name: str) -> None:
    """An empty file in its place, where there is one or a link of that name."""
    folder, _, last = name.rpartition("/")
    with suppress(FileNotFoundError):
        above = open_beneath(root, folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not stat.S_ISDIR(os.lstat(last, dir_fd=above).st_mode):
                os.unlink(last, dir_fd=above)
                os.close(os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=above))
        finally:
            os.close(above)


def _remove(root: Path, name: str) -> None:
    folder, _, last = name.rpartition("/")
    with suppress(FileNotFoundError, NotADirectoryError):
        above = open_beneath(root, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            remove_tree(Path(last), above)
        finally:
            os.close(above)
