"""User namespaces (user_namespaces(7)): one whose root is nobody on this host, for what handles foreign files; and one
whose users are those of this host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host import syscalls as sc
from vmgen_build.limits import IMAGE_IDS

FIRST_ID = 0x77000000
"""The host's number for the namespace's user and group 0: above what useradd and subuid(5) hand out, and above
host.confined.USER."""

IDS = IMAGE_IDS.amount
"""How many users and groups the namespace has."""


_MADE = b"+"
"""What a holder of a namespace says once it is there."""

EVERYBODY = (1 << 32) - 1
"""How many users and groups a host has."""

_FOREIGN = (
    "an image of others is booted in one; allow them (sysctl user.max_user_namespaces), or add --trusted for an image"
    " of your own: its root is then root of this host"
)


def user_namespace() -> AbstractContextManager[list[str]]:
    """The words that stand before a command to run it as the namespace's root. Needs root.

    Raises HostError where the kernel makes no user namespaces.
    """
    return _namespace(FIRST_ID, IDS, _FOREIGN)


def everybody(why: str) -> AbstractContextManager[list[str]]:
    """The same, for a namespace with each user of this host as itself. why: what needs it, for the message."""
    return _namespace(0, EVERYBODY, f"{why}; allow them (sysctl user.max_user_namespaces)")


@contextmanager
def _namespace(first: int, count: int, why: str) -> Iterator[list[str]]:
    ready, made = os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        _hold(made, parent)
    os.close(made)
    namespace = -1
    try:
        answer = os.read(ready, 200)
        if answer != _MADE:
            raise HostError(f"this host makes no user namespaces ({answer.decode()}), and {why}")
        _map(pid, first, count)
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        yield ["nsenter", f"--user=/proc/{os.getpid()}/fd/{namespace}", "--"]
    finally:
        for descriptor in (ready, namespace):
            if descriptor >= 0:
                os.close(descriptor)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _map(pid: int, first: int, count: int) -> None:
    """Raises HostError where this host has not these users itself: in a container whose own are few."""
    try:
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 {first} {count}\n")
    except OSError as error:
        if first == 0:
            raise HostError(f"this host has not all users itself ({error.strerror}): use one that does") from error
        raise HostError(
            f"this host has not the users {first} to {first + count - 1}, as which an image of others is booted"
            f" ({error.strerror}); it is a container, say: verify outside of it, or add --trusted for an image of your"
            " own: its root is then root of this host"
        ) from error


def _hold(made: int, parent: int) -> None:
    """The child: make the namespace, say so by `made`, and wait until the parent ends it, or itself. Never returns.

    Nothing here waits for the end of a pipe: what others of this process fork meanwhile holds its other end.
    """
    try:
        sc.set_death_signal(signal.SIGKILL)
        sc.unshare(sc.CLONE_NEWUSER)
        os.write(made, _MADE)
        while os.getppid() == parent:
            signal.pause()
    except OSError as error:
        os.write(made, (error.strerror or str(error)).encode()[:200])
    finally:
        os._exit(0)
