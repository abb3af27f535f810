"""What a foreign image takes of the host's disk and time while it is unpacked and runs, as a container or in QEMU."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from vmgen_build.errors import BuildError
from vmgen_build.limits import UNPACKED, UNPACKED_ENTRIES, Limit
from vmgen_build.text import size

TICK = 0.2
"""Seconds between two looks."""

KEPT_FREE = 1 << 30
"""Bytes of the cache's disk that stay free."""


class Watch:
    """Looks now and then, in a thread of its own, and calls `end` where a limit is exceeded.

    folder: where the image lies; what others write to the same disk meanwhile counts too. limit: of the time, None for
    none. kept: bytes of the disk that stay free. files: what each of them may be, below another limit.
    Leaving the context raises BuildError where a limit was exceeded, in place of the failures that this caused.
    """

    def __init__(
        self,
        what: str,
        folder: Path,
        limit: Limit | None,
        end: Callable[[], None],
        kept: int,
        files: Mapping[Path, Limit] = MappingProxyType({}),
    ) -> None:
        self._what, self._folder, self.limit, self._end, self.kept = what, folder, limit, end, kept
        self.files = files
        self._stop = threading.Event()
        self._exceeded = ""
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._begin = time.monotonic()
        self._before = os.statvfs(self._folder)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        interrupted = kind is not None and not issubclass(kind, Exception)
        if self._exceeded and not interrupted:
            raise BuildError(f"{self._what}: {self._exceeded}") from error

    def _look(self) -> None:
        while not self._stop.wait(TICK):
            self._exceeded = self._found()
            if self._exceeded:
                self._end()
                return

    def _found(self) -> str:
        """Which limit is exceeded."""
        now = os.statvfs(self._folder)
        if self.limit is not None and time.monotonic() - self._begin > self.limit.amount:
            return self.limit.exceeded
        if (self._before.f_bavail - now.f_bavail) * now.f_frsize > UNPACKED.amount:
            return UNPACKED.exceeded
        if now.f_bavail * now.f_frsize < self.kept:
            return f"less than {size(self.kept)} of the disk are free; make room there"
        if self._before.f_favail - now.f_favail > UNPACKED_ENTRIES.amount:
            return UNPACKED_ENTRIES.exceeded
        large = [limit for file, limit in self.files.items() if file.stat().st_size > limit.amount]
        return large[0].exceeded if large else ""
