"""A user namespace whose root is nobody on this host (user_namespaces(7)): what handles foreign files runs in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host import syscalls as sc
from vmgen_build.limits import IMAGE_IDS

FIRST_ID = 0x77000000
"""The host's number for the namespace's user and group 0: above what useradd and subuid(5) hand out, and above
host.confined.USER."""

IDS = IMAGE_IDS.amount
"""How many users and groups the namespace has."""


@contextmanager
def user_namespace() -> Iterator[list[str]]:
    """The words that stand before a command to run it as the namespace's root. Needs root.

    Raises HostError where the kernel makes no user namespaces.
    """
    ready, made = os.pipe()
    goes_on, ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ends)
        _hold(made, goes_on)
    os.close(made)
    os.close(goes_on)
    namespace = -1
    try:
        failure = os.read(ready, 200).decode()
        if failure:
            raise HostError(
                f"this host makes no user namespaces ({failure}), and an image of others is booted in one;"
                " allow them (sysctl user.max_user_namespaces), or add --trusted for an image of your own:"
                " its root is then root of this host"
            )
        _map(pid)
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        yield ["nsenter", f"--user=/proc/{os.getpid()}/fd/{namespace}", "--"]
    finally:
        for descriptor in (ready, ends, namespace):
            if descriptor >= 0:
                os.close(descriptor)
        os.waitpid(pid, 0)


def _map(pid: int) -> None:
    """Raises HostError where this host has not these users itself: in a container whose own are few."""
    try:
        for name in ("gid_map", "uid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 {FIRST_ID} {IDS}\n")
    except OSError as error:
        raise HostError(
            f"this host has not the users {FIRST_ID} to {FIRST_ID + IDS - 1}, as which an image of others is booted"
            f" ({error.strerror}); it is a container, say: verify outside of it, or add --trusted for an image of your"
            " own: its root is then root of this host"
        ) from error


def _hold(made: int, goes_on: int) -> None:
    """The child: make the namespace, say so by closing `made`, wait until it is no longer needed. Never returns."""
    try:
        sc.set_death_signal(signal.SIGKILL)
        sc.unshare(sc.CLONE_NEWUSER)
        os.close(made)
        os.read(goes_on, 1)
    except OSError as error:
        os.write(made, (error.strerror or str(error)).encode()[:200])
    finally:
        os._exit(0)
