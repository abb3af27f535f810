"""Stream-optimized VMDKs, read back by QEMU, libvmdk, 7-Zip and our own reader."""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgen_build.artifacts.vmdk import VmdkError, VmdkInfo, check_vmdk, extract, write_vmdk
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, sha256_of

GRAIN = 1 << 16
SECTOR = 512
GIB = 1 << 30

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def needs(program: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"needs {program} (package {package})")


needs_qemu = needs("qemu-img", "qemu-utils")
needs_7z = needs("7z", "p7zip-full")
needs_libvmdk = pytest.mark.skipif(
    subprocess.run(["/usr/bin/python3", "-c", "import pyvmdk"], capture_output=True).returncode != 0,
    reason="needs pyvmdk (package python3-libvmdk)",
)


def disk(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    """A sparse image with `parts` (byte, data) in it."""
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in parts:
            file.seek(at)
            file.write(data)
    return path


SHAPES: dict[str, tuple[int, tuple[tuple[int, bytes], ...]]] = {
    "empty, one sector": (SECTOR, ()),
    "empty": (8 << 20, ()),
    "zeros that are no hole": (3 << 20, ((0, bytes(3 << 20)),)),
    "one byte at the end": (9 << 20, (((9 << 20) - 1, b"x"),)),
    "one byte in the last sector": (GRAIN * 3 + SECTOR, ((GRAIN * 3 + 5, b"x"),)),
    "no multiple of a grain": ((5 << 20) + 3 * SECTOR, ((0, b"a" * 70000), ((5 << 20) + 3 * SECTOR - 1, b"z"))),
    "incompressible": (2 << 20, ((0, os.urandom(2 << 20)),)),
    "several grain tables": (200 << 20, ((GRAIN * 511, os.urandom(2 * GRAIN)), (170 << 20, b"far"))),
    "the last entry of a table": (64 << 20, (((32 << 20) - 1, b"x"), ((64 << 20) - 1, b"y"))),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    size, parts = request.param
    return disk(tmp_path / "disk.raw", size, *parts)


@pytest.fixture
def goal(raw: Path, tmp_path: Path) -> Path:
    written = write_vmdk(raw, tmp_path / "disk.vmdk")
    assert written == Written(tmp_path / "disk.vmdk", written.path.stat().st_size, sha256_of(written.path))
    return written.path


def qemu_says_same(raw: Path, vmdk: Path) -> None:
    subprocess.run(["qemu-img", "check", "-q", "-f", "vmdk", vmdk], check=True)
    compare = ["qemu-img", "compare", "-f", "raw", "-F", "vmdk", raw, vmdk]
    ran = subprocess.run(compare, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_qemu
def test_qemu_reads_it(raw: Path, goal: Path) -> None:
    qemu_says_same(raw, goal)


@needs_7z
def test_7zip_reads_it(raw: Path, goal: Path) -> None:
    ran = subprocess.run(["7z", "e", "-so", goal], capture_output=True, check=True)
    assert ran.stdout == raw.read_bytes()


@needs_libvmdk
def test_libvmdk_reads_it(raw: Path, goal: Path) -> None:
    program = """
import pyvmdk, sys
disk = pyvmdk.handle()
disk.open(sys.argv[1])
disk.open_extent_data_files()
while data := disk.read_buffer(1 << 20):
    sys.stdout.buffer.write(data)
"""
    ran = subprocess.run(["/usr/bin/python3", "-c", program, goal], capture_output=True, check=True)
    assert ran.stdout == raw.read_bytes()


def test_our_reader_reads_it(raw: Path, goal: Path, tmp_path: Path) -> None:
    info = extract(goal, tmp_path / "back.raw")
    assert (tmp_path / "back.raw").read_bytes() == raw.read_bytes()
    assert info == check_vmdk(goal)
    assert (info.capacity, info.size, info.adapter) == (raw.stat().st_size, goal.stat().st_size, "lsilogic")
    assert (tmp_path / "back.raw").stat().st_blocks * 512 <= info.grains * GRAIN


def test_the_number_of_workers_changes_nothing(raw: Path, goal: Path, tmp_path: Path) -> None:
    for workers in (1, 3, 8):
        other = tmp_path / str(workers) / goal.name
        other.parent.mkdir()
        write_vmdk(raw, other, workers=workers)
        assert other.read_bytes() == goal.read_bytes()
        assert check_vmdk(other, workers=workers) == check_vmdk(goal)


def test_where_the_holes_are_changes_nothing(raw: Path, goal: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.raw"
    full.write_bytes(raw.read_bytes())
    (tmp_path / "again").mkdir()
    assert write_vmdk(full, tmp_path / "again" / goal.name).sha256 == sha256_of(goal)


def test_what_stands_in_the_header_and_at_the_end(tmp_path: Path) -> None:
    """The numbers that importers insist on, read here without any of our code."""
    raw = disk(tmp_path / "r", 3 * GRAIN, (GRAIN, b"hello"))
    data = write_vmdk(raw, tmp_path / "x.vmdk").path.read_bytes()
    assert data[:12] == b"KDMV" + struct.pack("<II", 3, 0x30001)
    capacity, grain, place, sectors, entries, redundant, directory, overhead = struct.unpack("<QQQQIQQQ", data[12:72])
    assert (capacity, grain, place, sectors, entries, redundant) == (384, 128, 1, 20, 512, 0)
    assert (directory, overhead, data[72:79]) == (2**64 - 1, 128, b"\0\n \r\n\1\0")
    assert struct.unpack_from("<QI", data, 128 * SECTOR)[0] == 128
    assert data[-512:] == bytes(512) and len(data) % SECTOR == 0
    footer = data[-1024:-512]
    place = struct.unpack_from("<Q", footer, 56)[0] * SECTOR
    assert footer[:56] + footer[64:] == data[:56] + data[64:512]
    assert struct.unpack_from("<QII", data, len(data) - 1536) == (1, 0, 3)
    assert struct.unpack_from("<QII", data, place - SECTOR) == (1, 0, 2)
    table = struct.unpack_from("<I", data, place)[0] * SECTOR
    assert struct.unpack_from("<QII", data, table - SECTOR) == (4, 0, 1)
    assert struct.unpack_from("<4I", data, table) == (0, 128, 0, 0)


@pytest.mark.parametrize(
    ("adapter", "size", "geometry"),
    [("lsilogic", 8 * GIB, (1045, 255)), ("ide", 1 * GIB, (2081, 16)), ("ide", 100 * GIB, (16383, 16))],
)
def test_the_descriptor(tmp_path: Path, adapter: str, size: int, geometry: tuple[int, int]) -> None:
    goal = tmp_path / 'a "b" \u00e9.vmdk'
    write_vmdk(disk(tmp_path / "r", size), goal, adapter=adapter)
    text = goal.read_bytes()[512 : 21 * 512].rstrip(b"\0").decode("ascii")
    assert f'\nRDONLY {size // 512} SPARSE "a _b_ _.vmdk"\n' in text
    assert '\ncreateType="streamOptimized"\n' in text and "\nparentCID=ffffffff\n" in text
    assert f'\nddb.adapterType = "{adapter}"\n' in text
    assert f'\nddb.geometry.cylinders = "{geometry[0]}"\nddb.geometry.heads = "{geometry[1]}"\n' in text
    assert check_vmdk(goal).adapter == adapter


def test_virtualbox_knows_a_disk_by_its_uuid(tmp_path: Path) -> None:
    """The same for the same plan; another plan's disk of that name is another."""

    def uuids(ident: str) -> set[str]:
        data = write_vmdk(disk(tmp_path / "r", GIB), tmp_path / "x.vmdk", ident=ident).path.read_bytes()
        assert data.count(b'ddb.uuid.parent = "00000000-0000-0000-0000-000000000000"\n') == 1
        return set(re.findall(r'ddb\.uuid\.(?:image|modification) = "([0-9a-f-]{36})"', data[512 : 21 * 512].decode()))

    first = uuids("plan one")
    assert len(first) == 1 and uuids("plan one") == first and not uuids("plan two") & first


def test_an_adapter_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'nvme' is none of lsilogic, ide"):
        write_vmdk(disk(tmp_path / "r", 512), tmp_path / "x", adapter="nvme")


@needs_qemu
def test_a_sparse_disk_of_100_gb(tmp_path: Path) -> None:
    parts = [(0, b"mbr"), (33 * GIB + 7, b"middle"), (100 * GIB - 1, b"\1")]
    raw = disk(tmp_path / "r", 100 * GIB, *parts)
    goal = tmp_path / "x.vmdk"
    written = write_vmdk(raw, goal)
    assert written.size < 128 << 10
    qemu_says_same(raw, goal)
    assert extract(goal, tmp_path / "back").grains == 3
    assert (tmp_path / "back").stat().st_blocks * 512 < 1 << 20
    with (tmp_path / "back").open("rb") as file:
        for at, data in parts:
            file.seek(at)
            assert file.read(len(data)) == data


@needs_qemu
def test_several_disks_out_of_one_tar_that_streams(tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, name in enumerate(names):
            raw = disk(tmp_path / name, (number + 1) * 700 * SECTOR, (number * 1000, os.urandom(200_000)))
            tar.add(write_vmdk(raw, tmp_path / f"{name}.vmdk").path, f"{name}.vmdk")
            qemu_says_same(raw, tmp_path / f"{name}.vmdk")
    with tarfile.open(tmp_path / "x.tar", "r|") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            extract(stream, tmp_path / f"{member.name}.back")
    for name in names:
        assert (tmp_path / f"{name}.vmdk.back").read_bytes() == (tmp_path / name).read_bytes()


PIECES = st.lists(
    st.tuples(st.integers(0, 40 * GRAIN), st.integers(1, 3 * GRAIN), st.sampled_from(["zero", "same", "random"])),
    max_size=5,
)


@needs_qemu
@settings(max_examples=25, deadline=None)
@given(sectors=st.integers(1, 40 * GRAIN // SECTOR), pieces=PIECES, seed=st.binary(min_size=1, max_size=8))
def test_any_disk_comes_back_from_qemu_as_it_was(
    sectors: int, pieces: Iterable[tuple[int, int, str]], seed: bytes
) -> None:
    size = sectors * SECTOR
    fill: dict[str, Callable[[int], bytes]] = {
        "zero": bytes,
        "same": lambda n: (seed * n)[:n],
        "random": os.urandom,
    }
    with tempfile.TemporaryDirectory() as folder:
        parts = [(at, fill[kind](min(length, size - at))) for at, length, kind in pieces if at < size]
        raw = disk(Path(folder, "r"), size, *parts)
        goal = Path(folder, "x.vmdk")
        write_vmdk(raw, goal, workers=2)
        back = Path(folder, "back")
        subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", goal, back], check=True)
        assert back.read_bytes() == raw.read_bytes()
        extract(goal, Path(folder, "ours"))
        assert Path(folder, "ours").read_bytes() == raw.read_bytes()


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """Grains 0, 1 and 513: two tables. The directory follows the second."""
    raw = disk(tmp_path / "r", 520 * GRAIN, (0, b"abc" * 30000), (513 * GRAIN, b"def" * 100))
    return write_vmdk(raw, tmp_path / "sound.vmdk").path.read_bytes()


def spoilt(data: bytes, at: int, new: bytes) -> bytes:
    at %= len(data)
    return data[:at] + new + data[at + len(new) :]


FIRST = 128 * SECTOR
FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another file": (lambda d: b"MZ" + bytes(2000), r"at byte 0: the header's magic number is b'MZ\\x00\\x00'"),
    "version 1": (lambda d: spoilt(d, 4, b"\1"), "at byte 0: the header's version is 1, not 3"),
    "flags": (lambda d: spoilt(d, 8, b"\3"), "at byte 0: the header's flags is 196611, not 196609"),
    "no capacity": (lambda d: spoilt(d, 12, bytes(8)), "at byte 0: the header's capacity is 0 sectors"),
    "other capacity": (lambda d: spoilt(d, 12, b"\x81"), "at byte 512: the descriptor does not name one extent"),
    "huge capacity": (lambda d: spoilt(d, 12, b"\xff" * 7), "at byte 0: the header's capacity is"),
    "directory in front": (lambda d: spoilt(d, 56, bytes(8)), "the grain directory is not at the end"),
    "descriptor": (lambda d: d.replace(b"streamOptimized", b"twoGbMaxExtents"), "lacks createType streamOptimized"),
    "data before the first grain": (lambda d: spoilt(d, FIRST - 1, b"x"), "more than the descriptor before"),
    "grain elsewhere": (lambda d: spoilt(d, FIRST, b"\1"), f"at byte {FIRST}: a grain for sector 1 of the disk"),
    "grain beyond the disk": (lambda d: spoilt(d, FIRST + 4, b"\1"), "a grain for sector 4294967296 of the disk"),
    "grain too long": (lambda d: spoilt(d, FIRST + 8, b"\xff\xff\xff\xff"), "grain 0 has 4294967295 bytes"),
    "grain's data": (lambda d: spoilt(d, FIRST + 40, b"\xaa\xbb\xcc"), f"at byte {FIRST + 12}: grain 0 does not infl"),
    "grain's length": (lambda d: spoilt(d, FIRST + 8, bytes(4)), f"at byte {FIRST}: "),
    "the end": (lambda d: spoilt(d, -1, b"\1"), "the end-of-stream marker is not what belongs here"),
    "the footer": (lambda d: spoilt(d, -1000, b"\1"), "the footer is not what belongs here"),
    "the footer's directory": (lambda d: spoilt(d, -1024 + 56, b"\1"), "the footer is not what belongs here"),
    "the directory": (lambda d: spoilt(d, -2048, b"\1"), "the grain directory is not what belongs here"),
    "bytes behind": (lambda d: d + bytes(64512), "there are bytes behind the end-of-stream marker"),
    "no end": (lambda d: d[:-512], "the file ends before the end-of-stream marker"),
    "half": (lambda d: d[: len(d) // 2], "the file ends before the end-of-stream marker"),
    "nothing": (lambda d: b"", "at byte 0: the file ends before"),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_wrong_is_reported(sound: bytes, tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "bad.vmdk"
    path.write_bytes(spoil(sound))
    with pytest.raises(VmdkError, match=message) as caught:
        check_vmdk(path)
    assert str(caught.value).startswith(f"{path}: at byte ")
    with pytest.raises(VmdkError, match=message):
        extract(path, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_no_changed_byte_goes_unseen(sound: bytes, tmp_path: Path) -> None:
    """Every byte that is not zero, the descriptor's apart, and every eleventh of the rest.

    A changed one may pass only if it changes nothing: where data repeats, several distances mean the same to inflate.
    """
    content = (tmp_path / "r").read_bytes()
    for at in [*range(512), *range(FIRST, len(sound))]:
        if not sound[at] and at % 11:
            continue
        changed = spoilt(sound, at, bytes([sound[at] ^ 0x10]))
        try:
            check_vmdk(BytesIO(changed), workers=1)
        except VmdkError:
            continue
        (tmp_path / "back").unlink(missing_ok=True)
        extract(BytesIO(changed), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
    assert check_vmdk(BytesIO(sound)) == VmdkInfo(520 * GRAIN, len(sound), 3, "lsilogic")


@needs_qemu
def test_what_qemu_writes_is_refused(tmp_path: Path) -> None:
    raw = disk(tmp_path / "r", 1 << 20, (0, b"x"))
    options = ["-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, raw, tmp_path / "q.vmdk"], check=True)
    with pytest.raises(VmdkError, match="the header's flags"):
        check_vmdk(tmp_path / "q.vmdk")


@pytest.mark.parametrize("size", [0, 511, 513, GRAIN + 100])
def test_a_size_that_no_disk_has(tmp_path: Path, size: int) -> None:
    with pytest.raises(BuildError, match=f"r has {size} bytes, and a disk has whole sectors of 512 bytes"):
        write_vmdk(disk(tmp_path / "r", size), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_progress_ends_at_the_size_of_the_disk(tmp_path: Path) -> None:
    raw = disk(tmp_path / "r", 10 << 20, (0, os.urandom(3 << 20)))
    for work in (
        lambda reported: write_vmdk(raw, tmp_path / "x", progress=reported),
        lambda reported: extract(tmp_path / "x", tmp_path / "back", progress=reported),
    ):
        reported: list[int] = []
        work(reported.append)
        assert reported == sorted(reported) and reported[-1] == 10 << 20 and len(reported) > 3


def test_a_source_that_cannot_be_read_leaves_the_old_file_alone(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(HostError, match=r"cannot read .*none: No such file or directory"):
        write_vmdk(tmp_path / "none", tmp_path / "x")
    with pytest.raises(HostError, match=r"cannot read /proc/self/mem: Invalid argument"):
        write_vmdk(Path("/proc/self/mem"), tmp_path / "x")
    with pytest.raises(HostError, match="is neither a file nor a block device"):
        write_vmdk(tmp_path, tmp_path / "x")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "old")]


def test_a_source_that_changes_while_it_is_read(tmp_path: Path) -> None:
    raw = disk(tmp_path / "r", 30 << 20, (0, os.urandom(30 << 20)))
    (tmp_path / "out").mkdir()
    with pytest.raises(BuildError, match=r"the size of .* changed while it was read"):
        write_vmdk(raw, tmp_path / "out" / "x", progress=lambda _: os.truncate(raw, 1 << 20))
    assert list((tmp_path / "out").iterdir()) == []


def test_files_that_our_reader_cannot_read_or_write(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot read .*none: No such file"):
        check_vmdk(tmp_path / "none")
    (tmp_path / "there").write_text("mine")
    with pytest.raises(HostError, match=r"cannot write .*there: File exists"):
        extract(tmp_path / "none", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    raw = disk(tmp_path / "r", 20 << 20, (0, os.urandom(20 << 20)))
    out = tmp_path / "out"
    out.mkdir()

    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_vmdk(raw, out / "x", progress=interrupt)
    assert list(out.iterdir()) == []


def test_kill_9_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from vmgen_build.artifacts.vmdk import write_vmdk
def wait(_done):
    print("writing", flush=True)
    sys.stdin.read()
write_vmdk(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), progress=wait)
"""
    raw = disk(tmp_path / "r", 20 << 20, (0, os.urandom(20 << 20)))
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", program, raw, out / "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [p.name.startswith(".x.part-") for p in out.iterdir()] == [True]
    write_vmdk(raw, out / "x")
    assert [p.name for p in out.iterdir()] == ["x"]


FULL = """
import pathlib, sys
from vmgen_build.artifacts.vmdk import extract, write_vmdk
from vmgen_build.errors import HostError
source, out = map(pathlib.Path, sys.argv[2:])
try:
    write_vmdk(source, out / "x") if sys.argv[1] == "write" else extract(source, out / "x")
except HostError as error:
    print(error)
print(sorted(p.name for p in out.iterdir()))
"""


def on_a_small_disk(work: str, source: Path, out: Path) -> list[str]:
    """What FULL prints where `out` is a tmpfs of 1 MB, in a mount namespace of its own."""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$4" && exec "$0" -c "$1" "$2" "$3" "$4"'
    command = ["unshare", "--mount", "sh", "-c", mount, sys.executable, FULL, work, source, out]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@needs_root
def test_a_full_disk_is_reported_with_what_is_needed(tmp_path: Path) -> None:
    raw = disk(tmp_path / "r", 50 << 20, (0, os.urandom(5_000_000)))
    out = tmp_path / "out"
    out.mkdir()
    message, left = on_a_small_disk("write", raw, out)
    assert f"the disk of {out} is full" in message and "x needs up to 5.0 MB; make room there" in message
    assert left == "[]"
    write_vmdk(raw, tmp_path / "x.vmdk")
    message, left = on_a_small_disk("extract", tmp_path / "x.vmdk", out)
    assert f"the disk of {out} is full" in message
    assert left == "[]"


def test_memory_does_not_grow_with_the_disk(tmp_path: Path) -> None:
    """Peak of whole processes, the interpreter included; the images are of 16 and 256 MB that do not compress."""
    program = """
import pathlib, sys
from vmgen_build.artifacts.vmdk import check_vmdk, write_vmdk
write_vmdk(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
check_vmdk(pathlib.Path(sys.argv[2]))
print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    block, peaks = os.urandom(16 << 20), []
    for times in (1, 16):
        raw = disk(tmp_path / "r", 100 * GIB, *((i * GIB, block) for i in range(times)))
        ran = subprocess.run(
            [sys.executable, "-c", program, raw, tmp_path / "x"], capture_output=True, text=True, check=True
        )
        peaks.append(int(ran.stdout))
    assert peaks[1] < peaks[0] + (16 << 10)
    assert peaks[1] < 200 << 10
