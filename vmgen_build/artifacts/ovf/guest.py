"""Which operating system a machine's descriptor names: CIM's number and VMware's guestId.

The numbers are of the enumeration CIM_OperatingSystem.OSType. VMware's identifiers are those of the vSphere API's
VirtualMachineGuestOsIdentifier. A product knows only those of its own time, and the hardware version says which time
that is: an unknown one is a warning at the import at best, an older one of the same family costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.plan.machine import Machine

_NEWEST_DEBIAN = ((22, 13), (20, 12), (17, 11), (13, 10), (11, 8), (10, 7), (8, 6), (7, 5))
"""Hardware version -> the newest Debian that its products know: 22 vSphere 9, 20 vSphere 8, 17 vSphere 7 and
Workstation 16, 13 vSphere 6.5 and Workstation 14, 11 vSphere 6, 10 vSphere 5.5, 8 vSphere 5, 7 vSphere 4."""

_CIM = {"debian": (95, 96), "ubuntu": (93, 94), "linux": (36, 101)}
"""Numbers of the 32-bit and of the 64-bit system."""


@dataclass(frozen=True, slots=True)
class Guest:
    """cim: ovf:id of the OperatingSystemSection; os_type: vmw:osType."""

    cim: int
    os_type: str
    description: str


def guest_of(machine: Machine) -> Guest:
    distribution, _, version = machine.os.partition("-")
    wide = machine.arch == "amd64"
    family = distribution if distribution in _CIM else "linux"
    name = {"debian": _debian(version, machine.hw_version), "ubuntu": "ubuntu"}.get(family, "otherLinux")
    bits = "_64" if name[-1].isdigit() else "64"
    return Guest(
        cim=_CIM[family][wide],
        os_type=f"{name}{bits if wide else ''}Guest",
        description=f"{distribution.capitalize()} {version} ({machine.arch})".replace("  ", " "),
    )


def _debian(version: str, hw_version: int) -> str:
    """The identifier's beginning: of the release itself, or of the newest one before it that the products know."""
    newest = next((debian for hardware, debian in _NEWEST_DEBIAN if hw_version >= hardware), 0)
    if not newest:
        return "otherLinux"
    return f"debian{min(int(version), newest) if version.isdigit() else newest}"
