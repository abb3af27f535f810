"""What a system asks of its machine that brings its own installation: memory, disk, firmware, drivers."""

from __future__ import annotations

from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import Problems, place
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.types.basic import show_size
from vmgen_build.systems.model import Needs, System


def check(draft: Draft, problems: Problems) -> None:
    system = draft.system
    if system is None or system.needs is None:
        return
    _amounts(draft.hardware, system, system.needs, problems)
    _firmware(draft.hardware, system, system.needs, problems)
    _drivers(draft.hardware, system, system.needs, problems)


def _amounts(hardware: Hardware, system: System, needs: Needs, problems: Problems) -> None:
    if hardware.ram is not None and hardware.ram < needs.ram:
        text = f"{system.title} takes at least {show_size(needs.ram)}; write ram = {needs.ram >> 20}"
        problems.error(hardware.at("ram"), "[hardware] ram", text, "needs")
    disk = next(iter(hardware.hdds.values()), None)
    if disk is not None and disk.size is not None and disk.size < needs.disk:
        text = f"{system.title} takes at least {show_size(needs.disk)}; write a larger size, or none"
        problems.error(disk.at("size"), place(("hardware", "hdds", disk.name), "size"), text, "needs")


def _firmware(hardware: Hardware, system: System, needs: Needs, problems: Problems) -> None:
    if hardware.firmware not in needs.firmware and "firmware" not in hardware.faulty:
        text = f"{system.title} for {system.arch} does not start from {hardware.firmware}; write firmware = "
        problems.error(hardware.at("firmware"), "[hardware] firmware", text + needs.firmware[0], "needs")


def _drivers(hardware: Hardware, system: System, needs: Needs, problems: Problems) -> None:
    """Devices that the system finds by drivers that come later are warned about: its hypervisor's tools bring them."""
    first = next(iter(hardware.hdds.values()), None)
    kind = "" if first is None or "type" in first.faulty else first.type
    kind = first.controller if first is not None and kind == "scsi" else kind
    if first is not None and kind and kind not in needs.disks:
        option = "controller" if first.type == "scsi" and "controller" in first.places else "type"
        text = f"Setup of {system.title} has no driver for {kind}; write type = {needs.disks[0]}, or bring one to Setup"
        problems.warn(first.at(option), place(("hardware", "hdds", first.name), option), text, "no-driver")
    for eth in hardware.eths.values():
        if eth.adapter not in needs.adapters and "adapter" not in eth.faulty:
            text = (
                f"{system.title} has no driver for {eth.adapter}: there is no network before the hypervisor's tools are"
                f" there; write adapter = {needs.adapters[0]}"
            )
            problems.warn(eth.at("adapter"), place(("hardware", "eths", eth.name), "adapter"), text, "no-driver")
