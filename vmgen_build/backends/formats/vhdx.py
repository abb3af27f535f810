"""vhdx: disks for Hyper-V."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import ClassVar

from vmgen_build.backends.machines.vhd import HyperVDisks


class Vhdx(HyperVDisks):
    """Blocks of 1 MiB, as Microsoft's "Best Practices for running Linux on Hyper-V" advises: what a file system of
    Linux writes lies scattered."""

    name: ClassVar[str] = "vhdx"
    about: ClassVar[str] = "Hyper-V, with the script that makes the machine"
    endings: ClassVar[tuple[str, ...]] = (".vhdx",)
    driver: ClassVar[str] = "vhdx"
    options: ClassVar[str] = "subformat=dynamic,block_size=1M"
    ending: ClassVar[str] = "vhdx"

    def settled(self, ident: uuid.UUID, epoch: int) -> Callable[[int], None]:
        from vmgen_build.artifacts.disk.vhdx import settle_vhdx

        return lambda fd: settle_vhdx(fd, ident)


FORMAT = Vhdx()
