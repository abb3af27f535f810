"""An OVA with a machine's nvram is sound, and one with something else in its place is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.artifacts.ova.test_ova import machine
from vmgen_build.artifacts.nvram import check_nvram
from vmgen_build.artifacts.ova import check_ova, write_ova
from vmgen_build.artifacts.ovf.nvram import with_nvram
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written
from vmgen_build.limits import NVRAM


def packed(folder: Path, nvram: bytes, *, again: bool = False) -> Path:
    (folder / "raw").write_bytes(b"disk".ljust(1 << 20, b"\0"))
    files = [write_vmdk(folder / "raw", folder / "lab-hdd0.vmdk")]
    for name, data in (("a.iso", b"iso"), ("lab.nvram", nvram)):
        (folder / name).write_bytes(data)
        files.append(Written.of(folder / name))
    disk, iso, kept = (OvfFile(file.path.name, file.size) for file in files)
    text = descriptor(machine(1), [OvfFile(disk.name, disk.size, 1 << 20), iso])
    return write_ova(folder / "lab.ova", with_nvram(text, kept, 3), files, epoch=0, again=again).path


def test_a_sound_one(tmp_path: Path) -> None:
    found = check_ova(packed(tmp_path, b"MRVN" + bytes(1000)))
    assert [member.name for member in found.members][2:] == ["lab-hdd0.vmdk", "a.iso", "lab.nvram"]
    assert found.findings == ()


@pytest.mark.parametrize("data", [b"", b"MRV", b"#!/bin/sh\n"])
def test_what_is_none(tmp_path: Path, data: bytes) -> None:
    found = check_ova(packed(tmp_path, data)).findings
    assert found == ("lab.nvram: it is no nvram of a VMware machine",)


def test_one_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the limit 'nvram' allows"):
        check_nvram((tmp_path / "none"), NVRAM.amount + 1)  # type: ignore[arg-type]


def test_what_is_not_sound_does_not_come_to_be(tmp_path: Path) -> None:
    """It is read again before it counts."""
    with pytest.raises(BuildError, match=r"lab\.ova is not sound as it was packed: .*no nvram of a VMware machine"):
        packed(tmp_path, b"other", again=True)
    assert not list(tmp_path.glob("*lab.ova*"))
