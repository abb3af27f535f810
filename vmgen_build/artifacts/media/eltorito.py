"""What a CD starts a machine by: "El Torito" Bootable CD-ROM Format Specification 1.0, and UEFI 2.10, 13.3.2.1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmgen_build.host.regular import open_regular

SECTOR = 2048

_RECORD = 17
"""The sector of the boot record (El Torito, 2.0)."""

_MARK = b"\0CD001\1EL TORITO SPECIFICATION"
_ENTRY = 32
_PLATFORMS = {0: "bios", 0xEF: "efi"}
_HEADERS = (0x90, 0x91)


@dataclass(frozen=True, slots=True)
class BootCatalog:
    """maker: who made the medium, as it says itself. firmware: "bios", "efi": those that it can be started by."""

    maker: str
    firmware: frozenset[str]


def boot_catalog(path: Path) -> BootCatalog | None:
    """Of an ISO image; None where it starts no machine. Raises OSError where it cannot be read."""
    with open_regular(path) as file:
        file.seek(_RECORD * SECTOR)
        record = file.read(SECTOR)
        if not record.startswith(_MARK):
            return None
        file.seek(int.from_bytes(record[0x47:0x4B], "little") * SECTOR)
        catalog = file.read(SECTOR)
    entries = [catalog[at : at + _ENTRY] for at in range(0, len(catalog) - _ENTRY + 1, _ENTRY)]
    if not entries or entries[0][:1] != b"\1" or entries[0][30:32] != b"\x55\xaa":
        return None
    headers = [entries[0], *(entry for entry in entries[2:] if entry[0] in _HEADERS)]
    known = {_PLATFORMS.get(header[1], "") for header in headers} - {""}
    return BootCatalog(entries[0][4:28].decode("ascii", "replace").strip(" \0"), frozenset(known))
