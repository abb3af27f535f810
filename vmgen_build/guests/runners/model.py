"""Commands on a host, this one or another: what every runner gives, and the names of hosts."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from vmgen_build.errors import HostError, UsageError
from vmgen_build.limits import NODE_COMMAND

KEPT = 1 << 20
"""Bytes of each output stream that `Done` keeps at most: the last ones."""

OWN = float(NODE_COMMAND.amount)
"""Seconds that a command gets where its caller does not say."""

_URL = re.compile(r"ssh://(?:(?P<user>[^@/]*)@)?(?P<name>\[[0-9A-Fa-f:.%\w]+\]|[^@:/\[\]]+)(?::(?P<port>[^@/]*))?/?")


class ConnectionLost(HostError):
    """The connection to a host was cut while something ran there."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended. code: 128 + n where signal n ended it, TIMED_OUT where its time was over.

    out, err: the last KEPT bytes of each stream as text; bytes that are no UTF-8 become U+FFFD.
    """

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Host:
    """A host as the user named it. name "" is this host; user "", port 0: as ~/.ssh/config says, else root and 22."""

    name: str = ""
    user: str = ""
    port: int = 0

    @property
    def local(self) -> bool:
        return not self.name

    def __str__(self) -> str:
        if self.local:
            return "local"
        name = f"[{self.name}]" if ":" in self.name else self.name
        user, port = self.user and f"{self.user}@", f":{self.port}" if self.port else ""
        return f"ssh://{user}{name}{port}"


class Attached(ABC):
    """A process that lives as long as its context, or as the connection."""

    @abstractmethod
    def send(self, line: str) -> None:
        """Write a line to its standard input. BuildError where it has ended, ConnectionLost where unreachable."""

    @abstractmethod
    def receive(self, timeout: float | None = None) -> str | None:
        """Its next line of standard output without the line end; None at the end. TimeoutError after `timeout` s."""

    @abstractmethod
    def end(self, timeout: float = 120.0) -> Done:
        """Close its standard input and wait for its end; what runs on after `timeout` seconds is ended.

        Done.out holds what `receive` has not given.
        """


class Runner(ABC):
    """Commands on one host, as root. `argv` holds no secrets: what is secret goes by `data`, to standard input.

    Each command has LC_ALL=C, and the folders of system tools in its PATH. Several threads may call at once.
    Raises ConnectionLost as soon as the connection is known to be cut, and HostError where a command can't be started.
    """

    name: str
    """For messages: "this host" or "ssh://root@node:2222"."""
    about: str = ""
    """What it is connected to: the server's software and the fingerprint of its key; "" for this host."""

    @abstractmethod
    def run(
        self,
        argv: Sequence[str],
        *,
        data: bytes | BinaryIO = b"",
        timeout: float | None = OWN,
        output: Callable[[str], None] | None = None,
    ) -> Done:
        """Run to the end. data: standard input, a stream in constant memory. output: gets each line of both streams as
        it comes, in the calling thread. timeout: in seconds, None for a command that may run for ever; what runs
        longer is ended with all its children. Raises BuildError for one that writes without end (node-output)."""

    @abstractmethod
    def read(self, argv: Sequence[str], *, data: bytes | BinaryIO = b"") -> AbstractContextManager[BinaryIO]:
        """Standard output as a stream, in constant memory. A stream that stalls raises HostError (node-silence).

        Leaving the context after the stream was read to its end raises BuildError where the exit code is not 0; leaving
        it earlier ends the command.
        """

    @abstractmethod
    def attach(self, argv: Sequence[str], *, patience: float = 120.0) -> AbstractContextManager[Attached]:
        """A process that ends with this context: by the end of its standard input, which a cut connection brings too.

        patience: seconds that it gets for its end before it is killed, also where the context is left by an exception.
        """

    @abstractmethod
    def close(self) -> None: ...


def parse_host(text: str) -> Host:
    """ "local" or "ssh://[user@]name[:port]", where name may be one of ~/.ssh/config. Raises UsageError."""
    if text == "local":
        return Host()
    form = "write it as ssh://root@node or ssh://root@node:2222, or 'local' for this host"
    if re.match(r"[a-z]+://[^/@]*:[^/@]*@", text):
        raise UsageError("--host: a password does not belong there; put it into $VMGEN_SSH_PASSWORD, or use a key")
    match = _URL.fullmatch(text)
    if match is None:
        near = f"; did you mean 'ssh://{text}'?" if _URL.fullmatch(f"ssh://{text}") and "://" not in text else ""
        raise UsageError(f"--host: '{text}' names no host: {form}{near}")
    user, name, port = match["user"], match["name"].strip("[]"), match["port"]
    if user == "" or re.search(r"\s|^-", name) or (user and re.search(r"\s|^-", user)):
        raise UsageError(f"--host: '{text}' names no host: {form}")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"--host: '{text}': '{port}' is no port: a number from 1 to 65535 is")
    return Host(name, user or "", int(port or 0))
