"""A throwaway copy of an lxc artifact, booted with its own init. Runs inside a worker of host.namespaces."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from vmgen_build.artifacts.lxc import ENTRY, BridgedNic, config_text, for_this_host, nics_of, parse_config, taken_over
from vmgen_build.boots import jail
from vmgen_build.boots.groups import CGROUP_ROOT, Limits, limited
from vmgen_build.boots.model import Boot, Booted, IPInterface
from vmgen_build.boots.network import (
    addresses_of,
    answer_as_gateway,
    connected,
    dhcp_server,
    ip_inside,
    knock,
    make_bridges,
)
from vmgen_build.boots.tree import PLACE, Tree
from vmgen_build.boots.up import NO_ANSWER, state_of, waits_for
from vmgen_build.boots.watch import Watch
from vmgen_build.errors import TIMED_OUT, BuildError
from vmgen_build.guests.lxc import foreign
from vmgen_build.guests.model import PATH, Communicator, Ran, no_answer
from vmgen_build.host.architectures import Emulation, emulation_of
from vmgen_build.host.beneath import read_beneath
from vmgen_build.host.bounded import TOO_MUCH, finish_within
from vmgen_build.host.environment import ON_TERMINAL, environment, own
from vmgen_build.host.namespaces import reap_guests
from vmgen_build.host.programs import find_program
from vmgen_build.host.pseudoterminal import Session
from vmgen_build.host.run import NULL, PIPE, TOGETHER, finish, kill, run, start, start_on
from vmgen_build.host.undo import Undo
from vmgen_build.host.usernamespace import user_namespace
from vmgen_build.limits import ANSWER, TREE_FILE
from vmgen_build.store.lease import CGROUPS
from vmgen_build.text import clean

NAME = "guest"
LXC = Path("/run/lxc/vmgen")
"""Where lxc finds the configuration: as boots.tree.PLACE, since the container's root must get there."""

POLL = 0.1
ATTACH_TIMEOUT = 20.0
ENDING = 10.0
"""Seconds that a machine may take to end once it is killed."""

_LXC_ERROR = re.compile(r"\S+ \S+ \S+ +ERROR +\S+ - \S+ - (.*)")
"""A line of lxc's log: program, container, time, level, part, place in lxc's source, and what is wrong."""

_NO_PROGRAMS = "PATH=/nonexistent"
"""All that lxc-start, and so the machine's init, gets of an environment: lxc finds no newuidmap, which would ask for
an entry in /etc/subuid that root does not need."""

_NO_CREDENTIALS = "[Service]\nLoadCredential=\nSetCredential=\nImportCredential=\n"

_EVAL = 'script=$(cat) && exec </dev/null && eval "$script"'
"""The script comes by standard input, which its own commands then do not see."""


class Attached(Communicator):
    """lxc-attach(1) into the booted container."""

    def __init__(self, lxc: Path, limits: Limits) -> None:
        self._limits = limits
        self._head = ["lxc-attach", "-P", str(lxc), "-n", NAME, "--clear-env", "-v", f"PATH={PATH}", "-v", "HOME=/root"]

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """A script that takes longer than `timeout` seconds ends with code 124, as by timeout(1)."""
        return self._attach(["/bin/sh", "-c", _EVAL], script.encode(), timeout)

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        script = 'cat > "$1" && chmod "$2" "$1"'
        self._or_fail(["/bin/sh", "-c", script, "sh", remote, f"{mode:04o}"], local.read_bytes())

    def get(self, remote: str, local: Path) -> None:
        with self._limits():
            process = start([*self._head, "--", "/bin/cat", "--", remote], stderr=NULL)
        ended = finish_within(process, TREE_FILE)
        if ended.code != 0:
            raise BuildError(f"cannot read {remote} in the booted machine: {ended.reason}")
        local.write_bytes(ended.out)

    def delete(self, remote: str) -> None:
        self._or_fail(["/bin/rm", "-rf", "--", remote], b"")

    def on_terminal(self, command: Sequence[str]) -> int:
        """Its exit code."""
        variables = [word for name, text in own(ON_TERMINAL).items() for word in ("-v", f"{name}={text}")]
        with self._limits():
            session = Session([*self._head, *variables, "--", *command])
        return session.end()

    def _or_fail(self, command: Sequence[str], data: bytes) -> None:
        ran = self._attach(command, data, None)
        if ran.code != 0:
            raise BuildError(f"in the booted machine: {ran.out.strip()}")

    def _attach(self, command: Sequence[str], data: bytes, timeout: float | None) -> Ran:
        with self._limits():
            process = start([*self._head, "--", *command], stdin=PIPE, stderr=TOGETHER)
        ended = finish_within(process, ANSWER, data, timeout)
        if ended.code == TIMED_OUT and not ended.out:
            return no_answer(timeout)
        if ended.code == TOO_MUCH:
            return Ran(TOO_MUCH, f"it prints too much: {ended.reason}")
        return Ran(ended.code, ended.text)


class LxcBooted(Booted):
    """A guest may get its addresses after its boot: before each question from outside, the host's side is given those
    that it looks for."""

    def __init__(self, started: _Start, nics: Sequence[BridgedNic], *, emulated: bool = False) -> None:
        self._communicator = Attached(LXC, started.limits)
        self._started, self._nics = started, nics
        self.emulated = emulated

    @property
    def communicator(self) -> Communicator:
        return self._communicator

    def reach(self, address: str, port: int) -> str:
        self._started.answer_as_gateway(self._nics)
        return knock(address, port)

    def connect(self, port: int) -> socket.socket:
        self._started.answer_as_gateway(self._nics)
        return connected((address.ip for address in self._started.addresses()), port)

    def shell(self, command: Sequence[str]) -> int:
        return self._communicator.on_terminal(command)

    def wait(self) -> None:
        self._started.wait()


Content = Callable[[Tree], list[ENTRY]]
"""Unpacks the image so that its root is the tree's folder "rootfs", and gives its configuration."""


def booted(artifact: Path, boot: Boot) -> AbstractContextManager[LxcBooted]:
    """The copy of an lxc artifact, as booted_from gives it."""

    def content(tree: Tree) -> list[ENTRY]:
        tree.unpack(artifact)
        return _entries(artifact)

    return booted_from(content, boot)


@contextmanager
def booted_from(content: Content, boot: Boot) -> Iterator[LxcBooted]:
    """Unpack, start, wait until the system is up. Raises BuildError or HostError; everything is gone after it."""
    with Undo() as undo:
        lxc = LXC
        folder = lxc / NAME
        folder.mkdir(parents=True)
        enter = () if boot.trusted else tuple(undo.enter_context(user_namespace()))
        tree = Tree(boot.scratch / "tree", enter, undo)
        entries = _taken_over(content(tree), boot)
        tree.mount_root()
        nics = nics_of(entries)
        undo.enter_context(dhcp_server(make_bridges(nics), boot.scratch))
        group = f"{CGROUPS}/{boot.scratch.parent.name}"
        undo.callback(_remove_groups, CGROUP_ROOT / group)
        limits = undo.enter_context(limited(group, boot.scratch, boot.bus.note))
        entries = for_this_host(entries, (CGROUP_ROOT / "cgroup.controllers").read_text().split())
        emulation = emulation_of(boot.arch)
        walled = jail.entries(boot.scratch, group, trusted=boot.trusted)
        wall = [(key, text) for key, text in walled if not (boot.console and key.startswith("lxc.console."))]
        (folder / "config").write_text(config_text([*entries, *_emulated(wall, emulation, boot)]))
        started = undo.enter_context(_Start(boot, limits))
        undo.enter_context(Watch("the booted machine", PLACE, boot.time, started.stop, tree.kept_free))
        machine = LxcBooted(started, nics, emulated=emulation is not None)
        if boot.console is None:
            started.wait_until_up(machine.communicator, boot)
            started.answer_as_gateway(nics)
        yield machine


def _emulated(entries: list[ENTRY], emulation: Emulation | None, boot: Boot) -> list[ENTRY]:
    """The entries, with what makes the machine's programs run: in a user namespace, whoever its root is, in which no
    filter of devices can be set. Units get no credentials: systemd gives them in a process of its own, which qemu-user
    does not start (linux-user/syscall.c: CLONE_INVALID_FORK_FLAGS)."""
    if emulation is None:
        return entries
    entries = [(key, text) for key, text in entries if not key.startswith("lxc.cgroup2.devices.")]
    boot.bus.note(f"no machine of {boot.arch}: its programs run by {emulation.interpreter} on this host's kernel")
    units = LXC / "units"
    units.mkdir()
    (units / "emulated.conf").write_text(_NO_CREDENTIALS)
    mount = f"lxc.mount.entry = {units} etc/systemd/system/service.d none bind,ro,create=dir 0 0"
    users = foreign.EVERYBODY_ITSELF if boot.trusted else ()
    return [*entries, *parse_config("\n".join([*foreign.emulated(emulation, LXC), mount, *users]))]


def _entries(artifact: Path) -> list[ENTRY]:
    try:
        return parse_config(read_beneath(PLACE, "config", TREE_FILE).decode())
    except (OSError, ValueError) as error:
        raise BuildError(f"{artifact}: its lxc configuration is unusable: {error}; build the image anew") from error


def _taken_over(entries: list[ENTRY], boot: Boot) -> list[ENTRY]:
    try:
        taken = taken_over(entries)
    except ValueError as error:
        raise BuildError(f"the image's lxc configuration is unusable: {error}; build the image anew") from error
    if others := sorted({key for key, _ in entries} - {key for key, _ in taken}):
        boot.bus.note(f"of the image's configuration not taken over: {clean(', '.join(others))[:400]}", verbose=True)
    return taken


class _Start:
    """lxc-start(1) in the foreground; leaving the context kills the container."""

    def __init__(self, boot: Boot, limits: Limits) -> None:
        self._scratch, self._console, self.limits = boot.scratch, boot.console, limits

    def __enter__(self) -> _Start:
        command = ["lxc-start", "-P", str(LXC), "-n", NAME, "-F", "-o", str(self._scratch / "log"), "-l", "ERROR"]
        command = ["env", "-i", _NO_PROGRAMS, find_program(command[0]) or "", *command[1:]]
        with self.limits():
            if self._console is None:
                self._process = start(command, stdout=NULL, stderr=NULL)
            else:
                self._process = start_on(command, self._console.as_terminal(), environment())
                self._console.given()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        finish(self._process, timeout=10)

    def stop(self) -> None:
        """Kill the machine. Its init ends when all of its processes are reaped, those too whose lxc-attach was killed:
        the worker has these then."""
        if self._process.poll() is not None:
            return
        stopping = start(["lxc-stop", "-P", LXC, "-n", NAME, "--kill"], stdout=NULL, stderr=NULL)
        end = time.monotonic() + ENDING
        while self._process.poll() is None and time.monotonic() < end:
            reap_guests()
            time.sleep(0.02)
        kill(stopping)
        kill(self._process)

    def answer_as_gateway(self, nics: Sequence[BridgedNic]) -> None:
        answer_as_gateway(ip_inside(self.init_pid()), nics)

    def addresses(self) -> list[IPInterface]:
        return addresses_of(ip_inside(self.init_pid()))

    def wait(self) -> None:
        self._process.wait()

    def init_pid(self) -> int:
        """Of the container's init, as the worker sees it."""
        pid = run(["lxc-info", "-P", LXC, "-n", NAME, "--pid", "--no-humanize"]).text.strip()
        if not pid.isdigit():
            raise BuildError("the machine stopped by itself after its boot\n" + self._last_words())
        return int(pid)

    def wait_until_up(self, communicator: Communicator, boot: Boot) -> None:
        """Raises BuildError with the console's last lines."""
        began, state = time.monotonic(), NO_ANSWER
        while (passed := time.monotonic() - began) < boot.timeout:
            if self._process.poll() is not None:
                raise BuildError(
                    f"the machine does not start: its init ended after {passed:.1f} s\n{self._last_words()}"
                )
            state = state_of(communicator, boot.up, ATTACH_TIMEOUT)
            if state.up:
                boot.bus.note(f"booted in {passed:.1f} s: {state.text}", verbose=True)
                return
            if state.broken:
                raise BuildError(f"the machine does not start: its system is in {state.text}\n{self._last_words()}")
            time.sleep(POLL)
        waiting = waits_for(communicator, ATTACH_TIMEOUT)
        raise BuildError(
            f"the machine did not come up within {boot.timeout:g} s ({state.text})\n{waiting}{self._last_words()}"
        )

    def _last_words(self) -> str:
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
