"""rootfs: the plain root as a tar, for whatever makes a container of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.format import UNPACK, shown
from vmgen_build.backends.lxc.root import PlainRoot


class Rootfs(PlainRoot):
    name: ClassVar[str] = "rootfs"
    about: ClassVar[str] = "podman and docker import, systemd-nspawn, machinectl, chroot"

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        folder, name = shown(f"/var/lib/machines/{machine}"), shown(machine)
        return (
            f"mkdir {folder} && {UNPACK} -C {folder} -xf {shown(files[0])} && systemd-nspawn -M {name} --boot",
            f"podman import {shown(files[0])} {name}",
        )


FORMAT = Rootfs()
