"""The drives of a machine that Setup of Windows makes by hand, with the media that it begins from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.catalogue.hardware import CD_BUS, cd_positions
from vmgen_build.catalogue.windows import VISTA
from vmgen_build.errors import Problem, RecipeError
from vmgen_build.plan.machine import CdDrive, FirstStart, Machine
from vmgen_build.recipe.recipe import Recipe

MEDIUM = "the medium of Windows"
"""What it is called where the recipe names none."""


@dataclass(frozen=True, slots=True)
class SetupDrives:
    """machine: with the media in its CD drives, as far as it has places for them. own: names of those that are the
    user's. medium: of them, the one of Windows, "" where the recipe names none: its drive is empty then. left: names
    that no drive was left for. drive: where the medium's hangs, as VMX names it."""

    machine: Machine
    first: FirstStart
    own: tuple[str, ...]
    medium: str
    left: tuple[str, ...]
    drive: str


def with_media(recipe: Recipe, machine: Machine) -> SetupDrives:
    """All lie beside the machine, by their own names. The medium of Windows is in the first of the drives that the
    recipe has no use for.

    Raises RecipeError, at the line of one that has the name of another.
    """
    hardware = recipe.hardware
    medium = Path(hardware.base.name).name if hardware.base is not None else ""
    others = dict(_further(recipe))
    _check_names(recipe, machine, {"base": medium, **others})
    wanted = (medium, f"{machine.name}-setup.iso", *others.values())
    taken = {(drive.index, drive.unit) for drive in machine.drives if drive.bus == CD_BUS} | {*machine.cd_positions()}
    places = cd_positions(taken)[: len(wanted)]
    added = [(sorted(places).index(place), place) for place in places]
    cds = tuple(
        CdDrive(name=f"setup{number}", image=wanted[number] or None, connected=bool(wanted[number]))
        for number, _ in added
    )
    floppy = f"{machine.name}-setup.img" if hardware.os.nt < VISTA else ""
    return SetupDrives(
        machine=replace(machine, cds=(*machine.cds, *cds)),
        first=FirstStart(floppy=floppy),
        own=tuple(filter(None, (medium, *others.values(), *(cd.file for cd in machine.cds)))),
        medium=medium,
        left=tuple(name or MEDIUM for name in wanted[len(places) :]),
        drive="{}{}:{}".format(CD_BUS, *min(places)) if places else "",
    )


def _further(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Option and name of what else goes into a drive: one CD may bring both. Tools that are no CD are on ours."""
    hardware = recipe.hardware
    if hardware.drivers:
        yield "drivers", hardware.drivers.name
    if hardware.tools and hardware.tools.suffix.lower() == ".iso" and hardware.tools != hardware.drivers:
        yield "tools", hardware.tools.name


def _check_names(recipe: Recipe, machine: Machine, given: dict[str, str]) -> None:
    """given: option -> name."""
    ours = [f"{machine.name}-setup.iso", f"{machine.name}-setup.img"]
    names = [*ours, *(drive.file for drive in machine.drives), *(cd.file for cd in machine.cds)]
    for option, name in given.items():
        if name and name in names:
            text = f"another file beside the machine is called '{name}' too; give one of them another name"
            text += ", or take it out where it is the same"
            raise RecipeError([Problem(recipe.hardware.at(option), f"[hardware] {option}", text, code="media")])
        names.append(name)
