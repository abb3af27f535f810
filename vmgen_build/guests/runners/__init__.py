"""Commands on a host: this one, or another by ssh."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmgen_build.guests.runners.local import LocalRunner
from vmgen_build.guests.runners.model import Attached, ConnectionLost, Done, Host, Runner, parse_host
from vmgen_build.host.programs import require_root

__all__ = ["Attached", "ConnectionLost", "Done", "Host", "LocalRunner", "Runner", "connect", "parse_host"]


@contextmanager
def connect(host: Host, *, accept_new: bool = False, need_root: bool = True) -> Iterator[Runner]:
    """A runner of this host, or of another by one ssh connection; it is never opened again by itself.

    accept_new: add an unknown host key to the known ones. need_root: raise HostError where commands can't be root's.
    Raises HostError that says what to do.
    """
    if host.local:
        if need_root:
            require_root("building on this host needs root")
        yield LocalRunner()
        return
    from vmgen_build.guests.runners.sshconnect import become_root, open_ssh

    runner = open_ssh(host, accept_new=accept_new)
    try:
        if need_root:
            become_root(runner)
        yield runner
    finally:
        runner.close()
