"""Our own environment: the few variables that programs get of it, and secrets that are taken out of it.

A process's environment can be read by its user in /proc/PID/environ (proc(5)), and every program inherits it. So what
programs get is a short list, made here alone; and what is secret is removed once it was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from vmgen_build.host.programs import search_path
from vmgen_build.secret import Secret

KEPT = ("HOME", "TMPDIR")
"""What every program gets of our own environment."""

ON_TERMINAL = ("TERM", "COLORTERM")
"""For programs that take our terminal over."""

PROXIES = tuple(
    name
    for word in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
    for name in (word, word.upper())
)
"""For programs that fetch something: an address of a proxy may hold a password."""

SECRETS = ("VMGEN_SSH_PASSWORD", "VMGEN_SSH_PASSPHRASE", "VMGEN_VSPHERE_PASSWORD", "VMGEN_SIGN_PASSPHRASE")
"""Secrets of the tool's own, beside those that a recipe names by env:NAME."""

_OWN = ("PATH", "LC_ALL", *KEPT, *ON_TERMINAL, *PROXIES)
_OWN_PREFIXES = ("VMGEN_", "SUDO_")

_taken: dict[str, Secret] = {}
"""What was taken: several options of a run may name one variable."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program gets: where programs are, no language, a few variables of ours, and `more`."""
    return {**own(KEPT), "PATH": search_path(), "LC_ALL": "C.UTF-8", **(more or {})}


def is_own(name: str) -> bool:
    """Whether the tool itself reads a variable: no recipe may have it, nor take it away."""
    return name in _OWN or name.startswith(_OWN_PREFIXES)


def own(names: Iterable[str]) -> dict[str, str]:
    """Those of our own variables that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def take(name: str) -> Secret | None:
    """The value of a variable, which leaves the environment and /proc/self/environ; None where it is not set.

    It is remembered: whoever asks again gets it again. The shell that set it still has it.
    """
    if name in os.environ:
        _taken[name] = Secret(os.environ.pop(name))
        _wipe(name)
    return _taken.get(name)


def take_all() -> None:
    """Take SECRETS: early, before a worker is forked that would keep them."""
    for name in SECRETS:
        take(name)


def forget() -> None:
    """Remember nothing of what was taken."""
    _taken.clear()


def _wipe(name: str) -> None:
    """Overwrite the variable where the kernel put it when we were started; it lies there as long as we run.

    proc(5), /proc/PID/stat: fields 50 and 51, env_start and env_end. Where they cannot be read nothing is done.
    """
    import ctypes

    with suppress(OSError, IndexError, ValueError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        head = os.fsencode(name) + b"="
        position = start
        for entry in ctypes.string_at(start, end - start).split(b"\0") if 0 < start < end else ():
            if entry.startswith(head):
                ctypes.memset(position, 0, len(entry))
            position += len(entry) + 1
