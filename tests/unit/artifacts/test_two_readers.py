"""Issue 8, items 12 and 15: what our readers see in a tar is what tar(1) unpacks of the same bytes."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgen_build.artifacts.rootstream import BLOCK, Refused, RootStream, _Entry
from vmgen_build.artifacts.tarstream import TarStream

TREE = (
    ("./", tarfile.DIRTYPE, "", 0),
    ("./d/", tarfile.DIRTYPE, "", 0),
    ("./d/f", tarfile.REGTYPE, "", 700),
    ("./l", tarfile.SYMTYPE, "d/f", 0),
    ("./h", tarfile.LNKTYPE, "./d/f", 0),
    ("./old", tarfile.AREGTYPE, "", 512),
    ("./" + "n" * 120, tarfile.REGTYPE, "", 5),
    ("./p", tarfile.FIFOTYPE, "", 0),
)


def header(name: str, kind: bytes, link: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, size, 0o755
    return info.tobuf(tarfile.USTAR_FORMAT)


def summed(block: bytes) -> bytes:
    """A header with the right sum."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


HIDDEN = header("./hidden", tarfile.REGTYPE)
SLASH = summed(b"./d/" + header("./d", tarfile.REGTYPE, size=BLOCK)[4:])


def archive(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, link, size in TREE:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = kind, link, size, 0o755
            tar.addfile(info, io.BytesIO(HIDDEN * 2) if size else None)
    return out.getvalue()


def headers(data: bytes) -> Iterator[int]:
    """Where they begin."""
    yield from (at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar")


def mutated() -> Iterator[bytes]:
    """Each header of an archive with another type, size, or end of its name, and right sums."""
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = archive(form)
        for at in headers(data):
            block = data[at : at + BLOCK]
            end = block.index(b"\0")
            changes = [block[:156] + kind + block[157:] for kind in (b"0", b"\0", b"5", b"2", b"7")]
            changes += [block[:end] + ending + block[end + len(ending) :] for ending in (b"/", b"/.") if end < 98]
            changes += [block[:124] + size + b"\0" + block[136:] for size in (b"0" * 11, b"00000001000")]
            changes.append(block[:345] + b"d" + block[346:])
            yield from (data[:at] + summed(one) + data[at + BLOCK :] for one in changes)
    yield SLASH + HIDDEN + bytes(2 * BLOCK)
    yield summed(SLASH[:156] + b"\0" + SLASH[157:]) + HIDDEN + bytes(2 * BLOCK)


class Listing(RootStream):
    """Remembers what passed. files: the sizes of regular files by their names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), lambda: None)
        self.seen: set[str] = set()
        self.files: dict[str, int] = {}

    def _judge(self, entry: _Entry) -> None:
        super()._judge(entry)
        name = os.path.normpath(entry.name.decode())
        self.seen |= {name, *map(str, Path(name).parents)}
        if entry.kind in (b"0", b"\0"):
            self.files[name] = entry.size


def unpacked(data: bytes, folder: Path) -> tuple[set[str], dict[str, int]]:
    """All that tar makes of it, and the sizes of regular files."""
    folder.mkdir()
    subprocess.run(["tar", "-xpf", "-", "-C", folder], input=data, capture_output=True, check=False)
    paths = [folder / top / name for top, folders, files in os.walk(folder) for name in (*folders, *files)]
    sizes = {str(p.relative_to(folder)): p.lstat().st_size for p in paths if p.is_file() and not p.is_symlink()}
    return {str(path.relative_to(folder)) for path in paths}, sizes


def test_issue_8_15_what_passes_is_what_tar_unpacks(tmp_path: Path) -> None:
    passed = 0
    for number, data in enumerate(mutated()):
        stream = Listing(data)
        try:
            through = b"".join(stream.pieces())
        except Refused:
            continue
        passed += 1
        names, sizes = unpacked(through, tmp_path / str(number))
        assert names <= stream.seen, number
        own = {name: size for name, size in sizes.items() if name in stream.files}
        assert own == {name: stream.files[name] for name in own}, number
    assert passed > 10


def test_issue_8_15_a_file_that_is_named_as_a_folder_is_refused() -> None:
    """GNU tar makes a folder of it, and reads its data as further headers."""
    for kind in (b"0", b"\0", b"2"):
        data = summed(SLASH[:156] + kind + SLASH[157:]) + HIDDEN + bytes(2 * BLOCK)
        with pytest.raises(Refused):
            b"".join(RootStream(io.BytesIO(data), lambda: None).pieces())


def test_issue_8_15_a_hard_link_to_a_link_is_a_link() -> None:
    blocks = header("./", b"5") + header("./a", b"2", "d") + header("./b", b"1", "./a") + header("./b/x", b"0")
    with pytest.raises(Refused, match="leads through the link"):
        b"".join(RootStream(io.BytesIO(blocks + bytes(2 * BLOCK)), lambda: None).pieces())


def test_issue_8_15_links_and_folders_meet_the_limit_of_room() -> None:
    def full() -> None:
        raise OSError("no room")

    data = b"".join(header(f"./{n}", b"5") for n in range(300)) + bytes(2 * BLOCK)
    with pytest.raises(OSError, match="no room"):
        b"".join(RootStream(io.BytesIO(data), full).pieces())


@pytest.mark.parametrize("kind", [b"0", b"\0", b"7"])
def test_issue_8_12_a_file_that_is_named_as_a_folder_has_no_data(kind: bytes) -> None:
    data = summed(SLASH[:156] + kind + SLASH[157:]) + HIDDEN + bytes(2 * BLOCK)
    with pytest.raises(ValueError, match="named as a folder"):
        list(TarStream(io.BytesIO(data)).entries())


def test_issue_8_12_a_pax_name_decides_what_is_a_folder() -> None:
    """The header's own name ends in a slash; the one that holds does not: GNU tar finds a file with data."""
    record = b"10 path=d\n"
    pax = header("x", b"x", size=len(record)) + record.ljust(BLOCK, b"\0")
    data = pax + summed(SLASH[:156] + b"\0" + SLASH[157:]) + HIDDEN + bytes(2 * BLOCK)
    assert [(e.name, e.is_file, e.size) for e in TarStream(io.BytesIO(data)).entries()] == [("d", True, BLOCK)]
