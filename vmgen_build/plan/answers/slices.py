"""What is wrong with the partitions of the system disk that Setup is to make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vmgen_build.plan.answers.model import Slice

_FIELD = "slices"
_KINDS = {"bios": ("primary", "extended", "logical"), "efi": ("efi", "msr", "primary")}
_LONGEST_LABEL = {"NTFS": 32, "FAT32": 11, "FAT": 11, "": 0}


def slice_faults(slices: Sequence[Slice], firmware: str, *, wiped: bool) -> Iterator[tuple[str, str]]:
    """wiped: whether Setup makes them, else it makes one at most."""
    if not wiped and not slices:
        return
    if sum(one.system for one in slices) != 1:
        yield _FIELD, "one partition, and no more, must be the one that Windows goes to"
    for one in slices:
        yield from ((_FIELD, text) for text in _wrong(one, firmware))
    letters = [one.letter for one in slices if one.letter]
    for letter in sorted({letter for letter in letters if letters.count(letter) > 1}):
        yield _FIELD, f"two partitions have the letter {letter}; give one of them another"
    yield from ((_FIELD, text) for text in _structure(slices, firmware))


def _wrong(one: Slice, firmware: str) -> Iterator[str]:
    if one.kind not in _KINDS[firmware]:
        yield f"a disk of {firmware} has no {one.kind} partition; write one of {', '.join(_KINDS[firmware])}"
    if one.system and (one.kind not in ("primary", "logical") or one.fs != "NTFS"):
        yield "Windows goes to a primary or logical partition of NTFS, and nowhere else"
    if one.fs not in _LONGEST_LABEL:
        yield f"Setup makes no {one.fs}; write NTFS, or FAT32"
    elif len(one.label) > _LONGEST_LABEL[one.fs]:
        yield f"the label '{one.label}' is longer than {_LONGEST_LABEL[one.fs]} characters; write a shorter one"
    if one.letter and not re.fullmatch("[C-Z]", one.letter):
        yield f"'{one.letter}' is no letter of a disk; write one from C to Z"
    if one.size is not None and one.size < 1:
        yield "a partition is smaller than 1 MiB; give it more"


def _structure(slices: Sequence[Slice], firmware: str) -> Iterator[str]:
    if firmware == "efi" and [one.kind for one in slices if one.kind != "primary"] != ["efi", "msr"]:
        yield "a disk of EFI begins with one efi and one msr partition"
    if firmware == "bios" and slices and sum(one.active for one in slices) != 1:
        yield "one partition, and no more, must be active, for a BIOS to start it"
    extended = [one for one in slices if one.kind == "extended"]
    logical = [one for one in slices if one.kind == "logical"]
    if len(extended) > 1 or (logical and not extended):
        yield "logical partitions lie in one extended partition, and there is not just one"
    top = [one for one in slices if one.kind != "logical"]
    if firmware == "bios" and len(top) > 4:
        yield "a disk of a BIOS has room for four primary and extended partitions; make some of them logical"
    for row in (top, logical):
        if any(one.size is None for one in row[:-1]):
            yield "a partition that takes the rest must be the last one; give it a size"
