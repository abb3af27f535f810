"""All that an answer file says, as data."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.catalogue.windows import VISTA, Version
from vmgen_build.secret import Secret

TEN: Version = (10, 0)

_ESP, _MSR, _RESERVED = 260, 16, 350
"""MiB. The ESP's is what disks of 4 KiB sectors need as FAT32; the reserved one's is what Windows 8 makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A partition of the system disk, in the disk's order.

    kind: "primary", "extended", "logical", and of EFI "efi" and "msr". size: MiB, None for the rest. fs: "NTFS",
    "FAT32" or "" for none. letter: "C", or "". system: whether Windows goes there. active: whether a BIOS starts it.
    """

    kind: str = "primary"
    size: int | None = None
    fs: str = "NTFS"
    label: str = ""
    letter: str = ""
    system: bool = False
    active: bool = False


def usual_slices(firmware: str, size: int | None = None, reserved: bool = True) -> tuple[Slice, ...]:
    """What comes before further partitions of the recipe, C: with it. size: of C:, MiB. reserved: whether a BIOS finds
    its loader on a partition of its own, as Setup makes it where it is left alone."""
    windows = Slice(size=size, label="Windows", letter="C", system=True)
    if firmware == "efi":
        esp = Slice(kind="efi", size=_ESP, fs="FAT32", label="System")
        return esp, Slice(kind="msr", size=_MSR, fs=""), windows
    if reserved:
        return Slice(size=_RESERVED, label="System Reserved", active=True), windows
    return (Slice(size=size, label="Windows", letter="C", system=True, active=True),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """nt: version of Windows' kernel: (5, 1) of XP, (5, 2) of 2003, (6, 0) of Vista and 2008, (6, 1) of 7 and 2008 R2,
    (6, 2) of 8 and 2012, (6, 3) of 8.1 and 2012 R2, (10, 0) of 10, 11, 2016 and later.

    arch: in Debian's words, "i386", "amd64" or "arm64". server: whether it is a Windows Server. computer_name: "*" for
    a name that Windows makes up. owner, organisation: whom it is registered to. administrator: the name of the built-in
    account in the installed language; administrator_password: None where Setup sets none.
    locale: as "ro_RO.UTF-8"; keyboard: as "ro" or "de:nodeadkeys"; time_zone: as "Europe/Bucharest"; ui_language: tag
    of a language that the medium holds.
    image: number or name of the image on the medium, "" where it holds one alone. firmware: "bios" or "efi". slices: of
    the system disk, which is wiped; XP's Setup makes one of the whole disk, or takes the first of those that are there
    already where several are named. drivers: folders that Setup looks in for drivers of disks and networks.
    commands: what runs as SYSTEM before the first logon, from Vista on. first_logon: what runs, one after the other,
    when Administrator is logged on, once and by itself. updates: whether Windows updates itself from the start.
    """

    nt: Version
    arch: str
    computer_name: str
    server: bool = False
    owner: str = "Owner"
    organisation: str = ""
    workgroup: str = "WORKGROUP"
    administrator: str = "Administrator"
    administrator_password: Secret | None = None
    locale: str = "en_US.UTF-8"
    keyboard: str = "us"
    time_zone: str = "Etc/UTC"
    ui_language: str = "en-US"
    product_key: Secret | None = None
    image: str = ""
    firmware: str = "bios"
    slices: tuple[Slice, ...] = ()
    drivers: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    first_logon: tuple[str, ...] = ()
    updates: bool = False

    @property
    def generation(self) -> str:
        """ "xp", "nt6" or "nt10": the folder of its templates."""
        if self.nt < VISTA:
            return "xp"
        return "nt6" if self.nt < TEN else "nt10"
