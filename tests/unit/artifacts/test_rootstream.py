"""Issue 8, item 15 (nodes): the root that comes home is looked at, entry by entry, and has limits."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts import rootstream
from vmgen_build.artifacts.rootstream import BLOCK, Refused, RootStream
from vmgen_build.limits import ROOT_DEPTH, ROOT_HEADER, Limit

Fill = Callable[[tarfile.TarFile], None]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_of(*entries: tarfile.TarInfo, form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for one in entries:
            tar.addfile(one, io.BytesIO(bytes(one.size)))
    return out.getvalue()


def through(data: bytes) -> bytes:
    return b"".join(RootStream(io.BytesIO(data), lambda: None).pieces())


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar"])
def test_issue_8_15_what_tar_writes_of_a_root_passes_unchanged(form: str, tmp_path: Path) -> None:
    """By GNU tar itself, with long names, links, holes and extended attributes."""
    root = tmp_path / "root"
    deep = root / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(os.urandom(3000))
    (root / "empty").touch()
    (root / "link").symlink_to("/etc/passwd")
    (root / "hard").hardlink_to(deep / "file")
    os.mkfifo(root / "pipe")
    if form != "ustar":
        (deep / ("n" * 120)).touch()
        (root / "far").symlink_to("x" * 200)
    if form == "posix":
        os.setxattr(root / "empty", "user.name", b"va\nlue=1")
    words = ["tar", f"--format={form}", *(["--xattrs"] if form == "posix" else []), "-C", root, "-cf", "-", "."]
    data = subprocess.run(words, capture_output=True, check=True).stdout
    passed = through(data)
    assert data.startswith(passed) and not data[len(passed) :].strip(b"\0")
    with tarfile.open(fileobj=io.BytesIO(passed)) as tar:
        assert "./link" in tar.getnames()


def test_issue_8_15_devices_owners_and_setuid_are_the_guests_own() -> None:
    data = tar_of(
        entry(".", tarfile.DIRTYPE),
        entry("./dev", tarfile.DIRTYPE),
        entry("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
        entry("./bin", mode=0o4755, uid=5, size=10),
    )
    assert data.startswith(through(data))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([entry("/etc/passwd")], "none of a file below the root"),
        ([entry("./../x")], "none of a file below the root"),
        ([entry("a/../../x")], "none of a file below the root"),
        ([entry("x" * 5000)], "none of a file below the root"),
        ([entry("l", tarfile.SYMTYPE, "/etc"), entry("l/passwd")], "leads through the link 'l'"),
        ([entry("./a/l", tarfile.SYMTYPE, "/etc"), entry("a//l/./b/c")], "leads through the link 'a/l'"),
        ([entry("l", tarfile.SYMTYPE, "/etc"), entry("./l", tarfile.DIRTYPE)], "twice, and a link the first time"),
        ([entry("h", tarfile.LNKTYPE, "/etc/passwd")], "none of a file below the root"),
        ([entry("h", tarfile.LNKTYPE, "../x")], "none of a file below the root"),
        ([entry("l", tarfile.SYMTYPE, "/"), entry("h", tarfile.LNKTYPE, "l/x")], "leads through the link 'l'"),
        ([entry("l", tarfile.SYMTYPE, "")], "leads nowhere"),
        ([entry(".")], "its top is no folder"),
        ([entry("d/" * (ROOT_DEPTH.amount + 1), tarfile.DIRTYPE)], "'root-depth'"),
        ([entry("c", tarfile.CONTTYPE)], "which no file system holds"),
        ([entry("s", b"S")], "which no file system holds"),
        ([entry("m", b"M")], "which no file system holds"),
        ([entry("\x1b[2J", b"V")], "which no file system holds"),
    ],
)
def test_issue_8_15_an_entry_that_is_none_of_a_root_is_refused(entries: list[tarfile.TarInfo], reason: str) -> None:
    with pytest.raises(Refused, match=reason) as error:
        through(tar_of(*entries))
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"path": "/etc/passwd"}, "none of a file below the root"),
        ({"GNU.sparse.realsize": "1125899906842624"}, "which is not taken"),
        ({"size": "1125899906842624"}, "'root-bytes'"),
        ({"size": "-1"}, "is no number"),
        ({"size": "9" * 30}, "is no number"),
        ({"SCHILY.xattr.user.x": "x" * (ROOT_HEADER.amount + 1)}, "'root-header'"),
    ],
)
def test_issue_8_15_a_pax_header_is_read_strictly(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        through(tar_of(entry("x", pax_headers=fields), form=tarfile.PAX_FORMAT))


def header(size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(tar_of(entry("x"))[:BLOCK])
    block[124:136], block[156:157], block[148:156] = size.ljust(12, b"\0"), kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut short"),
        (os.urandom(BLOCK), "no tar, or damaged"),
        (tar_of(entry("x"))[:700], "cut short"),
        (tar_of(entry("x", size=5000))[:2000], "cut short"),
        (header(b"\xff" * 12), "negative"),
        (header(b"\x80" + b"\xff" * 11), "'root-bytes'"),
        (header(b"-1"), "a number that is none"),
        (header(b"00000001750", b"5"), "is no file and has data"),
        (header(b"77777777777", b"x"), "'root-header'"),
        (header(b"77777777777", b"L"), "'root-header'"),
        ((header(b"00000000001", b"L") + bytes(BLOCK)) * 2, "two headers that say the same"),
        (bytes(2 * BLOCK) + tar_of(entry("x")), "something follows its end"),
        (bytes(2 << 20), "something follows its end"),
    ],
)
def test_issue_8_15_a_tar_that_is_none_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        through(data)


@pytest.mark.parametrize(("name", "amount"), [("ROOT_ENTRIES", 2), ("ROOT_BYTES", 20), ("ROOT_NAMES", 8)])
def test_issue_8_15_a_root_has_limits(name: str, amount: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit: Limit = getattr(rootstream, name)
    monkeypatch.setattr(rootstream, name, Limit(limit.name, limit.of, amount, limit.unit))
    with pytest.raises(Refused, match=f"'{limit.name}'"):
        through(tar_of(*(entry(f"f{number}", size=10) for number in range(5))))


def test_issue_8_15_a_root_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootstream, "ROOT_TIME", Limit("root-time", "", -1, "s"))
    with pytest.raises(Refused, match="'root-time'"):
        through(tar_of(entry("f")))
