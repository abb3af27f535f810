"""What Setup of Windows is answered for a recipe: the same settings as those of the steps, as far as it takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vmgen_build.catalogue.windows import VISTA
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.plan.answers import Answers, Slice, faults, usual_slices
from vmgen_build.plan.answers.nt import ARCHES
from vmgen_build.plan.computername import computer_name
from vmgen_build.plan.letters import letters_of
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret
from vmgen_build.systems.windows import DRIVER_FOLDERS, DRIVERS

LOCALE, KEYBOARD, TIME_ZONE = "en_US.UTF-8", "us", "Etc/UTC"
"""Where the recipe names none: Setup asks otherwise."""

CD_LETTERS = "DEFGH"
"""Of the drives that Setup may see the CD of drivers in: its own medium, the answers, drivers, tools, and one more."""

BUILT_NAME = "VMGEN-BUILD"
"""Of the computer, until a step gives it the recipe's."""

_MIB = 1 << 20

_FORMATS = {"ntfs": "NTFS", "vfat": "FAT32"}


def has_setup(recipe: Recipe) -> bool:
    """Whether Setup of Windows makes the machine: it comes from a medium, or from nothing that is named."""
    hardware = recipe.hardware
    return hardware.os.kind == "windows" and (hardware.base is None or hardware.is_installed)


def answers_of(recipe: Recipe, first_logon: tuple[str, ...] = ()) -> Answers:
    """Users are made by the steps, which are the same for a machine that Setup did not make.

    Raises RecipeError, at the recipe's line, for what no answer file can say.
    """
    config = recipe.config
    found = replace(
        _of_setup_alone(recipe, first_logon),
        computer_name=computer_name(recipe),
        administrator_password=config.root_passwd,
        locale=config.locale or LOCALE,
        keyboard=config.keyboard or KEYBOARD,
        time_zone=config.timezone or TIME_ZONE,
        updates=config.updates != "off",
    )
    return _checked(recipe, found)


def answers_of_build(recipe: Recipe, first_logon: tuple[str, ...], password: Secret) -> Answers:
    """The same where steps follow Setup in a build: what no step can do. All recipes that ask for no more than that
    take the same installed machine. password: of Administrator, until a step gives it the recipe's.

    Raises RecipeError as `answers_of`.
    """
    return _checked(recipe, replace(_of_setup_alone(recipe, first_logon), administrator_password=password))


def _of_setup_alone(recipe: Recipe, first_logon: tuple[str, ...]) -> Answers:
    system = recipe.hardware.os
    return Answers(
        nt=system.nt,
        arch=system.arch,
        computer_name=BUILT_NAME,
        server=system.server,
        locale=LOCALE,
        keyboard=KEYBOARD,
        time_zone=TIME_ZONE,
        product_key=recipe.config.product_key,
        image=recipe.hardware.edition or "",
        drivers=tuple(driver_folders(recipe)),
        firmware=recipe.hardware.firmware,
        slices=slices_of(recipe),
        first_logon=first_logon,
    )


def _checked(recipe: Recipe, found: Answers) -> Answers:
    problems = [Problem(*_place(recipe, field), text, code="answers") for field, text in faults(found)]
    if problems:
        raise RecipeError(problems)
    return found


def driver_folders(recipe: Recipe) -> Iterator[str]:
    """Where Setup looks for drivers, on a CD as virtio-win lays it out. It passes over those that are not there."""
    system = recipe.hardware.os
    if recipe.hardware.drivers is None:
        return
    folder = DRIVER_FOLDERS.get(system.version, system.version)
    for letter in CD_LETTERS:
        yield from (rf"{letter}:\{driver}\{folder}\{ARCHES[system.arch]}" for driver in DRIVERS)


def slices_of(recipe: Recipe) -> tuple[Slice, ...]:
    """Partitions of the first disk. Of a disk that the recipe does not part, Setup of XP and 2003 takes the whole; of
    another it takes the first partition, which must be there before it begins: the steps make those behind it."""
    machine = machine_of(recipe)
    drive = machine.drives[0]
    old = recipe.hardware.os.nt < VISTA
    firmware = recipe.hardware.firmware
    if not drive.volumes or (old and len(drive.volumes) == 1):
        return () if old else usual_slices(firmware)
    first = drive.volumes[0]
    size = first.size // _MIB if first.size else None
    begin = usual_slices(firmware, size, reserved=not old)
    begin = tuple(replace(one, label=first.label or one.label) if one.system else one for one in begin)
    return (*begin, *_further(machine))


def _further(machine: Machine) -> Iterator[Slice]:
    """Behind the system's partition."""
    drive, letters = machine.drives[0], letters_of(machine)
    for volume in drive.volumes[1:]:
        if volume.kind == "extended":
            yield Slice(kind="extended", size=volume.size // _MIB if volume.size else None, fs="")
            continue
        yield Slice(
            kind=volume.kind,
            size=volume.size // _MIB if volume.size else None,
            fs=_FORMATS.get(volume.fs or "", volume.fs or ""),
            label=volume.label or "",
            letter=letters[drive.name, volume.option],
        )


def _place(recipe: Recipe, field: str) -> tuple[Position, str]:
    """Line and option that a field of the answers comes from."""
    config, hardware = recipe.config, recipe.hardware
    options = {
        "computer_name": "hostname",
        "administrator_password": "root_passwd",
        "locale": "locale",
        "keyboard": "keyboard",
        "time_zone": "timezone",
        "product_key": "product_key",
    }
    if field in options:
        return config.at(options[field]), f"[config] {options[field]}"
    if field == "slices" and hardware.hdds:
        disk = next(iter(hardware.hdds.values()))
        return disk.where, f"[hardware.hdds.{disk.name}]"
    option = {"image": "edition", "firmware": "firmware", "drivers": "drivers"}.get(field, "os")
    return hardware.at(option), f"[hardware] {option}"
