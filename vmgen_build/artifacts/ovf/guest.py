"""Which operating system a machine's descriptor names: CIM's number and VMware's guestId.

The numbers are of the enumeration CIM_OperatingSystem.OSType. VMware's identifiers are those of the vSphere API's
VirtualMachineGuestOsIdentifier. A product knows only those of its own time, and the hardware version says which time
that is: an unknown one is a warning at the import at best, an older one of the same family costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.plan.machine import Machine
from vmgen_build.systems.parse import parse_system

_NEWEST = {
    "debian": ((22, 13), (20, 12), (17, 11), (13, 10), (11, 8), (10, 7), (8, 6), (7, 5)),
    "rhel": ((18, 9), (14, 8), (10, 7), (7, 6)),
    "centos": ((18, 9), (14, 8), (13, 7)),
}
"""Hardware version -> the newest release that its products know: 22 vSphere 9, 20 vSphere 8, 18 vSphere 7.0.1, 17
vSphere 7 and Workstation 16, 14 vSphere 6.7, 13 vSphere 6.5 and Workstation 14, 11 vSphere 6, 10 vSphere 5.5, 8
vSphere 5, 7 vSphere 4."""

_REBUILT = {"rocky": "rockylinux_", "almalinux": "almalinux_"}
"""Known since vSphere 8.0.0.1, whatever the release; RHEL, of which they are built, stands for them before."""

_CIM = {"debian": (95, 96), "ubuntu": (93, 94), "rhel": (79, 80), "centos": (106, 107), "linux": (36, 101)}
"""Numbers of the 32-bit and of the 64-bit system."""


@dataclass(frozen=True, slots=True)
class Guest:
    """cim: ovf:id of the OperatingSystemSection; os_type: vmw:osType."""

    cim: int
    os_type: str
    description: str


def guest_of(machine: Machine) -> Guest:
    system = parse_system(f"{machine.os}-{machine.arch}")
    if system.needs is not None:
        known = (name for since, name in system.needs.guest_ids if machine.hw_version >= since)
        name = next(known, system.needs.guest_ids[-1][1])
        return Guest(system.needs.cim, name, f"{system.title} ({machine.arch})")
    distribution, _, version = machine.os.partition("-")
    wide = machine.arch == "amd64"
    family = "rhel" if distribution in _REBUILT else distribution
    name = _name(distribution, version.partition(".")[0], machine.hw_version)
    bits = "_64" if name[-1].isdigit() else "64"
    return Guest(
        cim=_CIM.get(family, _CIM["linux"])[wide],
        os_type=f"{name}{bits if wide else ''}Guest",
        description=f"{distribution.capitalize()} {version} ({machine.arch})".replace("  ", " "),
    )


def annotation_of(machine: Machine) -> str:
    """What a person reads beside the machine."""
    return f"{machine.name}: {guest_of(machine).description}, made by vmgen-build"


def _name(distribution: str, version: str, hw_version: int) -> str:
    """The identifier's beginning. version: the first part of it."""
    if distribution in _REBUILT:
        return _REBUILT[distribution] if hw_version >= 20 else _release("rhel", version, hw_version)
    if distribution in _NEWEST:
        return _release(distribution, version, hw_version)
    return distribution if distribution in ("ubuntu", "fedora") else "otherLinux"


def _release(family: str, version: str, hw_version: int) -> str:
    """Of the release itself, or of the newest one before it that the products know."""
    newest = next((release for hardware, release in _NEWEST[family] if hw_version >= hardware), 0)
    if not newest:
        return "otherLinux"
    return f"{family}{min(int(version), newest) if version.isdigit() else newest}"
