"""Running programs of this host: the one place that starts a process."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.host.environment import environment
from vmgen_build.host.lines import CHUNK, Lines
from vmgen_build.host.programs import find_program, missing, needed
from vmgen_build.host.stops import undisturbed
from vmgen_build.host.syscalls import set_death_signal

PIPE = subprocess.PIPE
NULL = subprocess.DEVNULL
TOGETHER = subprocess.STDOUT
"""For standard error: where standard output goes."""

TICK = 0.2
"""Seconds between two calls of what is called while a program runs."""

Process = subprocess.Popen[bytes]
SubprocessError = subprocess.SubprocessError
"""What starting a program raises where its own preparation in the child fails."""

TimeoutExpired = subprocess.TimeoutExpired
"""What Process.wait raises when its time is over."""

Stream = int | IO[bytes]
Word = str | Path


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended. code: negative for the signal that ended it, TIMED_OUT where its time was over."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """Standard output; bytes that are no UTF-8 become U+FFFD."""
        return self.out.decode(errors="replace")

    @property
    def reason(self) -> str:
        """What it wrote to standard error, or its exit code where that is nothing."""
        return self.err.decode(errors="replace").strip() or f"it ended with {self.code}"


def start(
    argv: Sequence[Word],
    *,
    stdin: Stream = NULL,
    stdout: Stream = PIPE,
    stderr: Stream = TOGETHER,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start a program. Its streams are not buffered. A terminal's Ctrl-C does not reach it, it is ours to hand on.

    env: what is added to `environment`. Raises HostError where the program is not there.
    """
    streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    return _started(argv, env=environment(env), cwd=cwd, start_new_session=True, **streams)


def start_so(argv: Sequence[Word], env: Mapping[str, str], options: Mapping[str, Any]) -> Process:
    """Start a program with options of Popen's own and this environment alone (host.confined). Raises HostError as
    `start`."""
    return _started(argv, env=dict(env), start_new_session=True, **options)


def start_on(
    argv: Sequence[Word], terminal: int | None, env: Mapping[str, str], prepare: Callable[[], object] | None = None
) -> Process:
    """Start a program in a session of its own whose terminal is this open one; with our own streams where that is None.

    env: all of its environment. prepare: as of `run_lines`. Raises HostError as `start`.
    """
    if terminal is None:
        return _started(argv, env=env, stdin=0, stdout=1, stderr=2, start_new_session=True, preexec_fn=prepare)

    def own_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if prepare is not None:
            prepare()

    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    return _started(argv, env=env, start_new_session=True, preexec_fn=own_terminal, **streams)


def _started(argv: Sequence[Word], **options: Any) -> Process:
    """options: of Popen."""
    name = str(argv[0])
    found = find_program(name)
    if found is None:
        raise missing([needed(name)])
    words = [name, *map(str, argv[1:])]
    prepare = options.pop("preexec_fn", None)
    if prepare is None:
        return subprocess.Popen(words, executable=found, bufsize=0, **options)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def prepared() -> None:
        prepare()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    # Python forks by itself here, and what is raised within its own callbacks is lost: an interrupt, for one.
    with undisturbed():
        return subprocess.Popen(words, executable=found, bufsize=0, preexec_fn=prepared, **options)


def run(
    argv: Sequence[Word],
    *,
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    fds: Sequence[int] = (),
) -> Finished:
    """Run a program to its end, its output kept in memory. data: its standard input. fds: open in it under their
    numbers. Raises HostError as `start`.

    It is killed with this thread, which waits for it: also one that somebody stopped outlives no killed build.
    """
    streams = {"stdin": PIPE if data else NULL, "stdout": PIPE, "stderr": PIPE}
    options = {"cwd": cwd, "pass_fds": tuple(fds), "start_new_session": True, "preexec_fn": _die_with_us, **streams}
    return finish(_started(argv, env=environment(env), **options), data, timeout)


def run_into(argv: Sequence[Word], out: int, env: Mapping[str, str] | None = None) -> Finished:
    """The same for a program whose standard output is an open file."""
    options = {"start_new_session": True, "preexec_fn": _die_with_us, "stdin": NULL, "stdout": out, "stderr": PIPE}
    return finish(_started(argv, env=environment(env), **options))


def _die_with_us() -> None:
    set_death_signal(signal.SIGKILL)


def finish(
    process: Process, data: bytes = b"", timeout: float | None = None, tick: Callable[[], None] | None = None
) -> Finished:
    """Wait for the end of a program that was started; what it writes to pipes is kept in memory.

    data: for its standard input. timeout: seconds, after which it and all that it started are killed. tick: called now
    and then meanwhile, in place of a timeout.
    """
    rest = data or None
    with process:
        try:
            while True:
                try:
                    out, err = process.communicate(rest, TICK if tick else timeout)
                except subprocess.TimeoutExpired as late:
                    rest = None
                    if tick is None:
                        kill(process)
                        return Finished(TIMED_OUT, late.output or b"", late.stderr or b"")
                    tick()
                else:
                    return Finished(process.returncode, out or b"", err or b"")
        except BaseException:
            kill(process)
            raise


def kill(process: Process) -> None:
    """End a program at once, and in its session all that it started; nothing where it has ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def run_lines(
    argv: Sequence[Word],
    output: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    stdin: Stream = NULL,
    prepare: Callable[[], object] | None = None,
) -> int:
    """Run a program to its end; `output` gets each line of both its streams as it comes, without the line end;
    one that is longer than CHUNK characters comes in pieces.

    prepare: what the new process does before it becomes the program.
    Its exit code: negative for the signal that ended it. Where its time is over it is killed with its process group,
    and TimeoutError is raised. Raises HostError as `start`.
    """
    late = threading.Event()
    streams = {"stdin": stdin, "stdout": PIPE, "stderr": TOGETHER}
    with _started(argv, env=environment(env), start_new_session=True, preexec_fn=prepare, **streams) as process:

        def end() -> None:
            late.set()
            kill(process)

        timer = threading.Timer(timeout or 0.0, end)
        try:
            if timeout is not None:
                timer.start()
            assert process.stdout is not None
            lines = Lines(output)
            while chunk := process.stdout.read(CHUNK):
                lines.add(chunk)
            lines.add(b"", final=True)
            code = process.wait()
        finally:
            timer.cancel()
            kill(process)
    if late.is_set():
        raise TimeoutError(f"{argv[0]} took longer than {timeout} s")
    return code


def output(
    argv: Sequence[Word], what: str, *, data: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """What a program that must succeed prints. what: the work, for the message: "cannot prepare a copy to boot".

    Raises HostError as `start`, BuildError where it fails.
    """
    finished = run(argv, data=data, env=env, cwd=cwd)
    if finished.code != 0:
        raise BuildError(f"{what}: {Path(str(argv[0])).name}: {finished.reason}")
    return finished.text
