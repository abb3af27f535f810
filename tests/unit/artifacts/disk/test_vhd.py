"""VHD and VHDX: the same bytes each time, sound to qemu-img and 7-Zip; foreign ones that lead elsewhere are refused."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmgen_build.artifacts.disk.convert import convert, to_raw
from vmgen_build.artifacts.disk.vhd import check_vhd, settle_vhd
from vmgen_build.artifacts.disk.vhdx import check_vhdx, settle_vhdx
from vmgen_build.artifacts.result import Disk
from vmgen_build.errors import BuildError

MIB = 1 << 20
IDENT = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
EPOCH = 946684800 + 0x01020304
KINDS = {
    "vhdx": ("vhdx", "block_size=1M", partial(settle_vhdx, ident=IDENT)),
    "vhd": ("vpc", "force_size=on", partial(settle_vhd, ident=IDENT, epoch=EPOCH)),
    "vhd-fixed": ("vpc", "subformat=fixed,force_size=on", partial(settle_vhd, ident=IDENT, epoch=EPOCH)),
}
CHECKS = {"vhdx": check_vhdx, "vpc": check_vhd}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    with path.open("wb") as file:
        file.truncate(9 * MIB)
        os.pwrite(file.fileno(), b"a" * 5000, 0)
        os.pwrite(file.fileno(), b"b" * 100_000, 4 * MIB)
        os.pwrite(file.fileno(), b"end", 9 * MIB - 3)
    return path


def made(raw: Path, kind: str, name: str = "made") -> Path:
    form, options, settle = KINDS[kind]
    return convert(Disk("d", raw), raw.with_name(name), form, options=options, settle=settle).path


def ran(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_the_same_each_time_and_sound(raw: Path, kind: str) -> None:
    form, path = KINDS[kind][0], made(raw, kind)
    assert path.read_bytes() == made(raw, kind, "again").read_bytes()
    assert f'"virtual-size": {9 * MIB}' in ran("qemu-img", "info", "--output=json", "-f", form, path)
    ran("qemu-img", "compare", "-f", form, "-F", "raw", path, raw)
    assert "Everything is Ok" in ran("7z", "t", f"-t{'vhdx' if form == 'vhdx' else 'vhd'}", path)
    if form == "vhdx":
        assert "No errors" in ran("qemu-img", "check", "-f", "vhdx", path)
    with path.open("rb") as file:
        assert CHECKS[form](file) == 9 * MIB
    to_raw(Disk("d", path, form), raw.with_name("back"))
    assert raw.with_name("back").read_bytes() == raw.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_other_ids_make_another_image_of_the_same_disk(raw: Path, kind: str) -> None:
    path, other = made(raw, kind), made(raw, kind, "other")
    with other.open("r+b") as file:
        again = {"settle_vhdx": partial(settle_vhdx, ident=uuid.NAMESPACE_DNS)}
        again["settle_vhd"] = partial(settle_vhd, ident=uuid.NAMESPACE_DNS, epoch=EPOCH)
        again[KINDS[kind][2].func.__name__](file.fileno())
    assert path.read_bytes() != other.read_bytes()
    form = KINDS[kind][0]
    ran("qemu-img", "compare", "-f", form, "-F", form, path, other)


@pytest.mark.parametrize("kind", ["vhd", "vhd-fixed"])
def test_a_footer_has_id_time_and_whole_size(raw: Path, kind: str) -> None:
    data = made(raw, kind).read_bytes()
    for footer in (data[-512:], data[:512]) if kind == "vhd" else (data[-512:],):
        assert footer[:8] == b"conectix" and footer[68:84] == IDENT.bytes
        assert footer[24:28] == b"\1\2\3\4"
        assert struct.unpack(">QQ", footer[40:56]) == (9 * MIB, 9 * MIB)
        assert footer[60:64] == struct.pack(">I", 2 if kind == "vhd-fixed" else 3)
    if kind == "vhd-fixed":
        assert len(data) == 9 * MIB + 512 and data[:-512] == raw.read_bytes()


def test_both_headers_of_a_vhdx_are_sound(raw: Path) -> None:
    """QEMU takes the header with the greater number, if its CRC is right: each is broken in turn, then both."""
    path = made(raw, "vhdx")
    shown = ran("7z", "l", "-tvhdx", path)
    assert "SequenceNumber: 2\n" in shown and f"\nid = {IDENT.bytes_le.hex()}\n" in shown.lower()
    for at in (64 << 10, 128 << 10):
        broken = raw.with_name("broken")
        broken.write_bytes(path.read_bytes())
        ran("qemu-img", "compare", "-f", "vhdx", "-F", "raw", patched(broken, at + 100, b"x"), raw)
    patched(patched(path, (64 << 10) + 100, b"x"), (128 << 10) + 100, b"x")
    assert subprocess.run(["qemu-img", "check", "-f", "vhdx", path], capture_output=True).returncode != 0


def patched(path: Path, at: int, value: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def footed(path: Path, at: int, value: bytes) -> Path:
    """Changes both footers of a dynamic VHD, with right checksums."""
    patched(path, at, value)
    data = bytearray(path.read_bytes())
    data[-512:] = data[:512]
    path.write_bytes(data)
    with path.open("r+b") as file:
        settle_vhd(file.fileno(), IDENT, EPOCH)
    return path


VHDX_PARENT = 3 * MIB + 64 * 1024 + 4


@pytest.mark.parametrize(
    ("kind", "spoil", "why"),
    [
        ("vhd", lambda path: patched(path, 30, b"x"), "checksum of its footer"),
        ("vhd", lambda path: footed(path, 60, b"\0\0\0\4"), "their parent"),
        ("vhd", lambda path: footed(path, 60, b"\0\0\0\2"), "neither a fixed nor a dynamic"),
        ("vhd", lambda path: footed(path, 48, bytes(8)), "nothing to read"),
        ("vhd", lambda path: footed(path, 48, b"\x7f" * 8), "the limit 'disk-size'"),
        ("vhd", lambda path: footed(path, 16, b"\x7f" * 8), "ends before its header"),
        ("vhd", lambda path: patched(path, 512, b"x"), "no header of a dynamic disk"),
        ("vhd", lambda path: patched(path, 512 + 40, b"x"), "leads to another file"),
        ("vhd-fixed", lambda path: patched(path, 9 * MIB, b"x"), "no VHD image"),
        ("vhdx", lambda path: patched(path, 0, b"x"), "no VHDX image"),
        ("vhdx", lambda path: patched(patched(path, 65536 + 9, b"x"), 131072 + 9, b"x"), "no sound header"),
        ("vhdx", lambda path: patched(path, 3 * 65536 + 20, b"x"), "no sound table of regions"),
        ("vhdx", lambda path: patched(path, VHDX_PARENT, b"\2"), "its parent"),
    ],
)
def test_what_leads_elsewhere_or_is_not_sound_is_refused(
    raw: Path, kind: str, spoil: Callable[[Path], Path], why: str
) -> None:
    path = spoil(made(raw, kind))
    with pytest.raises(BuildError, match=why):
        to_raw(Disk("d", path, KINDS[kind][0]), raw.with_name("new"))
    assert not raw.with_name("new").exists()


def test_a_guest_does_not_say_what_its_disk_is(raw: Path) -> None:
    """A fixed VHD whose content begins as a footer is what QEMU would take for a dynamic one."""
    path = made(raw, "vhd-fixed")
    with path.open("r+b") as file:
        head = bytearray(os.pread(file.fileno(), 512, 9 * MIB))
        file.write(head)
    with pytest.raises(BuildError, match="neither a fixed nor a dynamic"):
        to_raw(Disk("d", path, "vpc"), raw.with_name("new"))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 4 * MIB), st.binary(min_size=1, max_size=9)), max_size=4),
    cut=st.booleans(),
)
@pytest.mark.parametrize("kind", ["vhd", "vhdx"])
def test_no_image_ends_in_a_traceback(raw: Path, kind: str, changes: list[tuple[int, bytes]], cut: bool) -> None:
    seed = raw.with_name(f"seed-{kind}")
    data = bytearray((seed if seed.exists() else made(raw, kind, seed.name)).read_bytes()[: 4 * MIB])
    for at, value in changes:
        place = at % (4096 if kind == "vhd" else len(data))
        data[place : place + len(value)] = value
    if cut and changes:
        del data[changes[0][0] :]
    with suppress(ValueError):
        assert CHECKS[KINDS[kind][0]](io.BytesIO(data)) > 0
