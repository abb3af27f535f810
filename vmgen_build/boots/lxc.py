"""A throwaway copy of an lxc artifact, booted with its own init. Runs inside a worker of guests.namespaces."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.lxc import ENTRY, nics_of, parse_config, throwaway
from vmgen_build.boots.model import Booted
from vmgen_build.boots.network import answer_as_gateway, asked_of, dhcp_server, knock, make_bridges
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.host import syscalls as sc
from vmgen_build.store.lease import CGROUPS
from vmgen_build.text import clean

NAME = "guest"
CGROUP_ROOT = Path("/sys/fs/cgroup")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

UP = ("running", "degraded")
"""States of systemctl(1) is-system-running in which the boot has ended."""

POLL = 0.1
ATTACH_TIMEOUT = 20.0

LIKELY_RATIO = 12
"""Compressed to unpacked size: few images are compressed better than that."""

_LXC_ERROR = re.compile(r"\S+ \S+ \S+ +ERROR +\S+ - \S+ - (.*)")
"""A line of lxc's log: program, container, time, level, part, place in lxc's source, and what is wrong."""

_EVAL = 'script=$(cat) && exec </dev/null && eval "$script"'
"""The script comes by standard input, which its own commands then do not see."""


class Attached(Communicator):
    """lxc-attach(1) into the booted container."""

    def __init__(self, lxc: Path) -> None:
        self._head = ["lxc-attach", "-P", str(lxc), "-n", NAME, "--clear-env", "-v", f"PATH={PATH}", "-v", "HOME=/root"]

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """A script that takes longer than `timeout` seconds ends with code 124, as by timeout(1)."""
        return self._attach(["/bin/sh", "-c", _EVAL], script.encode(), timeout)

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        script = 'cat > "$1" && chmod "$2" "$1"'
        self._or_fail(["/bin/sh", "-c", script, "sh", remote, f"{mode:04o}"], local.read_bytes())

    def get(self, remote: str, local: Path) -> None:
        with local.open("wb") as file:
            command = [*self._head, "--", "/bin/cat", "--", remote]
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, start_new_session=True).returncode != 0:
                raise BuildError(f"cannot read {remote} in the booted machine")

    def delete(self, remote: str) -> None:
        self._or_fail(["/bin/rm", "-rf", "--", remote], b"")

    def _or_fail(self, command: Sequence[str], data: bytes) -> None:
        ran = self._attach(command, data, None)
        if ran.code != 0:
            raise BuildError(f"in the booted machine: {ran.out.strip()}")

    def _attach(self, command: Sequence[str], data: bytes, timeout: float | None) -> Ran:
        try:
            ran = subprocess.run(
                [*self._head, "--", *command],
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return Ran(124, f"no answer in {timeout:g} seconds")
        return Ran(ran.returncode, ran.stdout.decode(errors="replace"))


class LxcBooted(Booted):
    def __init__(self, lxc: Path) -> None:
        self._communicator = Attached(lxc)

    @property
    def communicator(self) -> Communicator:
        return self._communicator

    def reach(self, address: str, port: int) -> str:
        return knock(address, port)


Content = Callable[[Path, ExitStack], list[ENTRY]]
"""Takes the container's empty folder; puts the root file system there as "rootfs", and gives its configuration."""


def booted(artifact: Path, bus: Bus, *, scratch: Path, timeout: float) -> AbstractContextManager[LxcBooted]:
    """The copy of an lxc artifact, as booted_from gives it."""

    def content(folder: Path, undo: ExitStack) -> list[ENTRY]:
        unpack(artifact, folder, undo)
        return _entries(folder / "config", artifact)

    return booted_from(content, bus, scratch=scratch, timeout=timeout)


@contextmanager
def booted_from(content: Content, bus: Bus, *, scratch: Path, timeout: float) -> Iterator[LxcBooted]:
    """Unpack, start, wait until the system is up. Raises BuildError or HostError; everything is gone after it."""
    with ExitStack() as undo:
        lxc = scratch / "lxc"
        folder = lxc / NAME
        folder.mkdir(parents=True)
        entries = content(folder, undo)
        nics = nics_of(entries)
        undo.enter_context(dhcp_server(make_bridges(nics), scratch))
        group = f"{CGROUPS}/{scratch.parent.name}"
        undo.callback(_remove_groups, CGROUP_ROOT / group)
        controllers = (CGROUP_ROOT / "cgroup.controllers").read_text().split()
        (folder / "config").write_text(throwaway(entries, controllers, _own_entries(folder, scratch, group)))
        started = undo.enter_context(_Start(lxc, scratch))
        machine = LxcBooted(lxc)
        started.wait_until_up(machine.communicator, bus, timeout)
        answer_as_gateway(asked_of(started.init_pid()), nics)
        yield machine


def unpack(artifact: Path, folder: Path, undo: ExitStack, inside: str = ".") -> None:
    """Untar into `folder`, or a new one `inside` it: into memory where it surely fits and the kernel allows, else on
    the disk."""
    room = _memory() // 2
    if artifact.stat().st_size * LIKELY_RATIO < room:
        with ExitStack() as attempt:
            sc.mount("tmpfs", folder, "tmpfs", options=f"size={room},mode=0755")
            attempt.callback(sc.unmount, folder, sc.MNT_DETACH)
            with suppress(BuildError):
                _untar(artifact, folder / inside)
                undo.push(attempt.pop_all())
                return
    _untar(artifact, folder / inside)


def _untar(artifact: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = ["tar", "--extract", "--file=-", "--numeric-owner", "--same-permissions", "--acls", "--xattrs"]
    command += ["--xattrs-include=*", "--warning=no-timestamp", f"--directory={folder}"]
    decompress = decompressor(artifact)
    with artifact.open("rb") as source:
        first = None
        if decompress is not None:
            first = subprocess.Popen(decompress, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ran = subprocess.run(command, stdin=first.stdout if first else source, stderr=subprocess.PIPE, text=True)
        if first is not None:
            assert first.stdout is not None
            first.stdout.close()
            first.wait()
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines()[:3]
        raise BuildError(f"cannot unpack {artifact}: {'; '.join(said)}")


class _Start:
    """lxc-start(1) in the foreground; leaving the context kills the container."""

    def __init__(self, lxc: Path, scratch: Path) -> None:
        self._lxc, self._scratch = lxc, scratch

    def __enter__(self) -> _Start:
        command = ["lxc-start", "-P", str(self._lxc), "-n", NAME, "-F", "-o", str(self._scratch / "log"), "-l", "ERROR"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            subprocess.run(
                ["lxc-stop", "-P", str(self._lxc), "-n", NAME, "--kill"],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def init_pid(self) -> int:
        """Of the container's init, as the worker sees it."""
        command = ["lxc-info", "-P", str(self._lxc), "-n", NAME, "--pid", "--no-humanize"]
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if not ran.stdout.strip().isdigit():
            raise BuildError("the machine stopped by itself after its boot\n" + self._console())
        return int(ran.stdout)

    def wait_until_up(self, communicator: Communicator, bus: Bus, timeout: float) -> None:
        """Raises BuildError with the console's last lines."""
        start, state = time.monotonic(), "no answer"
        while (passed := time.monotonic() - start) < timeout:
            if self._process.poll() is not None:
                raise BuildError(f"the machine does not start: its init ended after {passed:.1f} s\n{self._console()}")
            state = communicator.run("systemctl is-system-running", ATTACH_TIMEOUT).out.strip()
            if state in UP:
                bus.note(f"booted in {passed:.1f} s: {state}", verbose=True)
                return
            time.sleep(POLL)
        jobs = communicator.run("systemctl list-jobs --no-legend --no-pager", ATTACH_TIMEOUT).out.strip()
        waiting = f"; it waits for:\n{jobs}" if jobs else ""
        raise BuildError(f"the machine did not come up within {timeout:g} s ({state}){waiting}\n{self._console()}")

    def _console(self) -> str:
        """The last lines of the machine's console, and the first errors of lxc, of which the others follow."""
        console = [line for line in map(clean, _lines(self._scratch / "console")) if line.strip()][-15:]
        errors = [match[1] for match in map(_LXC_ERROR.match, _lines(self._scratch / "log")) if match][:3]
        said = []
        for title, lines in (("what lxc said", errors), ("the last lines of its console", console)):
            if lines:
                said += [f"{title}:", *(f"  {line}" for line in lines)]
        return "\n".join(said)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _entries(config: Path, artifact: Path) -> list[ENTRY]:
    try:
        return parse_config(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{artifact}: its lxc configuration is unusable: {error}; build the image anew") from error


def _own_entries(folder: Path, scratch: Path, group: str) -> list[ENTRY]:
    return [
        ("lxc.rootfs.path", f"dir:{folder / 'rootfs'}"),
        ("lxc.apparmor.profile", "unconfined"),
        ("lxc.console.logfile", str(scratch / "console")),
        ("lxc.cgroup.dir.container", f"{group}/guest"),
        ("lxc.cgroup.dir.monitor", f"{group}/monitor"),
        ("lxc.cgroup.dir.monitor.pivot", f"{group}/pivot"),
    ]


def _remove_groups(top: Path) -> None:
    """Remove the killed machine's cgroups, which its processes leave within moments. What stays is reaped by the next
    run (layers.lease)."""
    deadline = time.monotonic() + 2
    while top.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if top.exists():
            time.sleep(0.02)


def _memory() -> int:
    """Bytes that are available (proc(5), MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise HostError("cannot read how much memory is available: /proc/meminfo has no MemAvailable")
