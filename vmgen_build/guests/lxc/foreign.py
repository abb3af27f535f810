"""A container whose programs are of another architecture than this host: lines of lxc.container.conf(5)."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.artifacts.lxc import ARCHITECTURES
from vmgen_build.guests.lxc.words import value
from vmgen_build.host.architectures import BINFMT, Emulation
from vmgen_build.host.usernamespace import EVERYBODY

_HOOK = f"""\
#!/bin/sh
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t binfmt_misc binfmt_misc "$LXC_ROOTFS_MOUNT{BINFMT}"
printf %s 'REGISTRATION' >"$LXC_ROOTFS_MOUNT{BINFMT}/register"
mount -o remount,ro "$LXC_ROOTFS_MOUNT{BINFMT}"
"""
"""Runs in the container's namespaces before its root is the only one: the interpreter is still found on this host."""

EVERYBODY_ITSELF = tuple(f"lxc.idmap = {kind} 0 0 {EVERYBODY}" for kind in "ug")
"""A user namespace of the container's own, in which each user is itself."""


def personality(arch: str) -> list[str]:
    """What uname(2) says in it. arch: in Debian's words."""
    return [f"lxc.arch = {ARCHITECTURES[arch]}"] if arch == "i386" else []


def emulated(emulation: Emulation | None, folder: Path) -> list[str]:
    """What makes the container's own user namespace run such programs; a script for it is written into `folder`.

    None: they run without.
    """
    if emulation is None:
        return []
    hook = folder / "binfmt"
    hook.write_text(_HOOK.replace("REGISTRATION", emulation.registration()))
    hook.chmod(0o755)
    return [f"lxc.hook.mount = {value(hook)}"]
