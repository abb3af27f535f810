"""The packages of a root file system, from the list that its package manager keeps.

deb-status: dpkg(1) and /var/lib/dpkg/status, of Debian's policy manual, 5.1. apk: "Apk spec", installed database.
pacman: a desc file for each package. rpm: rpmdb.sqlite, a header each (rpm's docs/manual/format_header.md).
"""

from __future__ import annotations

import re
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from vmgen_build.artifacts.manifest import Package
from vmgen_build.limits import MANIFEST_ENTRIES, PACKAGE_LIST

_DPKG, _DPKG_ALONE = "var/lib/dpkg/status", "var/lib/dpkg/status.d/"
_PACMAN = "var/lib/pacman/local/"
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_LOG = "-wal"
_RPM = ("usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite")

_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_INT32, _STRING = 4, 6
_ENTRY = struct.Struct(">IIII")
_SECONDS = 30.0
"""A database of a hundred thousand packages is read in one."""
_STEPS = 100_000


def packages_of(texts: Mapping[str, bytes]) -> tuple[Package, ...] | None:
    """texts: path in the root -> content. None where no list of packages is there that is known here.

    Raises ValueError for one that is damaged, or has too many packages.
    """
    lists = [reader(name, texts) for name in texts if (reader := _reader_of(name)) is not None]
    if not lists:
        return None
    found: set[Package] = set()
    for packages in lists:
        for package in packages:
            found.add(package)
            if len(found) > MANIFEST_ENTRIES.amount:
                raise ValueError(f"it lists too many packages: {MANIFEST_ENTRIES.exceeded}")
    return tuple(sorted(found))


Reader = Callable[[str, Mapping[str, bytes]], Iterator[Package]]


def _reader_of(name: str) -> Reader | None:
    if name == _DPKG or name.startswith(_DPKG_ALONE):
        return _dpkg
    if name.startswith(_PACMAN):
        return _pacman
    if name in _APK:
        return _apk
    return _rpm if name in _RPM else None


def _dpkg(name: str, texts: Mapping[str, bytes]) -> Iterator[Package]:
    """Those that are installed; a root without dpkg has a paragraph a file in status.d, without a state."""
    for paragraph in _lines_of(texts[name]).split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): *(.*)$", paragraph, re.MULTILINE))
        state = fields.get("Status", "install ok installed" if name.startswith(_DPKG_ALONE) else "")
        if fields.get("Package") and state.split()[-1:] == ["installed"]:
            yield Package(fields["Package"], fields.get("Version", ""), fields.get("Architecture", ""))


def _apk(name: str, texts: Mapping[str, bytes]) -> Iterator[Package]:
    for paragraph in _lines_of(texts[name]).split("\n\n"):
        fields = dict(re.findall(r"^([PVA]):(.*)$", paragraph, re.MULTILINE))
        if fields.get("P"):
            yield Package(fields["P"], fields.get("V", ""), fields.get("A", ""))


def _pacman(name: str, texts: Mapping[str, bytes]) -> Iterator[Package]:
    fields = dict(re.findall(r"^%(NAME|VERSION|ARCH)%\n(.*)$", _lines_of(texts[name]), re.MULTILINE))
    if fields.get("NAME"):
        yield Package(fields["NAME"], fields.get("VERSION", ""), fields.get("ARCH", ""))


def _rpm(name: str, texts: Mapping[str, bytes]) -> Iterator[Package]:
    """The schema of a foreign database is not trusted, and a question that takes too long is ended. What rpm has
    written last may be in the log beside the database (sqlite.org/wal.html)."""
    end = time.monotonic() + _SECONDS
    with TemporaryDirectory(prefix="vmgen-rpm-") as folder:
        path = Path(folder) / "rpmdb.sqlite"
        path.write_bytes(texts[name])
        if log := texts.get(f"{name}{_LOG}"):
            path.with_name(f"{path.name}{_LOG}").write_bytes(log)
        try:
            with closing(sqlite3.connect(path)) as database:
                if sys.version_info >= (3, 11):
                    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, PACKAGE_LIST.amount)
                database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                database.execute("PRAGMA trusted_schema = OFF")
                for (blob,) in database.execute("SELECT blob FROM Packages"):
                    package = _header(blob) if isinstance(blob, bytes) else None
                    if package is not None and package.name != "gpg-pubkey":
                        yield package
        except sqlite3.Error as error:
            raise ValueError(f"its database of packages cannot be read: {error}") from error


def _header(blob: bytes) -> Package | None:
    """None where it names no package."""
    if len(blob) < 8:
        return None
    count, size = struct.unpack_from(">II", blob)
    start = 8 + count * _ENTRY.size
    if start + size > len(blob):
        raise ValueError("a header of its database of packages is cut off")
    data, values = blob[start : start + size], {}
    for number in range(count):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        if tag in (_NAME, _VERSION, _RELEASE, _ARCH) and kind == _STRING and offset < size:
            values[tag] = data[offset:].split(b"\0", 1)[0].decode("utf-8", "replace")
        if tag == _EPOCH and kind == _INT32 and offset + 4 <= size:
            values[tag] = str(struct.unpack_from(">I", data, offset)[0])
    if _NAME not in values:
        return None
    epoch = f"{values[_EPOCH]}:" if values.get(_EPOCH, "0") != "0" else ""
    version = f"{epoch}{values.get(_VERSION, '')}-{values.get(_RELEASE, '')}"
    return Package(values[_NAME], version, values.get(_ARCH, ""))


def _lines_of(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r", "")
