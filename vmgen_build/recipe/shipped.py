"""The profiles that ship: what each is for, and what it brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmgen_build import resources
from vmgen_build.errors import UsageError
from vmgen_build.recipe import ini
from vmgen_build.recipe.problems import Problems, did_you_mean
from vmgen_build.recipe.sections.programs import PROGRAM_SECTIONS
from vmgen_build.recipe.source import read_text
from vmgen_build.recipe.types.basic import FALSE


@dataclass(frozen=True, slots=True)
class Profile:
    """about: its first comment, without the name. programs: section -> names that it asks for, in its own order.
    text: the whole file."""

    name: str
    about: str
    programs: Mapping[str, tuple[str, ...]]
    text: str

    def asks_for(self, program: str) -> bool:
        return any(program in names for names in self.programs.values())


def profile_names(beside: Path | None = None) -> tuple[str, ...]:
    """Of those that ship, in the order of the alphabet. beside: a recipe's folder, whose own are among them."""
    folders = (resources.recipes_dir(), *([beside] if beside is not None else []))
    return tuple(sorted({path.stem for folder in folders for path in (folder / "profiles").glob("*.ini")}))


def shipped_profile(name: str) -> Profile:
    """Raises UsageError for one that does not ship."""
    known = profile_names()
    if name not in known:
        near = did_you_mean(name, known)
        raise UsageError(f"there is no profile '{name}'{near or '; known are ' + ', '.join(known)}")
    file = f"profile {name}"
    text = read_text(resources.recipes_dir() / "profiles" / f"{name}.ini", file)
    root = ini.parse(text, file, Problems(file)).root
    sections = {section: root.sections[section] for section in PROGRAM_SECTIONS if section in root.sections}
    programs = {
        section: tuple(value.key for value in found.values.values() if value.text.lower() not in FALSE)
        for section, found in sections.items()
    }
    return Profile(name, _about(text), programs, text)


def _about(text: str) -> str:
    first, _, _ = text.partition("\n")
    about, _, _ = first.lstrip("# ").partition(": profiles")
    return about
