"""rootfs: the plain root as a tar, for whatever makes a container of one."""

from __future__ import annotations

from typing import ClassVar

from vmgen_build.backends.lxc.root import PlainRoot


class Rootfs(PlainRoot):
    name: ClassVar[str] = "rootfs"
    about: ClassVar[str] = "podman and docker import, systemd-nspawn, machinectl, chroot"


FORMAT = Rootfs()
