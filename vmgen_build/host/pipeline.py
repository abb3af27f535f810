"""Programs of this host, each of which reads what the one before it writes."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vmgen_build.host.run import NULL, PIPE, Process, Stream, Word, kill, start

_PIPE_BYTES = 1 << 20
_MESSAGE_BYTES = 4000


@dataclass(frozen=True, slots=True)
class _Link:
    """errors: a file that holds what the program wrote to standard error."""

    name: str
    process: Process
    errors: IO[bytes]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """output: what the last program writes, not buffered."""

    links: tuple[_Link, ...]
    output: IO[bytes]

    @property
    def first_pid(self) -> int:
        return self.links[0].process.pid

    def end(self) -> None:
        for link in self.links:
            kill(link.process)

    def failure(self) -> str:
        """Wait for all; "" or which one failed, and what it wrote: of several the last, whose end ended the others."""
        codes = [link.process.wait() for link in self.links]
        for code, link in zip(reversed(codes), reversed(self.links), strict=True):
            if code != 0:
                link.errors.seek(0)
                reason = link.errors.read(_MESSAGE_BYTES).decode(errors="replace").strip()
                return f"{link.name}: {reason or f'it ended with {code}'}"
        return ""


@contextmanager
def pipeline(
    commands: Mapping[str, Sequence[Word]],
    *,
    stdin: Stream = NULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Pipeline]:
    """The commands, running; leaving the context ends them.

    commands: in order, each under the name that messages give it. env, cwd: as of `start`. Raises HostError as that.
    """
    links: list[_Link] = []
    with ExitStack() as undo:
        source: Stream = stdin
        for name, command in commands.items():
            errors = undo.enter_context(tempfile.TemporaryFile())
            process = start(command, stdin=source, stdout=PIPE, stderr=errors, env=env, cwd=cwd)
            assert process.stdout is not None
            output: IO[bytes] = process.stdout
            undo.callback(kill, process)
            undo.callback(output.close)
            if links:
                links[-1].process.stdout.close()  # type: ignore[union-attr]
            with suppress(OSError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            links.append(_Link(name, process, errors))
            source = output
        yield Pipeline(tuple(links), output)
