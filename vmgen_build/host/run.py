"""Running programs of this host: the one place that starts a process."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.host.programs import Requirement, find_program, missing, search_path

PIPE = subprocess.PIPE
NULL = subprocess.DEVNULL
TOGETHER = subprocess.STDOUT
"""For standard error: where standard output goes."""

Process = subprocess.Popen[bytes]
Stream = int | IO[bytes]
Word = str | Path

_KEPT = ("HOME", "TERM", "TMPDIR", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
"""Variables that a program gets from our own environment; the proxies' names in capitals too."""


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


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program gets: where programs are, no language, the proxies, and `more`."""
    kept = {name: os.environ[name] for word in _KEPT for name in (word, word.upper()) if name in os.environ}
    return {**kept, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(more or {})}


def start(
    argv: Sequence[Word],
    *,
    stdin: Stream = NULL,
    stdout: Stream = PIPE,
    stderr: Stream = TOGETHER,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    own_session: bool = True,
) -> Process:
    """Start a program. Its streams are not buffered.

    env: what is added to `environment`. own_session: a terminal's Ctrl-C does not reach it, it is ours to hand on.
    Raises HostError where the program is not there.
    """
    name = str(argv[0])
    found = find_program(name)
    if found is None:
        raise missing([Requirement(name, PACKAGES.get(name, name))])
    return subprocess.Popen(
        [found, *map(str, argv[1:])],
        bufsize=0,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment(env),
        cwd=cwd,
        pass_fds=tuple(pass_fds),
        start_new_session=own_session,
    )


def run(
    argv: Sequence[Word],
    *,
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> Finished:
    """Run a program to its end, its output kept in memory. data: its standard input. Raises HostError as `start`."""
    with start(argv, stdin=PIPE if data else NULL, stderr=PIPE, env=env, cwd=cwd) as process:
        try:
            out, err = process.communicate(data or None, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Finished(TIMED_OUT, out, err)
        except BaseException:
            process.kill()
            raise
    return Finished(process.returncode, out or b"", err or b"")


def run_lines(
    argv: Sequence[Word],
    output: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> int:
    """Run a program to its end; `output` gets each line of both its streams as it comes, without the line end.

    Its exit code: negative for the signal that ended it. Where its time is over it is killed with its process group,
    and TimeoutError is raised. Raises HostError as `start`.
    """
    late = threading.Event()
    with start(argv, env=env) as process:

        def end() -> None:
            late.set()
            _kill_group(process)

        timer = threading.Timer(timeout or 0.0, end)
        try:
            if timeout is not None:
                timer.start()
            assert process.stdout is not None
            with open(process.stdout.fileno(), "rb", closefd=False) as lines:
                for line in lines:
                    output(line.decode(errors="replace").rstrip("\r\n"))
            code = process.wait()
        finally:
            timer.cancel()
            _kill_group(process)
    if late.is_set():
        raise TimeoutError(f"{argv[0]} took longer than {timeout} s")
    return code


def _kill_group(process: Process) -> None:
    """Of one that has been waited for, nothing is killed: its number may be another's."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


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


PACKAGES = {
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mkswap": "util-linux",
    "nsenter": "util-linux",
    "mkfs.vfat": "dosfstools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "mkntfs": "ntfs-3g",
    "ntfslabel": "ntfs-3g",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "lxc-execute": "lxc",
    "lxc-start": "lxc",
    "lxc-attach": "lxc",
    "lxc-stop": "lxc",
    "lxc-info": "lxc",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "xz": "xz-utils",
}
"""Program -> the Debian package that brings it, where their names differ."""
