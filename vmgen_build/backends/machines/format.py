"""What the formats of whole machines share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import Format
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.boots.requirements import MACHINE
from vmgen_build.host.programs import Requirement

if TYPE_CHECKING:
    from vmgen_build.boots.model import Boot, Booted


class MachineFormat(Format):
    """By default each disk is a file of its own, beside the others."""

    requirements: ClassVar[tuple[Requirement, ...]] = vmdisks.DISK_REQUIREMENTS
    boot_requirements: ClassVar[tuple[Requirement, ...]] = MACHINE
    boot_timeout: ClassVar[float] = vmdisks.BOOT_TIMEOUT

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return vmdisks.files_of(artifact, manifest)

    def boot(self, artifact: Path, manifest: Mapping[str, object], boot: Boot) -> AbstractContextManager[Booted]:
        machine = vmdisks.machine_of_manifest(manifest)
        return vmdisks.booted_disks(machine, vmdisks.copies(artifact, manifest, boot.scratch), boot, {})


class MachineInOneFile(MachineFormat):
    """All of it lies in the artifact."""

    def files_of(self, artifact: Path, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return (artifact.name,)
