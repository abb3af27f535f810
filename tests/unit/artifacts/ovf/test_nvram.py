"""A machine's nvram in its descriptor: where VMware's own tools put it, and nowhere else."""

from __future__ import annotations

import re

import pytest

from tests.unit.artifacts.ova.test_ova import machine
from vmgen_build.artifacts.ovf.nvram import with_nvram
from vmgen_build.artifacts.ovf.read import Reference, read_descriptor
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.errors import BuildError

FILES = [OvfFile("lab-hdd0.vmdk", 7, 512), OvfFile("lab-hdd1.vmdk", 8, 512), OvfFile("a.iso", 9)]
TEXT = descriptor(machine(), FILES)
NVRAM = OvfFile("a & b.nvram", 75_004)


def test_it_is_the_last_file_and_an_extra_setting_names_it() -> None:
    text = with_nvram(TEXT, NVRAM, 4)
    added = [line.strip() for line in text.splitlines() if line not in TEXT.splitlines()]
    assert added == [
        '<File ovf:href="a &amp; b.nvram" ovf:id="file4" ovf:size="75004"/>',
        '<vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file4"/>',
    ]
    assert "".join(line for line in text.splitlines(True) if line.strip() not in added) == TEXT
    found = read_descriptor(text.encode())
    assert found.findings == () and found.nvram == (NVRAM.name,)
    assert found.references[-1] == Reference("file4", NVRAM.name, NVRAM.size, None)
    assert read_descriptor(TEXT.encode()).nvram == ()


def test_other_prefixes_of_the_envelope() -> None:
    text = re.sub(r"(</?)(References|File|VirtualHardwareSection)", r"\1ovf:\2", TEXT)
    assert read_descriptor(with_nvram(text, NVRAM, 4).encode()).nvram == (NVRAM.name,)


@pytest.mark.parametrize(
    ("old", "new"), [("VirtualHardwareSection", "X"), ("</References>", ""), ("xmlns:vmw=", "xmlns:other=")]
)
def test_a_template_without_a_place_for_it(old: str, new: str) -> None:
    with pytest.raises(BuildError, match="no place for the machine's nvram: let the template"):
        with_nvram(TEXT.replace(old, new), NVRAM, 4)


def test_one_that_is_not_there() -> None:
    text = with_nvram(TEXT, NVRAM, 4).replace("ovf:/file/file4", "ovf:/file/none")
    assert read_descriptor(text.encode()).findings == ("the nvram is file 'none', which is not in References",)
    own = with_nvram(TEXT, NVRAM, 4).replace("ovf:/file/file4", "lab.nvram")
    assert read_descriptor(own.encode()).findings == () and read_descriptor(own.encode()).nvram == ()
