"""What an archive shows at its top, whatever it is."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from vmgen_build.limits import Limit
from vmgen_build.plan import archives
from vmgen_build.plan.archives import top_names


def tarball(path: Path, *names: str, mode: str = "w:gz", size: int = 0) -> Path:
    with tarfile.open(path, mode) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_with_one_folder(tmp_path: Path, mode: str) -> None:
    path = tarball(tmp_path / "x", "x-1.0/configure", "x-1.0/src/Makefile", "./x-1.0/README", mode=mode)
    assert top_names(path) == {"configure", "README"}


def test_a_tar_without_a_folder_of_its_own(tmp_path: Path) -> None:
    assert top_names(tarball(tmp_path / "x", "./Makefile", "src/main.c")) == {"Makefile"}
    assert top_names(tarball(tmp_path / "x", "Makefile")) == {"Makefile"}


def test_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("x/CMakeLists.txt", "")
    assert top_names(tmp_path / "x") == {"CMakeLists.txt"}


@pytest.mark.parametrize("data", [b"", b"text\n", b"\x1f\x8b\x08broken", b"\xfd7zXZ\0broken", b"BZh9broken"])
def test_what_is_no_archive_shows_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert top_names(tmp_path / "x") == set()


def test_one_that_is_cut_off_shows_nothing(tmp_path: Path) -> None:
    whole = tarball(tmp_path / "x", "x/configure", size=1 << 20).read_bytes()
    (tmp_path / "x").write_bytes(whole[: len(whole) // 2])
    assert top_names(tmp_path / "x") == set()


def test_only_so_much_of_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarball(tmp_path / "x", *(f"x/{number}" for number in range(20)), size=1000)
    monkeypatch.setattr(archives, "SOURCE_LOOK", Limit("source-look", "", 4500))
    assert top_names(path) == {"0", "1", "2", "3", "4"}
    monkeypatch.setattr(archives, "SOURCE_NAMES", Limit("source-names", "", 2, "files"))
    assert top_names(path) == {"0", "1", "2"}


def peak(path: Path) -> tuple[frozenset[str], int]:
    """The names, and how much memory they took."""
    tracemalloc.start()
    try:
        return top_names(path), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [b"x", b"g", b"X", b"L", b"K"])
def test_a_huge_header_is_not_read(tmp_path: Path, kind: bytes) -> None:
    small = header(kind, 0) + header(b"0", 0)
    (tmp_path / "x").write_bytes(small)
    assert top_names(tmp_path / "x") <= {"x", ""}
    with (tmp_path / "x").open("wb") as file:
        file.write(header(kind, 64 << 20))
        file.truncate(64 << 20)
    names, taken = peak(tmp_path / "x")
    assert names == set() and taken < 24 << 20


def test_the_list_of_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    records = b"".join(b"%d %s\n" % (len(one) + 4, one) for one in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0"))
    with (tmp_path / "x").open("wb") as file:
        file.write(header(b"x", len(records)) + records.ljust(512, b"\0") + header(b"0", 1 << 20))
        file.write(b"99999999\n" + b"1\n" * (8 << 20))
    names, taken = peak(tmp_path / "x")
    assert names == set() and taken < 24 << 20
    extended = bytearray(header(b"S", 0))
    extended[482] = 1
    extended[148:156] = b"%06o\0 " % (sum(extended[:148]) + 8 * 32 + sum(extended[156:]))
    (tmp_path / "x").write_bytes(extended + (b"1".rjust(12, b"0") * 42).ljust(512, b"\1") * (64 << 10))
    names, taken = peak(tmp_path / "x")
    assert names == set() and taken < 24 << 20


def test_headers_without_a_file_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(header(b"L", 0) * 10_000)
    assert top_names(tmp_path / "x") == set()


def test_headers_count_in_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tarball(tmp_path / "x", *(f"x/{number}" for number in range(20)))
    monkeypatch.setattr(archives, "SOURCE_HEADERS", Limit("source-headers", "", 4 * 512))
    assert top_names(path) == {"0", "1", "2", "3", "4"}


def test_a_huge_directory_of_a_zip_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        for number in range(2000):
            archive.writestr(f"x/{'n' * 100}{number}", "")
    assert len(top_names(tmp_path / "x")) == 2000
    monkeypatch.setattr(archives, "SOURCE_HEADERS", Limit("source-headers", "", 100_000))
    assert top_names(tmp_path / "x") == set()
