"""Options of Windows guests alone, and media that Windows is installed from."""

from __future__ import annotations

from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.schema import Section
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.systems.model import System

_OF_MEDIA = ("edition", "drivers", "tools")
_OF_CONFIG = ("product_key", "updates", "remote_desktop", "power", "generalise")
_OF_LINUX = ("images", "template")
"""Kinds of bases that hold a root file system of Linux."""


def check(draft: Draft, problems: Problems) -> None:
    system, hardware = draft.system, draft.hardware
    if system is None:
        return
    if system.kind != "windows":
        _of_another_system(draft, system, problems)
        return
    if "base" in hardware.faulty:
        return
    if hardware.base is not None and hardware.base.kind in _OF_LINUX:
        text = f"{hardware.base} holds a root file system of Linux; write base = iso:FILE, vm:NAME or a disk image"
        problems.error(hardware.at("base"), "[hardware] base", text, "base")
        return
    from vmgen_build.catalogue.windows import VISTA

    if hardware.is_started:
        _spoken_to(hardware, system, problems)
    if not hardware.is_installed:
        for option in _given(hardware, _OF_MEDIA):
            text = "is of a medium that Windows is installed from; write base = iso:FILE, or take this line out"
            problems.error(hardware.at(option), f"[hardware] {option}", text, "base")
    elif system.nt < VISTA and _given(hardware, ("edition",)):
        text = f"a medium of {system.title} holds one edition, which Setup installs; take this line out"
        problems.error(hardware.at("edition"), "[hardware] edition", text, "base")


def _spoken_to(hardware: Hardware, system: System, problems: Problems) -> None:
    """A machine that is started as it is."""
    text = (
        f"a step gives {system.name} other addresses; take this line out: VMware Tools run its steps, or QEMU's agent"
    )
    if hardware.communicator == "ssh":
        problems.error(hardware.at("communicator"), "[hardware] communicator", text, "login")
    elif hardware.login_key is not None:
        text = f"VMware Tools, which run the steps of {system.name}, take no key; write login_password"
        problems.error(hardware.at("login_key"), "[hardware] login_key", text, "login")


def _of_another_system(draft: Draft, system: System, problems: Problems) -> None:
    hardware = draft.hardware
    if hardware.is_installed:
        text = f"iso: is for Windows, which its own Setup puts in; of {system.name} name a disk image, or"
        text += " take this line out: it is made of packages" if system.base else " an image server's as images:ALIAS"
        problems.error(hardware.at("base"), "[hardware] base", text, "base")
    places: tuple[tuple[str, Section, tuple[str, ...]], ...] = (
        ("hardware", hardware, _OF_MEDIA),
        ("config", draft.config, _OF_CONFIG),
    )
    for name, section, options in places:
        for option in _given(section, options):
            text = f"is of Windows alone, and does nothing in {system.name}; take this line out"
            problems.warn(section.at(option), f"[{name}] {option}", text, "unused")


def _given(section: Section, options: tuple[str, ...]) -> list[str]:
    return [option for option in options if option in section.places and option not in section.faulty]
