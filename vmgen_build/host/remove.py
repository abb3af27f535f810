"""Trees removed without following a link, without crossing into a mount, and however deep they are."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(name: str | Path, folder: int | None = None) -> int:
    """A descriptor of a folder that is no link, below the open one `folder`. Raises OSError; ENOTDIR for a link."""
    return os.open(name, _FOLDER, dir_fd=folder)


def remove_tree(path: Path, folder: int | None = None) -> None:
    """Remove a file, a link or a whole tree; nothing where it is not there. folder: as of `open_folder`.

    Raises OSError for the first thing that could not be removed; all else is removed nevertheless.
    """
    try:
        if not stat.S_ISDIR(os.lstat(path, dir_fd=folder).st_mode):
            os.unlink(path, dir_fd=folder)
            return
        top = open_folder(path, folder)
    except FileNotFoundError:
        return
    try:
        empty(top)
    finally:
        os.close(top)
    _remove_empty(path, folder)


def empty(top: int, keep: str = "") -> None:
    """Remove all that an open folder holds, but for the one name `keep`.

    A folder in a folder is moved up to `top` before it is emptied, so that no more than two are open at once and no
    path grows, at any depth. Raises OSError as `remove_tree`.
    """
    device = os.fstat(top).st_dev
    failed: dict[str, OSError] = {}
    while names := [name for name in _names(top) if name != keep and name not in failed]:
        for name in names:
            try:
                _remove(top, name, device)
            except OSError as error:
                error.filename = error.filename or name
                failed[name] = error
    if failed:
        raise next(iter(failed.values()))


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _remove(top: int, name: str, device: int) -> None:
    """One entry of `top`: a file, or a folder, whose own folders are moved up."""
    if _removed(top, name):
        return
    try:
        inner = open_folder(name, top)
    except FileNotFoundError:
        return
    try:
        if os.fstat(inner).st_dev != device:
            raise OSError(errno.EBUSY, "something is mounted there", name)
        for child in _names(inner):
            if not _removed(inner, child):
                os.rename(child, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    _remove_empty(name, top)


def _removed(folder: int, name: str) -> bool:
    """Whether it is gone now: a folder that is not empty stays."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except (IsADirectoryError, PermissionError):  # unlink(2) of a folder: EISDIR on Linux, EPERM by POSIX
        return _removed_folder(folder, name)
    return True


def _removed_folder(folder: int, name: str) -> bool:
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _remove_empty(name: str | Path, folder: int | None) -> None:
    try:
        os.rmdir(name, dir_fd=folder)
    except FileNotFoundError:
        return
