"""The OVF descriptor of a machine: DMTF DSP0243 (OVF 1.x) in the form that VMware's own tools write and read.

A plan holds a draft, rendered from templates/vmware/ovf.xml.j2. What only a build knows stands in it as `<size 1>` and
`<capacity 1>`, of the packed files, and as `<uuid 1>`, made from the plan's id: no quoted value can look like that, and
no parser takes a draft for a descriptor.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from vmgen_build.artifacts.ovf.devices import items, networks
from vmgen_build.artifacts.ovf.guest import annotation_of, guest_of
from vmgen_build.artifacts.ovf.virtualbox import box_of
from vmgen_build.errors import BuildError
from vmgen_build.plan.machine import BOOT_ORDER, FirstStart, Machine
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML

TEMPLATE = "vmware/ovf.xml.j2"
_DRAFT = re.compile(r"<(size|capacity|uuid) ([0-9]+)>")

_MACHINE = 0
"""In place of a file's number."""


@dataclass(frozen=True, slots=True)
class OvfFile:
    """A file beside the descriptor. size: its bytes; capacity: bytes of the disk inside, None for an ISO image."""

    name: str
    size: int
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class _DraftFile:
    """A file, or a disk, of the draft. id: "file1", "" for an empty disk; disk: "vmdisk1", "" for an image. size: ""
    where it is not known; so is uuid."""

    id: str
    name: str
    size: Trusted
    disk: str
    capacity: Trusted
    uuid: Trusted


def descriptor(machine: Machine, files: Sequence[OvfFile], renderer: Renderer | None = None) -> str:
    """The descriptor. files: the drives' in the machine's order, then those of the CD drives that have an image.

    renderer: of the dialect XML. Raises RecipeError for a value that XML cannot carry, BuildError as `completed`.
    """
    return completed(draft(machine, renderer, [file.name for file in files]), files)


def file_names(machine: Machine) -> list[str]:
    """Names of the files that the descriptor refers to: disks, then the ISO images in the machine's CD drives."""
    return [drive.file for drive in machine.drives] + [cd.file for cd in machine.cds if cd.file]


def draft(machine: Machine, renderer: Renderer | None = None, names: Sequence[str] | None = None) -> str:
    """The descriptor without sizes. Pure. names: of the files, in the order of `file_names`, which is the default."""
    names = file_names(machine) if names is None else names
    _check_names(machine, names)
    references = [_reference(number, name, len(machine.drives)) for number, name in enumerate(names, 1)]
    disks = [reference for reference in references if reference.disk]
    return _rendered(machine, references, disks, None, renderer)


def with_empty_disks(machine: Machine, first: FirstStart, renderer: Renderer | None = None) -> str:
    """The descriptor of a machine whose disks an importer makes, empty: nothing is filled in. Pure. It refers to the
    images in its CD drives, and in its floppy drive. Each drive has a size."""
    names = [cd.file for cd in machine.cds if cd.file] + [first.floppy] * bool(first.floppy)
    unknown = Trusted("")
    references = [_DraftFile(f"file{n}", name, unknown, "", unknown, unknown) for n, name in enumerate(names, 1)]
    disks = [
        _DraftFile("", drive.file, unknown, f"vmdisk{number}", Trusted(str(drive.size or 0)), unknown)
        for number, drive in enumerate(machine.drives, 1)
    ]
    return _rendered(machine, references, disks, first, renderer)


def _rendered(
    machine: Machine,
    references: Sequence[_DraftFile],
    disks: Sequence[_DraftFile],
    first: FirstStart | None,
    renderer: Renderer | None,
) -> str:
    in_order = first is not None and machine.firmware == "bios"
    return (renderer or Renderer(None, XML)).render(
        TEMPLATE,
        machine=machine,
        references=references,
        disks=disks,
        networks=networks(machine),
        guest=guest_of(machine),
        annotation=annotation_of(machine),
        items=items(machine, first),
        box=box_of(machine, _uuid_of(_MACHINE), [disk.uuid for disk in disks]) if first is None else None,
        settings=[BOOT_ORDER] if in_order else [],
    )


def completed(text: str, files: Sequence[OvfFile], ident: str = "") -> str:
    """A draft with the sizes of its files, which stand in the order of `file_names`. ident: what its UUIDs are made
    from, as the id of its plan; an importer gives it others.

    Raises BuildError where the draft refers to a file that is not among them.
    """

    def value(match: re.Match[str]) -> str:
        kind, number = match[1], int(match[2])
        if kind == "uuid":
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"vmgen-build:{ident}/{number}"))
        if not 1 <= number <= len(files):
            raise BuildError(f"the OVF descriptor refers to file {number} of {len(files)}")
        file = files[number - 1]
        found = file.size if kind == "size" else file.capacity
        if found is None:
            raise BuildError(f"the OVF descriptor asks for the capacity of {file.name}, which is no disk")
        return str(found)

    return _DRAFT.sub(value, text)


def _check_names(machine: Machine, names: Sequence[str]) -> None:
    expected = len(machine.drives) + sum(1 for cd in machine.cds if cd.image)
    if len(names) != expected:
        raise BuildError(
            f"{machine.name} has {expected} disks and CD images, and the descriptor got {len(names)} files"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BuildError(f"two disks or CD images have the file name {twice[0]}; give each a name of its own")


def _reference(number: int, name: str, drives: int) -> _DraftFile:
    return _DraftFile(
        id=f"file{number}",
        name=name,
        size=Trusted(f"<size {number}>"),
        disk=f"vmdisk{number}" if number <= drives else "",
        capacity=Trusted(f"<capacity {number}>"),
        uuid=_uuid_of(number),
    )


def _uuid_of(number: int) -> Trusted:
    """number: of the file, or _MACHINE."""
    return Trusted(f"<uuid {number}>")
