"""vhd-fixed: disks for Azure, which wants them whole, of whole MiB."""

from __future__ import annotations

from typing import ClassVar

from vmgen_build.backends.formats.vhd import Vhd


class FixedVhd(Vhd):
    name: ClassVar[str] = "vhd-fixed"
    about: ClassVar[str] = "Azure: takes the room of the whole disk"
    options: ClassVar[str] = "subformat=fixed,force_size=on"
    mark: ClassVar[str] = "-fixed"


FORMAT = FixedVhd()
