"""Faults that a test asks for: files NAME of lines KEY=VALUE in the node's folder `faults`."""

from __future__ import annotations

import os

from standin import errors as e
from standin.errors import Refused
from standin.place import Place, read_values

FAILED = "Creation of container private area failed"
NO_VSWAP = "Error: kernel does not support vswap, unable to use --ram/--swap parameters\nError parsing options"
"""Also of each kernel of Linux's own (Place.upstream)."""

KINDS = {
    "locked": (
        "create set start stop restart mount umount destroy",
        e.LOCKED,
        "Locked by: pid 1, cmdline vzctl set\nContainer already locked",
    ),
    "template-missing": ("create", e.TEMPLATE_MISSING, "Cached OS template not found\n" + FAILED),
    "private-exists": ("create", e.PRIVATE_EXISTS, "Private area already exists\n" + FAILED),
    "no-space": ("create", e.NO_SPACE, "Insufficient disk space in the private area\n" + FAILED),
    "no-init": ("start restart", e.BAD_TEMPLATE, "Unable to start init, probably incorrect template"),
    "stop-fails": ("stop restart destroy", e.STOP_FAILED, "Unable to stop container: operation timed out"),
    "hang": ("", 0, ""),
    "arpsend": ("start", 0, ""),
    "old-kernel": ("set", e.SYSTEM_ERROR, NO_VSWAP),
}
"""Name: the commands that it meets by default (none: all), the exit code and what vzctl says."""


def meet(place: Place, command: str, argv: list[str]) -> None:
    """Raises Refused, or never returns, where a test wants this command to fail now.

    A fault's `commands` (with blanks between) narrow it, its `times` is how often it strikes before it is over.
    """
    folder = f"{place.folder}/faults"
    if place.upstream and command == "set" and _is_about_vswap(argv):
        raise Refused(e.SYSTEM_ERROR, NO_VSWAP)
    for name in os.listdir(folder):
        kind, code, message = KINDS[name]
        if name == "arpsend":
            continue
        if name == "old-kernel" and not _is_about_vswap(argv):
            continue
        fault = read_values(f"{folder}/{name}")
        commands = (fault.get("commands") or kind).split()
        if commands and command not in commands:
            continue
        if "times" in fault and not _count_down(f"{folder}/{name}", fault):
            continue
        if name == "hang":
            while True:
                import time

                time.sleep(60)
        raise Refused(code, message)


def active(place: Place, name: str) -> bool:
    return os.path.exists(f"{place.folder}/faults/{name}")


def _is_about_vswap(argv: list[str]) -> bool:
    return bool({"--ram", "--swap"} & {word.partition("=")[0] for word in argv})


def _count_down(path: str, fault: dict[str, str]) -> bool:
    left = int(fault["times"])
    if left <= 0:
        return False
    fault["times"] = str(left - 1)
    with open(path, "w") as file:
        file.writelines(f"{key}={value}\n" for key, value in fault.items())
    return True
