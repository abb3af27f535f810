"""Lists of packages as each package manager keeps them. rpm's is written here by its specification; that the reader
takes a database of rpm's own was tried by hand (rpm 4.18)."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import Package
from vmgen_build.artifacts.packagelists import packages_of

DPKG = """\
Package: vim
Status: install ok installed
Architecture: amd64
Version: 2:9.0
Description: an editor
 Package: not this

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: held
Status: hold ok installed
Architecture: all
Version: 3
"""
RPMDB = "var/lib/rpm/rpmdb.sqlite"


def header(fields: dict[int, str | int]) -> bytes:
    index, data = b"", b""
    for tag, value in fields.items():
        if isinstance(value, int):
            index += struct.pack(">IIII", tag, 4, len(data), 1)
            data += struct.pack(">I", value)
        else:
            index += struct.pack(">IIII", tag, 6, len(data), 1)
            data += value.encode() + b"\0"
    return struct.pack(">II", len(fields), len(data)) + index + data


def database(folder: Path, *blobs: bytes) -> bytes:
    path = folder / "made.sqlite"
    path.unlink(missing_ok=True)
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    made.executemany("INSERT INTO Packages (blob) VALUES (?)", [(one,) for one in blobs])
    made.commit()
    made.close()
    return path.read_bytes()


def test_dpkg() -> None:
    wanted = (Package("held", "3", "all"), Package("vim", "2:9.0", "amd64"))
    assert packages_of({"var/lib/dpkg/status": DPKG.encode()}) == wanted
    alone = {"var/lib/dpkg/status.d/base": b"Package: base\nVersion: 1\nArchitecture: all\n"}
    assert packages_of(alone) == (Package("base", "1", "all"),)


def test_apk_and_pacman() -> None:
    apk = b"C:Q1x\nP:musl\nV:1.2-r0\nA:x86_64\n\nP:zlib\nV:1.3\nA:x86_64\n"
    assert packages_of({"lib/apk/db/installed": apk}) == (
        Package("musl", "1.2-r0", "x86_64"),
        Package("zlib", "1.3", "x86_64"),
    )
    desc = {f"var/lib/pacman/local/{n}-1-1/desc": f"%NAME%\n{n}\n\n%VERSION%\n1-1\n\n%ARCH%\nany\n" for n in "ba"}
    found = packages_of({name: text.encode() for name, text in desc.items()})
    assert found == (Package("a", "1-1", "any"), Package("b", "1-1", "any"))


def test_rpm(tmp_path: Path) -> None:
    plain = header({1000: "bash", 1001: "5.2", 1002: "1.el9", 1022: "x86_64"})
    epoch = header({1000: "vim", 1001: "9.0", 1002: "2", 1003: 2, 1022: "x86_64"})
    key = header({1000: "gpg-pubkey", 1001: "1", 1002: "2"})
    found = packages_of({RPMDB: database(tmp_path, plain, epoch, key)})
    assert found == (Package("bash", "5.2-1.el9", "x86_64"), Package("vim", "2:9.0-2", "x86_64"))


def test_damaged_lists_of_rpm(tmp_path: Path) -> None:
    cut = header({1000: "bash"})[:-3]
    for data in (b"no database", database(tmp_path, cut), database(tmp_path, struct.pack(">II", 1 << 31, 1 << 31))):
        with pytest.raises(ValueError, match=r"cannot be read|cut off"):
            packages_of({RPMDB: data})
    assert packages_of({RPMDB: database(tmp_path, b"", header({1: "x"}))}) == ()


def test_a_database_that_never_ends_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmgen_build.artifacts.packagelists._SECONDS", 0.05)
    path = tmp_path / "endless.sqlite"
    made = sqlite3.connect(path)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS blob FROM n"
    made.execute(f"CREATE VIEW Packages AS {endless}")
    made.close()
    with pytest.raises(ValueError, match="cannot be read"):
        packages_of({RPMDB: path.read_bytes()})


def test_no_list() -> None:
    assert packages_of({"etc/passwd": b""}) is None
