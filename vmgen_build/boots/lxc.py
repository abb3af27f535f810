"""A throwaway copy of an lxc artifact, booted with its own init. Runs inside a worker of host.namespaces."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.lxc import ENTRY, nics_of, parse_config, throwaway
from vmgen_build.boots.model import Boot, Booted
from vmgen_build.boots.network import answer_as_gateway, dhcp_server, ip_inside, knock, make_bridges
from vmgen_build.boots.up import NO_ANSWER, state_of, waits_for
from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.model import PATH, Communicator, Ran, no_answer
from vmgen_build.host import memory
from vmgen_build.host import syscalls as sc
from vmgen_build.host.pipeline import pipeline
from vmgen_build.host.run import NULL, PIPE, TOGETHER, finish, run, start
from vmgen_build.store.lease import CGROUPS
from vmgen_build.text import clean

NAME = "guest"
CGROUP_ROOT = Path("/sys/fs/cgroup")

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
            process = start([*self._head, "--", "/bin/cat", "--", remote], stdout=file, stderr=PIPE)
            if finish(process).code != 0:
                raise BuildError(f"cannot read {remote} in the booted machine")

    def delete(self, remote: str) -> None:
        self._or_fail(["/bin/rm", "-rf", "--", remote], b"")

    def _or_fail(self, command: Sequence[str], data: bytes) -> None:
        ran = self._attach(command, data, None)
        if ran.code != 0:
            raise BuildError(f"in the booted machine: {ran.out.strip()}")

    def _attach(self, command: Sequence[str], data: bytes, timeout: float | None) -> Ran:
        process = start([*self._head, "--", *command], stdin=PIPE, stderr=TOGETHER)
        ended = finish(process, data, timeout)
        if ended.code == TIMED_OUT and not ended.out:
            return no_answer(timeout)
        return Ran(ended.code, ended.text)


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


def booted(artifact: Path, boot: Boot) -> AbstractContextManager[LxcBooted]:
    """The copy of an lxc artifact, as booted_from gives it."""

    def content(folder: Path, undo: ExitStack) -> list[ENTRY]:
        unpack(artifact, folder, undo)
        return _entries(folder / "config", artifact)

    return booted_from(content, boot)


@contextmanager
def booted_from(content: Content, boot: Boot) -> Iterator[LxcBooted]:
    """Unpack, start, wait until the system is up. Raises BuildError or HostError; everything is gone after it."""
    with ExitStack() as undo:
        lxc = boot.scratch / "lxc"
        folder = lxc / NAME
        folder.mkdir(parents=True)
        entries = content(folder, undo)
        nics = nics_of(entries)
        undo.enter_context(dhcp_server(make_bridges(nics), boot.scratch))
        group = f"{CGROUPS}/{boot.scratch.parent.name}"
        undo.callback(_remove_groups, CGROUP_ROOT / group)
        controllers = (CGROUP_ROOT / "cgroup.controllers").read_text().split()
        (folder / "config").write_text(throwaway(entries, controllers, _own_entries(folder, boot.scratch, group)))
        started = undo.enter_context(_Start(lxc, boot.scratch))
        machine = LxcBooted(lxc)
        started.wait_until_up(machine.communicator, boot)
        answer_as_gateway(ip_inside(started.init_pid()), nics)
        yield machine


def unpack(artifact: Path, folder: Path, undo: ExitStack, inside: str = ".") -> None:
    """Untar into `folder`, or a new one `inside` it: into memory where it surely fits and the kernel allows, else on
    the disk."""
    room = memory.available() // 2
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
    commands = ({decompress[0]: decompress} if decompress else {}) | {"tar": command}
    with artifact.open("rb") as source, pipeline(commands, stdin=source) as running:
        if failure := running.failure():
            raise BuildError(f"cannot unpack {artifact}: {'; '.join(failure.splitlines()[:3])}")


class _Start:
    """lxc-start(1) in the foreground; leaving the context kills the container."""

    def __init__(self, lxc: Path, scratch: Path) -> None:
        self._lxc, self._scratch = lxc, scratch

    def __enter__(self) -> _Start:
        command = ["lxc-start", "-P", str(self._lxc), "-n", NAME, "-F", "-o", str(self._scratch / "log"), "-l", "ERROR"]
        self._process = start(command, stdout=NULL, stderr=NULL)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            run(["lxc-stop", "-P", self._lxc, "-n", NAME, "--kill"])
        finish(self._process, timeout=10)

    def init_pid(self) -> int:
        """Of the container's init, as the worker sees it."""
        pid = run(["lxc-info", "-P", self._lxc, "-n", NAME, "--pid", "--no-humanize"]).text.strip()
        if not pid.isdigit():
            raise BuildError("the machine stopped by itself after its boot\n" + self._console())
        return int(pid)

    def wait_until_up(self, communicator: Communicator, boot: Boot) -> None:
        """Raises BuildError with the console's last lines."""
        began, state = time.monotonic(), NO_ANSWER
        while (passed := time.monotonic() - began) < boot.timeout:
            if self._process.poll() is not None:
                raise BuildError(f"the machine does not start: its init ended after {passed:.1f} s\n{self._console()}")
            state = state_of(communicator, boot.up, ATTACH_TIMEOUT)
            if state.up:
                boot.bus.note(f"booted in {passed:.1f} s: {state.text}", verbose=True)
                return
            if state.broken:
                raise BuildError(f"the machine does not start: its system is in {state.text}\n{self._console()}")
            time.sleep(POLL)
        waiting = waits_for(communicator, ATTACH_TIMEOUT)
        raise BuildError(
            f"the machine did not come up within {boot.timeout:g} s ({state.text})\n{waiting}{self._console()}"
        )

    def _console(self) -> str:
        """The last lines of the machine's console, and the first errors of lxc, of which the others follow."""
        console = [line for line in map(clean, _lines(self._scratch / "console")) if line.strip()][-15:]
        errors = [match[1] for match in map(_LXC_ERROR.match, _lines(self._scratch / "log")) if match][:3]
        found: list[str] = []
        for title, lines in (("what lxc said", errors), ("the last lines of its console", console)):
            if lines:
                found += [f"{title}:", *(f"  {line}" for line in lines)]
        return "\n".join(found)


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
    run (store.lease)."""
    deadline = time.monotonic() + 2
    while top.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if top.exists():
            time.sleep(0.02)
