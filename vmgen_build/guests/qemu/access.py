"""How a machine in QEMU is spoken to, and how long that takes from its power on: each phase is shown with its time."""

from __future__ import annotations

import secrets
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.communicators.agentline import AgentLine
from vmgen_build.guests.communicators.guestagent import GuestAgent
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.communicators.ssh import Attempts, HostKey, SshCommunicator
from vmgen_build.guests.machines.model import PATIENCE, Note
from vmgen_build.guests.machines.standstill import FROZEN, THAWED
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.freezer import Freezer
from vmgen_build.guests.qemu.host import ACCELERATORS
from vmgen_build.guests.qemu.process import Qemu
from vmgen_build.guests.qemu.qmp import QmpError
from vmgen_build.host import terminal
from vmgen_build.plan.machine import Nic
from vmgen_build.plan.text.render import Renderer
from vmgen_build.text import duration

T = TypeVar("T")

LOOK = 0.25
"""Seconds between two looks whether a machine is up."""

BOOT_TIMEOUT = 900.0
"""Seconds that a machine may take until it can be spoken to; an emulated processor takes a minute."""

ANSWER = 5.0
"""Seconds that the guest agent gets for its first answer, before it is asked anew."""

ADDRESS_WAIT = 120.0
"""Seconds that DHCP gets, once the machine can be spoken to."""

NO_AGENT = "its guest agent does not answer; is qemu-guest-agent installed in it, and does it start?"

NO_ADDRESS = "it has no address, and steps that use the network will fail"

SHELL_PORT = "/dev/ttyS2"

HOST, NAME_SERVER, ADDRESS = "10.0.2.2", "10.0.2.3", "10.0.2.15/24"
"""Of args.USER_NETWORK, which has this address for a guest."""

NIC = Nic(name="build", hw_addr="52:54:00:76:6d:67", type="nat", adapter="virtio-net-pci", bridge=None, connected=True)
"""The only one that a machine has while it is built."""

JOIN = f"""\
#!/bin/sh
set -eu
swapoff -a
for way in /sys/class/net/*; do
    if [ "$(cat "$way/address")" = {NIC.hw_addr} ]; then
        ip link set "${{way##*/}}" up
        ip address add {ADDRESS} dev "${{way##*/}}"
        ip route add default via {HOST}
    fi
done
"""

ADDRESSES = "ip -4 -o address show scope global | awk '{ print $4 }' | tr '\\n' ' '"


@dataclass(frozen=True, kw_only=True)
class Startup:
    """A machine that was powered on. name: its host name. picture: a file for its screen, where it does not come up.
    patience: seconds that it may take until it can be spoken to."""

    qemu: Qemu
    name: str
    note: Note
    picture: Path
    own: bool
    began: float
    patience: float = BOOT_TIMEOUT

    def waited(self, what: str, look: Callable[[], T | None], reason: Callable[[], str]) -> T:
        """What `look` gives once it gives something. what: the phase, as a sentence that ends in " after". reason: why
        it is not there yet. Raises BuildError with the reason, and a picture of the screen."""
        since = time.monotonic()
        while (passed := time.monotonic() - self.began) < self.patience:
            try:
                self.qemu.check_alive(passed, silent=self.own)
                found = look()
            except BuildError as error:
                raise BuildError(f"{error}\n{self.shown()}".rstrip()) from error
            if found is not None:
                self.note(f"{what} after {duration(time.monotonic() - since)}")
                return found
            time.sleep(LOOK)
        text = f"the machine did not come up within {self.patience:g} s: {reason()}"
        raise BuildError(f"{text}\n{self.shown()}{self.qemu.last_words()}")

    def shown(self) -> str:
        """Where a picture of its screen lies, as a line; nothing where none can be had."""
        with suppress(QmpError):
            self.qemu.picture(self.picture)
            return f"its screen: {self.picture}\n"
        return ""


class Standstill(Protocol):
    """The file systems of a machine: nothing is written to them from `freeze` to `thaw`. Both raise BuildError."""

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Access(ABC):
    """own: whether the machine is a user's, with its own services and network. forwards: whether a port of this host's
    loopback leads to its port 22. guest_agent: whether QEMU's guest agent has a port. patience: as of Startup."""

    own: ClassVar[bool] = True
    forwards: ClassVar[bool] = False
    guest_agent: ClassVar[bool] = False
    patience: ClassVar[float] = BOOT_TIMEOUT

    @abstractmethod
    def opened(self, startup: Startup) -> Communicator:
        """Return when the machine is up. Raises BuildError."""

    def standstill(self, qemu: Qemu, communicator: Communicator) -> Standstill:
        return Freezer(qemu.second_port, communicator)

    def open_shell(self, qemu: Qemu, communicator: Communicator, command: str) -> None:
        """Run a command of sh on our own terminal. Here: by the machine's third serial port. Raises HostError."""
        columns, lines = terminal.size()
        mark = f"\x1b]vmgen-{secrets.token_hex(8)}\x07"
        script = Renderer(None).sh(
            "vm/shell.sh.j2", port=SHELL_PORT, command=command, mark=mark, columns=columns, lines=lines
        )
        begun = communicator.run(script, PATIENCE)
        if begun.code != 0:
            raise HostError(f"there is no shell in this machine: {begun.out.strip()}; take: --on-error keep")
        terminal.join(qemu.shell, mark.encode())

    def close(self) -> None:
        """Before the machine goes. Another `opened` may follow, of the same machine."""
        return


class BuildAgent(Access):
    """The agent that a minimal machine was given. No service of the machine runs, so nothing has set its network."""

    own = False

    def opened(self, startup: Startup) -> Communicator:
        qemu = startup.qemu
        accelerator = ACCELERATORS[qemu.parts.power.accel]
        startup.waited(
            f"the machine is up ({accelerator})",
            lambda: qemu.agent.greeted(LOOK) or None,
            lambda: "its agent does not answer",
        )
        joined = qemu.agent.run(f"{JOIN}echo {shlex.quote(startup.name)} >/proc/sys/kernel/hostname\n", PATIENCE)
        if joined.code != 0:
            raise BuildError(f"in the machine: {joined.out.strip()}\n{qemu.last_words()}")
        return qemu.agent

    def standstill(self, qemu: Qemu, communicator: Communicator) -> Standstill:
        return _ByAgent(communicator, qemu)


class _ByAgent:
    """The build's own agent writes to memory alone, and can be spoken to meanwhile."""

    def __init__(self, agent: Communicator, qemu: Qemu) -> None:
        self._agent, self._qemu = agent, qemu

    def freeze(self) -> None:
        self._run(FROZEN)

    def thaw(self) -> None:
        self._run(THAWED)

    def _run(self, script: str) -> None:
        ran = self._agent.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"in the machine: {ran.out.strip()}\n{self._qemu.last_words()}")


class Ssh(Access):
    """A user's machine with an sshd. Its host key is taken on first sight, and kept as long as this object lives."""

    forwards = True

    def __init__(self, login: GuestLogin) -> None:
        self._login, self._host_key = login, HostKey()
        self._opened: SshCommunicator | None = None

    def opened(self, startup: Startup) -> Communicator:
        attempts = Attempts(("127.0.0.1", startup.qemu.forwarded_port()), self._login, self._host_key)
        accelerator = ACCELERATORS[startup.qemu.parts.power.accel]
        startup.waited(f"sshd of the machine answers ({accelerator})", attempts.answers, lambda: attempts.reason)
        who = f"logged in as {self._login.name}"
        self._opened = startup.waited(who, attempts.logged_in, lambda: attempts.reason)
        show_address(startup, self._opened)
        return self._opened

    def open_shell(self, qemu: Qemu, communicator: Communicator, command: str) -> None:
        assert isinstance(communicator, SshCommunicator)
        communicator.open_shell(command)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class ByGuestAgent(Access):
    """A user's machine in which QEMU's guest agent runs."""

    guest_agent = True

    def opened(self, startup: Startup) -> Communicator:
        qemu = startup.qemu
        agent = GuestAgent(qemu.guest_agent, qemu.last_words)
        until_it_answers(startup, agent, NO_AGENT)
        agent.run("true", PATIENCE)
        show_address(startup, agent)
        return agent


def until_it_answers(startup: Startup, agent: AgentLine, silent: str) -> None:
    """silent: what to look at where it does not. Raises BuildError."""
    accelerator = ACCELERATORS[startup.qemu.parts.power.accel]
    what = f"the machine's guest agent answers ({accelerator})"
    startup.waited(what, lambda: agent.answers(ANSWER) or None, lambda: silent)


def show_address(startup: Startup, communicator: Communicator) -> None:
    """Wait a while until the machine has an address; a plan may do without any. What it has, for people."""
    deadline = time.monotonic() + ADDRESS_WAIT
    found = communicator.run(ADDRESSES, PATIENCE)
    while not (found.code == 0 and found.out.strip()) and time.monotonic() < deadline:
        time.sleep(1)
        found = communicator.run(ADDRESSES, PATIENCE)
    shown = f"its address is {found.out.strip()[:200]}" if found.code == 0 and found.out.strip() else NO_ADDRESS
    startup.note(f"the machine is up after {duration(time.monotonic() - startup.began)}; {shown}")
