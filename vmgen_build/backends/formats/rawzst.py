"""raw.zst: disks for dd and image writers."""

from __future__ import annotations

from typing import ClassVar

from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.backends.machines.packedraw import PackedRaw
from vmgen_build.host.programs import Requirement, needed


class RawZst(PackedRaw):
    name: ClassVar[str] = "raw.zst"
    about: ClassVar[str] = "dd, image writers, bmaptool: quickest"
    endings: ClassVar[tuple[str, ...]] = (".raw.zst",)
    method: ClassVar[str] = "zstd"
    requirements: ClassVar[tuple[Requirement, ...]] = (
        *vmdisks.DISK_REQUIREMENTS,
        needed("zstd", "compresses a disk"),
    )


FORMAT = RawZst()
