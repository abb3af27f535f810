"""Windows: its editions, what each asks of its machine, and the generation of its commands.

Memory and disk are what libosinfo's database has as the least (osinfo-db, os/microsoft.com); guestIds are those of the
vSphere API's VirtualMachineGuestOsIdentifier, numbers those of CIM_OperatingSystem.OSType. A release that CIM has no
number for takes that of the nearest before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vmgen_build.systems.model import Edition, Family, Needs

_MIB, _GIB = 1 << 20, 1 << 30

_TEN = {"home": "Home", "pro": "Pro", "enterprise": "Enterprise", "education": "Education"}
_EIGHT = {"pro": "Pro", "enterprise": "Enterprise"}
_SEVEN = {"home": "Home Premium", "pro": "Professional", "enterprise": "Enterprise", "ultimate": "Ultimate"}
_VISTA = {"home": "Home Premium", "business": "Business", "enterprise": "Enterprise", "ultimate": "Ultimate"}
_XP = {"home": "Home Edition", "pro": "Professional"}
_SERVER = {"standard": "Standard", "datacenter": "Datacenter"}


class _Boots(NamedTuple):
    """What drivers of its own reach: kinds of Drive and adapters of Nic, the best first."""

    disks: tuple[str, ...]
    adapters: tuple[str, ...]


_OLD = _Boots(("ide",), ("pcnet32",))
_MIDDLE = _Boots(("sata", "ide", "lsilogic"), ("e1000", "e1000e"))
_NEW = _Boots(("sata", "ide", "nvme"), ("e1000e", "e1000"))

_BOTH = ("bios", "efi")

_CLIENT_7 = (7, "windows7_64Guest")
_CLIENT_8 = (8, "windows8_64Guest")
_CLIENT_10 = (11, "windows9_64Guest")
_SERVER_7 = (7, "windows7Server64Guest")
_SERVER_8 = (8, "windows8Server64Guest")
_SERVER_10 = (11, "windows9Server64Guest")
_SERVER_2019 = (17, "windows2019srv_64Guest")
_SERVER_2022 = (18, "windows2019srvNext_64Guest")
_SERVER_2025 = (20, "windows2022srvNext_64Guest")
_VISTA_IDS = (4, "winVista64Guest")
_LONGHORN = (4, "winLonghorn64Guest")


def _needs(
    cim: int, ids: tuple[tuple[int, str], ...], ram: int, disk: float, boots: _Boots, firmware: tuple[str, ...] = _BOTH
) -> Needs:
    """ram: MiB; disk: GiB."""
    size = int(disk * _GIB)
    return Needs(
        cim=cim, guest_ids=ids, ram=ram * _MIB, disk=size, disks=boots.disks, adapters=boots.adapters, firmware=firmware
    )


def _client(numbers: tuple[int, int], boots: _Boots, *ids: tuple[int, str]) -> Mapping[str, Needs]:
    """numbers: of the 32-bit and of the 64-bit system; ids: of the latter. The former starts from a BIOS alone here."""
    narrow = tuple((since, name.replace("_64Guest", "Guest").replace("64Guest", "Guest")) for since, name in ids)
    return {
        "i386": _needs(numbers[0], narrow, 1024, 16, boots, ("bios",)),
        "amd64": _needs(numbers[1], ids, 2048, 20, boots),
    }


def _old(
    numbers: tuple[int, int], guest: str, wide: str, ram: tuple[int, int], disk: tuple[float, float]
) -> Mapping[str, Needs]:
    return {
        "i386": _needs(numbers[0], ((4, guest),), ram[0], disk[0], _OLD, ("bios",)),
        "amd64": _needs(numbers[1], ((4, wide),), ram[1], disk[1], _OLD, ("bios",)),
    }


def _server(cim: int, *ids: tuple[int, str]) -> Mapping[str, Needs]:
    return {"amd64": _needs(cim, (*ids, _SERVER_8, _SERVER_7), 512, 32, _NEW)}


_VISTA_NEEDS = {
    "i386": _needs(73, ((4, "winVistaGuest"),), 512, 15, _MIDDLE, ("bios",)),
    "amd64": _needs(74, (_VISTA_IDS,), 512, 15, _MIDDLE, ("bios",)),
}
_2008_NEEDS = {
    "i386": _needs(76, ((4, "winLonghornGuest"),), 512, 10, _MIDDLE, ("bios",)),
    "amd64": _needs(77, (_LONGHORN,), 512, 10, _MIDDLE, ("bios",)),
}
_2008R2_NEEDS = {"amd64": _needs(103, (_SERVER_7, _LONGHORN), 512, 10, _MIDDLE)}
_11_NEEDS = {
    "amd64": Needs(
        cim=121,
        guest_ids=((20, "windows11_64Guest"), _CLIENT_10, _CLIENT_8, _CLIENT_7),
        ram=4096 * _MIB,
        disk=64 * _GIB,
        disks=_NEW.disks,
        adapters=_NEW.adapters,
        firmware=("efi",),
        tpm=True,
        secure_boot=True,
    )
}
_XP_NEEDS = _old((67, 71), "winXPProGuest", "winXPPro64Guest", (64, 256), (1.5, 1.5))
_2003_NEEDS = _old((69, 70), "winNetStandardGuest", "winNetStandard64Guest", (128, 512), (2, 4))
_7_NEEDS = _client((105, 105), _MIDDLE, _CLIENT_7, _VISTA_IDS)
_8_NEEDS = _client((114, 115), _NEW, _CLIENT_8, _CLIENT_7)
_81_NEEDS = _client((118, 119), _NEW, _CLIENT_8, _CLIENT_7)
_10_NEEDS = _client((120, 121), _NEW, _CLIENT_10, _CLIENT_8, _CLIENT_7)


_2016_NEEDS = _server(117, _SERVER_10)
_2019_NEEDS = _server(117, _SERVER_2019, _SERVER_10)
_2022_NEEDS = _server(117, _SERVER_2022, _SERVER_10)
_2025_NEEDS = _server(117, _SERVER_2025, _SERVER_2022, _SERVER_10)

DRIVER_FOLDERS: Mapping[str, str] = {
    "vista": "2k8",
    "7": "w7",
    "8": "w8",
    "8.1": "w8.1",
    "10": "w10",
    "11": "w11",
    "2008": "2k8",
    "2008r2": "2k8R2",
    "2012": "2k12",
    "2012r2": "2k12R2",
    "2016": "2k16",
    "2019": "2k19",
    "2022": "2k22",
    "2025": "2k25",
}
"""Version -> its folder of each driver on the CD of virtio-win, as viostor\\w10\\amd64. XP and 2003 take none from a
CD."""

DRIVERS = ("viostor", "vioscsi", "NetKVM", "vioserial", "Balloon")
"""Those of disks, of networks, of the guest agent's port, of memory."""

_GENERATIONS = {5: "xp", 6: "nt6", 10: "nt10"}
"""First part of the kernel's version -> generation."""


class _Row(NamedTuple):
    name: str
    version: str
    title: str
    nt: tuple[int, int]
    needs: Mapping[str, Needs]
    kinds: Mapping[str, str]


_ROWS = (
    _Row("winxp", "xp", "Windows XP", (5, 1), _XP_NEEDS, _XP),
    _Row("winxppro", "xp", "Windows XP Professional", (5, 1), _XP_NEEDS, {}),
    _Row("winvista", "vista", "Windows Vista", (6, 0), _VISTA_NEEDS, _VISTA),
    _Row("win7", "7", "Windows 7", (6, 1), _7_NEEDS, _SEVEN),
    _Row("win8", "8", "Windows 8", (6, 2), _8_NEEDS, _EIGHT),
    _Row("win8.1", "8.1", "Windows 8.1", (6, 3), _81_NEEDS, _EIGHT),
    _Row("win10", "10", "Windows 10", (10, 0), _10_NEEDS, _TEN),
    _Row("win11", "11", "Windows 11", (10, 0), _11_NEEDS, _TEN),
    _Row("winsrv2003", "2003", "Windows Server 2003", (5, 2), _2003_NEEDS, _SERVER),
    _Row("winsrv2008", "2008", "Windows Server 2008", (6, 0), _2008_NEEDS, _SERVER),
    _Row("winsrv2008r2", "2008r2", "Windows Server 2008 R2", (6, 1), _2008R2_NEEDS, _SERVER),
    _Row("winsrv2012", "2012", "Windows Server 2012", (6, 2), _server(113), _SERVER),
    _Row("winsrv2012r2", "2012r2", "Windows Server 2012 R2", (6, 3), _server(116), _SERVER),
    _Row("winsrv2016", "2016", "Windows Server 2016", (10, 0), _2016_NEEDS, _SERVER),
    _Row("winsrv2019", "2019", "Windows Server 2019", (10, 0), _2019_NEEDS, _SERVER),
    _Row("winsrv2022", "2022", "Windows Server 2022", (10, 0), _2022_NEEDS, _SERVER),
    _Row("winsrv2025", "2025", "Windows Server 2025", (10, 0), _2025_NEEDS, _SERVER),
)


def _edition(row: _Row) -> Edition:
    return Edition(
        name=row.name,
        version=row.version,
        arch="i386" if row.nt[0] == 5 else "amd64",
        title=row.title,
        generation=_GENERATIONS[row.nt[0]],
        needs=row.needs,
        kinds=row.kinds,
        nt=row.nt,
        server=row.name.startswith("winsrv"),
    )


FAMILY = Family(
    name="windows",
    rank=90,
    kind="windows",
    editions=tuple(_edition(row) for row in _ROWS),
    generations=("xp", "nt6", "nt10"),
    dialect="batch",
    templates="windows",
    step_folder=r"C:\Windows\Temp\vmgen",
    groups=frozenset({"administrators", "users", "guests", "remote desktop users", "power users"}),
    admin_group="administrators",
    several_gateways=True,
)
