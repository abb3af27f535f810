"""Programs of this host that read what others have made, such as a disk image: what they can do if it breaks them.

A program that is started here
- runs as a user and group of no name, without groups and capabilities, and can gain none (no_new_privs);
- gets the files that it works on as open descriptors, to be named /proc/self/fd/N (or /dev/fdset/N);
- reaches, where the kernel has Landlock, no other files than the system's programs and libraries, and no TCP;
- has limits on its time, its memory and what it prints, and gets nothing of our environment.

Without root it stays the user that calls; all else holds.
"""

from __future__ import annotations

import fcntl
import os
import resource
import selectors
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgen_build.errors import TIMED_OUT, BuildError, HostError
from vmgen_build.host import landlock
from vmgen_build.host import syscalls as sc
from vmgen_build.host.programs import search_path
from vmgen_build.host.run import NULL, PIPE, TICK, Finished, Process, SubprocessError, Word, kill, start_so
from vmgen_build.limits import DISK_RESERVE, READER_MEMORY, READER_OUTPUT, READER_TIME
from vmgen_build.text import size

USER = 0x766D6765
"""The user and group that such programs run as: "vmge" in ASCII, in none of the ranges that a system gives away."""

NOBODY = 65534
"""In its place where USER does not exist: in a container whose users are shifted."""

_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/dev/urandom", "/sys/devices/system")
_RESOLVER = ("/etc/resolv.conf",)
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Reach:
    """What a program gets. fds: open in it under their numbers, those of files to be opened anew by name too.

    devices: of the host, to be opened with the groups of those that are not everybody's. memory: bytes; None: no limit.
    network: whether it may connect by TCP.
    """

    fds: tuple[int, ...] = ()
    devices: tuple[Path, ...] = ()
    memory: int | None = READER_MEMORY.amount
    network: bool = False


def user() -> int | None:
    """Who they run as (the group has the same number); None where we are not root: who we are."""
    if os.geteuid() != 0:
        return None
    rows = (tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines())
    return USER if any(first <= USER < first + count for first, _, count in rows) else NOBODY


@contextmanager
def lent(*fds: int) -> Iterator[None]:
    """These files of ours, as long as the body runs, belong to the user that such programs run as: they may open them
    anew. Raises OSError."""
    owner = user()
    with ExitStack() as undo:
        for fd in fds if owner is not None else ():
            before = os.fstat(fd)
            undo.callback(os.fchown, fd, before.st_uid, before.st_gid)
            os.fchown(fd, owner, owner)  # type: ignore[arg-type]
        yield


def start_confined(argv: Sequence[Word], reach: Reach, log: IO[bytes] | int = NULL) -> Process:
    """Start such a program. log: takes both its streams. Raises HostError where the program is not there."""
    return _start(argv, reach, {"stdout": log, "stderr": log})


def start_filter(argv: Sequence[Word], reach: Reach, source: IO[bytes] | int, errors: IO[bytes]) -> Process:
    """Start such a program that reads `source` and writes to its `stdout`, which the caller reads. errors: takes what
    it writes to standard error. Raises HostError where the program is not there."""
    return _start(argv, reach, {"stdin": source, "stdout": PIPE, "stderr": errors})


@contextmanager
def filtering(argv: Sequence[Word], source: IO[bytes], errors: IO[bytes]) -> Iterator[IO[bytes]]:
    """What such a program makes of `source`, as it comes; it is ended with the body. As `start_filter`."""
    process = start_filter(argv, Reach(), source, errors)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        kill(process)
        process.stdout.close()


def run_confined(
    argv: Sequence[Word], reach: Reach, *, timeout: float | None = None, fills: Path | None = None
) -> Finished:
    """Run such a program to its end, its output kept in memory. timeout: seconds. fills: a folder on the disk that it
    writes to; it is ended before that is full.

    Raises HostError as `start_confined`, BuildError where it prints or writes more than the limit.
    """
    process = _start(argv, reach, {"stdout": PIPE, "stderr": PIPE})
    with process:
        try:
            return _finish(process, Path(str(argv[0])).name, timeout or READER_TIME.amount, fills)
        finally:
            kill(process)


def output_confined(argv: Sequence[Word], what: str, fds: Sequence[int], fills: Path | None = None) -> str:
    """What such a program, which must succeed, prints. what: the work, for the message. fills: as of `run_confined`.

    Raises HostError, BuildError where it fails.
    """
    finished = run_confined(argv, Reach(tuple(fds)), fills=fills)
    if finished.code != 0:
        raise BuildError(f"{what}: {Path(str(argv[0])).name}: {finished.reason}")
    return finished.text


def _finish(process: Process, name: str, timeout: float, fills: Path | None) -> Finished:
    deadline, found = time.monotonic() + timeout, {1: bytearray(), 2: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for number, stream in ((1, process.stdout), (2, process.stderr)):
            assert stream is not None
            waiting.register(stream, selectors.EVENT_READ, number)
        while waiting.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return Finished(TIMED_OUT, bytes(found[1]), f"it took longer than {timeout:g} s".encode())
            if fills is not None:
                check_reserve(name, fills)
            for key, _ in waiting.select(min(left, TICK)):
                data = os.read(key.fd, _CHUNK)
                found[key.data] += data
                if not data:
                    waiting.unregister(key.fileobj)
                if sum(map(len, found.values())) > READER_OUTPUT.amount:
                    raise BuildError(f"{name}: of its output {READER_OUTPUT.exceeded}")
    return Finished(process.wait(), bytes(found[1]), bytes(found[2]))


def check_reserve(name: str, folder: Path) -> None:
    """Raises BuildError where the disk of a folder has too little left for the program of that name to go on."""
    usage = shutil.disk_usage(folder)
    reserve = min(DISK_RESERVE.amount, usage.total // 20)
    if usage.free < reserve:
        raise BuildError(
            f"{name}: it was stopped: the disk of {folder} has only {size(usage.free)} free, and {size(reserve)} stay"
            f" free (the limit '{DISK_RESERVE.name}'; docs/security.md); make room there, or give a smaller image"
        )


def _start(argv: Sequence[Word], reach: Reach, streams: Mapping[str, Any]) -> Process:
    who = user()
    rules = _rules(reach)

    def confine() -> None:
        """In the child, as the other user already."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if reach.memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (reach.memory, reach.memory))
        sc.no_new_privileges()
        if rules is not None:
            landlock.restrict_self(rules)

    options: dict[str, Any] = {"stdin": NULL, "pass_fds": reach.fds, "cwd": "/", "preexec_fn": confine, **streams}
    if who is not None:
        options |= {"user": who, "group": who, "extra_groups": _groups(reach.devices)}
    try:
        return start_so(argv, {"PATH": search_path(), "LC_ALL": "C.UTF-8", "HOME": "/", "TMPDIR": "/"}, options)
    except (PermissionError, SubprocessError) as error:
        text = f"cannot run {argv[0]} without root's rights ({error}); it must lie below /usr, for every user to run"
        raise HostError(text) from error
    finally:
        if rules is not None:
            os.close(rules)


def _groups(devices: Sequence[Path]) -> list[int]:
    """Of the devices that a group may open and not everybody."""
    found = [device.stat() for device in devices]
    return sorted({s.st_gid for s in found if not s.st_mode & stat.S_IWOTH and s.st_mode & stat.S_IWGRP and s.st_gid})


def _rules(reach: Reach) -> int | None:
    """The rules of Landlock, as a descriptor; None where the kernel has none."""
    allowed: dict[int, int] = {}
    with ExitStack() as undo:
        for name in (*_SYSTEM, *(_RESOLVER if reach.network else ()), "/dev/null", *map(str, reach.devices)):
            with suppress(FileNotFoundError):
                fd = os.open(name, os.O_PATH | os.O_CLOEXEC)
                undo.callback(os.close, fd)
                allowed[fd] = _rights(os.fstat(fd), write=name.startswith("/dev/"))
        for fd in reach.fds:
            if stat.S_ISREG(os.fstat(fd).st_mode) and not _is_memory(fd):
                flags = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
                allowed[fd] = _rights(os.fstat(fd), write=flags != os.O_RDONLY)
        return landlock.ruleset(allowed, network=reach.network)


def _rights(status: os.stat_result, write: bool) -> int:
    if stat.S_ISDIR(status.st_mode):
        return landlock.READ_TREE
    device = landlock.DEVICE if stat.S_ISCHR(status.st_mode) else 0
    return landlock.READ_FILE | device | (landlock.WRITE_FILE if write else 0)


def _is_memory(fd: int) -> bool:
    """Whether it is a file of no file system (memfd_create(2)), which Landlock has no rules for."""
    return str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("/memfd:")
