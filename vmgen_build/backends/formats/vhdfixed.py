"""vhd-fixed: disks for Azure, which wants them whole, of whole MiB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.format import shown
from vmgen_build.backends.formats.vhd import Vhd


class FixedVhd(Vhd):
    name: ClassVar[str] = "vhd-fixed"
    about: ClassVar[str] = "Azure: takes the room of the whole disk"
    options: ClassVar[str] = "subformat=fixed,force_size=on"
    mark: ClassVar[str] = "-fixed"

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        goal = shown(f"{machine}.vhd")
        return (f"az storage blob upload --account-name ACCOUNT -c images --type page -f {shown(files[0])} -n {goal}",)


FORMAT = FixedVhd()
