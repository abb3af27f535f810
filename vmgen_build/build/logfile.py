"""The log of one build: every event with its time, and every line that a step printed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from vmgen_build.events import Event, Note, StepOutput
from vmgen_build.filenames import require_file_name
from vmgen_build.text import clean

KEPT = 20
"""Logs that stay for each name; older ones go when a new one is opened."""


class LogFile:
    """A listener that writes to `path`. A full disk ends the log, never the build."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self.path = path
        self._stream: TextIO | None = stream

    def __call__(self, event: Event) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(f"{_stamp(event.time)} {_describe(event)}\n")
        except OSError:
            self.close()

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                return

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_log(folder: Path, name: str) -> LogFile:
    """A new log FOLDER/NAME-DATE-TIME.log, its own even where several builds start in the same second.

    What steps print is their builder's alone: the log has mode 0600, its folder 0700.

    Raises OSError where the folder can't be made or written, ValueError for a name that is no plain file name.
    """
    require_file_name(name, "a log")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _drop_old(folder, name)
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        path = folder / f"{stem}{suffix}.log"
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        return LogFile(path, os.fdopen(number, "w", encoding="utf-8", errors="replace", buffering=1))
    raise FileExistsError(f"{folder / stem}.log and 998 more like it are there already")


def _drop_old(folder: Path, name: str) -> None:
    stamp = "[0-9]" * 8 + "-" + "[0-9]" * 6
    logs = sorted((p for p in folder.glob(f"*-{stamp}*.log") if p.name.startswith(f"{name}-2")), reverse=True)
    for old in logs[KEPT - 1 :]:
        old.unlink(missing_ok=True)


def _stamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}"


def _describe(event: Event) -> str:
    if isinstance(event, StepOutput):
        return f"{event.step} | {clean(event.line)}"
    if isinstance(event, Note):
        newline = "\n    "
        return f"{event.level}: {newline.join(clean(line) for line in event.text.splitlines())}"
    unused = ("event", "time", "titles")
    fields = {k: v for k, v in event.as_dict().items() if k not in unused and v not in ("", None, ())}
    return " ".join([event.kind, *(f"{key}={clean(str(value))}" for key, value in fields.items())])
