"""What VMware's virtual hardware versions can hold.

Source: VMware's table "Hardware Features Available with Virtual Machine Compatibility Settings" (vSphere 6.5 to 8.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.plan.machine import Machine
from vmgen_build.recipe.problems import place
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.types.basic import show_size

GIB = 1 << 30

SINCE: Mapping[str, int] = {"nvme": 13, "sata": 10, "ide": 7, "pvscsi": 7, "vmxnet3": 7, "e1000e": 8, "efi": 8}
"""Recipe's word -> the first version that has it. IDE: disks; CD drives were always there."""

CPUS: Mapping[int, int] = {4: 4, 7: 8, 8: 32, 9: 64, 11: 128, 15: 256, 18: 768}
MEMORY: Mapping[int, int] = {4: 64, 7: 255, 8: 1011, 11: 4080, 13: 6128, 18: 24560}
ADAPTERS: Mapping[int, int] = {4: 4, 7: 10}
"""From which version on how many a machine can have; memory in GiB."""


def refuse_newer(recipe: Recipe, machine: Machine) -> None:
    """Raises RecipeError, at the line of each option that the recipe's hw_version is too old for."""
    problems = [*_devices(recipe), *_amounts(recipe, machine), *_adapters(recipe, machine)]
    if problems:
        raise RecipeError(problems)


def _devices(recipe: Recipe) -> Iterator[Problem]:
    hardware = recipe.hardware
    wanted = [(hardware.at("firmware"), place(("hardware",), "firmware"), hardware.firmware)]
    for disk in hardware.hdds.values():
        option, word = ("controller", disk.controller) if disk.type == "scsi" else ("type", disk.type)
        wanted.append((disk.at(option), place(("hardware", "hdds", disk.name), option), word))
    for eth in hardware.eths.values():
        wanted.append((eth.at("adapter"), place(("hardware", "eths", eth.name), "adapter"), eth.adapter))
    for where, path, word in wanted:
        if SINCE.get(word, 0) > hardware.hw_version:
            text = f"{word} came with hw_version {SINCE[word]}, and the recipe has {hardware.hw_version}"
            yield Problem(
                where,
                path,
                f"{text}; write hw_version = {SINCE[word]}, or another {path.split()[-1]}",
                code="hw-version",
            )


def _amounts(recipe: Recipe, machine: Machine) -> Iterator[Problem]:
    hardware = recipe.hardware
    cpus, memory = _most(CPUS, machine), _most(MEMORY, machine) * GIB
    if machine.cpus > cpus:
        text = f"{machine.cpus} are more than the {cpus} CPUs of hw_version {machine.hw_version}"
        yield Problem(
            hardware.at("num_cpu"), "[hardware] num_cpu", text + _advice(CPUS, machine.cpus), code="hw-version"
        )
    if machine.ram > memory:
        text = f"{show_size(machine.ram)} are more than the {show_size(memory)} of hw_version {machine.hw_version}"
        need = -(-machine.ram // GIB)
        yield Problem(
            hardware.at("ram"), "[hardware] ram", text + _advice(MEMORY, need, "less", " GiB"), code="hw-version"
        )


def _adapters(recipe: Recipe, machine: Machine) -> Iterator[Problem]:
    most = _most(ADAPTERS, machine)
    for nic in machine.nics[most : most + 1]:
        room = "hardware" if nic.name in recipe.hardware.eths else "network"
        section = recipe.hardware.eths.get(nic.name) or recipe.network.eths[nic.name]
        text = f"is one adapter more than the {most} of hw_version {machine.hw_version}"
        advice = _advice(ADAPTERS, len(machine.nics))
        yield Problem(section.where, place((room, "eths", nic.name)), text + advice, code="hw-version")


def _most(table: Mapping[int, int], machine: Machine) -> int:
    return [most for version, most in table.items() if version <= machine.hw_version][-1]


def _advice(table: Mapping[int, int], wanted: int, less: str = "fewer", unit: str = "") -> str:
    version = next((version for version, most in table.items() if most >= wanted), None)
    return f"; write hw_version = {version}, or {less}" if version else f"; {max(table.values())}{unit} are the most"
