"""Nameless files in memory, for programs that take files alone: nothing of them outlives this process."""

from __future__ import annotations

import os
from typing import IO


def in_memory(data: bytes) -> IO[bytes]:
    """A file that holds the data, at its beginning; memfd_create(2)."""
    file = os.fdopen(os.memfd_create("data", os.MFD_CLOEXEC), "w+b", buffering=0)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file


def name_of(fd: int | IO[bytes]) -> str:
    """How a program that was given this file, open under its number, names it."""
    return f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}"
