"""Which files were read, and waiting until one of them changes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

POLL = 0.3
"""Seconds between two looks. Files are looked at, and not watched by inotify(7), which sees no change that another
machine makes (NFS, shared folders), and needs care where an editor puts a new file in the old one's place."""

State = tuple[int, ...]
"""Of a file: inode, size, mode and time of its last change; () where it is not there."""

_noted: ContextVar[dict[Path, State] | None] = ContextVar("noted", default=None)


@contextmanager
def noted_reads() -> Iterator[Mapping[Path, State]]:
    """The files that this process opens to read from here on, by `note_read`, as they were then; those that it looks
    for in vain are among them."""
    noted: dict[Path, State] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def note_read(path: Path) -> None:
    noted = _noted.get()
    if noted is not None and (place := path.absolute()) not in noted:
        noted[place] = _state(place)


def outside(noted: Mapping[Path, State], folders: Sequence[Path]) -> dict[Path, State]:
    """Those in none of the folders."""
    absolute = [folder.absolute() for folder in folders]
    return {path: state for path, state in noted.items() if not any(path.is_relative_to(folder) for folder in absolute)}


def wait_for_change(noted: Mapping[Path, State]) -> list[Path]:
    """Wait until a file is another than it was, and all have been left alone for a moment; those that changed."""
    before: dict[Path, State] = {}
    while True:
        now = {path: _state(path) for path in noted}
        changed = [path for path, state in now.items() if state != noted[path]]
        if changed and now == before:
            return changed
        before = now
        time.sleep(POLL)


def _state(path: Path) -> State:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns)
