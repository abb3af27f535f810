"""raw.xz: disks for dd and image writers."""

from __future__ import annotations

from typing import ClassVar

from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.packedraw import PackedRaw
from vmgen_build.host.programs import Requirement, needed


class RawXz(PackedRaw):
    name: ClassVar[str] = "raw.xz"
    about: ClassVar[str] = "dd, image writers, bmaptool: smallest"
    endings: ClassVar[tuple[str, ...]] = (".raw.xz",)
    method: ClassVar[str] = "xz"
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("xz", "compresses a disk"),
    )


FORMAT = RawXz()
