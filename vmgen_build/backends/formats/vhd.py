"""vhd: disks for Hyper-V before 2012, and for what else takes VHD."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import ClassVar

from vmgen_build.artifacts.disk.vhd import LARGEST, settle_vhd
from vmgen_build.backends.machines.vhd import HyperVDisks


class Vhd(HyperVDisks):
    name: ClassVar[str] = "vhd"
    about: ClassVar[str] = "Hyper-V, Virtual PC, XenServer: takes the room of what it holds"
    endings: ClassVar[tuple[str, ...]] = (".vhd",)
    driver: ClassVar[str] = "vpc"
    options: ClassVar[str] = "subformat=dynamic,force_size=on"
    ending: ClassVar[str] = "vhd"
    most: ClassVar[int | None] = LARGEST

    def settled(self, ident: uuid.UUID, epoch: int) -> Callable[[int], None]:
        return lambda fd: settle_vhd(fd, ident, epoch)


FORMAT = Vhd()
