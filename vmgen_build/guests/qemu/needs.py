"""What a machine in QEMU needs of this host beyond its programs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vmgen_build.errors import HostError
from vmgen_build.guests.qemu.host import KVM, firmware_of_host, power
from vmgen_build.host.needs import Lack, Need, Readiness


@dataclass(frozen=True, slots=True)
class Processor(Need):
    """KVM, and memory. An ordinary user may not open the device, which tells nothing of root."""

    def lack(self) -> Lack | None:
        try:
            accel = power().accel
        except HostError as error:
            return Lack(Readiness.NO, str(error).partition(";")[0], advice="Free some memory, or use a larger host.")
        if accel == "kvm" or (os.geteuid() != 0 and KVM.exists()):
            return None
        return Lack(
            Readiness.DEGRADED,
            "no KVM: machines run on an emulated processor, which takes many times as long",
            advice="Where the processor has virtualisation: modprobe kvm_intel or kvm_amd; in a virtual machine switch"
            " nested virtualisation on.",
        )


@dataclass(frozen=True, slots=True)
class Firmware(Need):
    def lack(self) -> Lack | None:
        if firmware_of_host():
            return None
        return Lack(Readiness.DEGRADED, "EFI firmware is missing: machines with firmware = efi do not boot", "ovmf")


MACHINE_HOST: tuple[Need, ...] = (Processor(), Firmware())
