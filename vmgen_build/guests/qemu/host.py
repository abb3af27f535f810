"""What this host has for a machine in QEMU: hardware virtualisation or not, memory, firmware for EFI."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.guests.qemu.args import MIB, Power
from vmgen_build.host.memory import available
from vmgen_build.host.system import how_to_get

KVM = Path("/dev/kvm")

KVM_CREATE_VM = 0xAE01
"""ioctl of /dev/kvm (linux/kvm.h)."""

RESERVE = 256 * MIB
"""Memory that stays with the host: QEMU's own, and the name server's."""

LEAST = 128 * MIB

FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
)
"""Code and empty variables of OVMF, as Debian (new, old), Fedora and Arch place them."""

ACCELERATORS = {"kvm": "KVM", "tcg": "TCG, an emulated processor"}


def power() -> Power:
    """Raises HostError where there is too little memory for any machine."""
    memory = available() - RESERVE
    if memory < LEAST:
        raise HostError(f"too little memory to boot a machine: {memory // MIB} MiB are left; free some")
    return Power("kvm" if _has_kvm() else "tcg", len(os.sched_getaffinity(0)), memory)


def firmware_of_host() -> tuple[Path, Path] | None:
    """OVMF's code and its empty variables; None where they are not there."""
    pairs = ((Path(code), Path(variables)) for code, variables in FIRMWARE)
    return next(((code, variables) for code, variables in pairs if code.is_file() and variables.is_file()), None)


def own_firmware(scratch: Path) -> tuple[Path, Path]:
    """OVMF's code, and a copy of its variables. Raises HostError."""
    found = firmware_of_host()
    if found is not None:
        return found[0], Path(shutil.copyfile(found[1], scratch / "variables.fd"))
    raise HostError(f"this host lacks OVMF (EFI firmware for the machine that boots); {how_to_get(['ovmf'])}")


def _has_kvm(cpuinfo: Path = Path("/proc/cpuinfo"), device: Path = KVM) -> bool:
    """Whether a processor's own virtualisation is there. A /dev/kvm without it (a PVM kernel's, in a guest of a cloud)
    makes machines, but slower ones than TCG does."""
    if re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo.read_text(), re.MULTILINE) is None:
        return False
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(fcntl.ioctl(fd, KVM_CREATE_VM, 0))
        return _opens_for_others(os.fstat(fd))
    except OSError:
        return False
    finally:
        os.close(fd)


def _opens_for_others(status: os.stat_result) -> bool:
    """Whether QEMU, which does not run as root, may open the device: as its group, or as everybody."""
    by_group = status.st_gid != 0 and status.st_mode & 0o060 == 0o060
    return os.geteuid() != 0 or by_group or status.st_mode & 0o006 == 0o006
