"""[devel], [services], [gui]: programs by name. [network] takes programs too."""

from __future__ import annotations

from dataclasses import dataclass, field

from vmgen_build.errors import Position
from vmgen_build.recipe.schema import NOWHERE, Section, recipe_section

PROGRAM_SECTIONS = ("network", "devel", "services", "gui")


@dataclass(frozen=True, slots=True)
class Wish:
    """A program that the recipe asks for.

    section: where it stands. name: as the user wrote it. choice: the value where it names one (mail_client =
    mozilla-thunderbird), else None; choice_where: where that stands. A program set to 0 or no is no wish.
    """

    section: str
    name: str
    where: Position
    choice: str | None = None
    choice_where: Position = field(default=NOWHERE, compare=False)


@recipe_section("devel", programs=True)
@dataclass(frozen=True, kw_only=True)
class Devel(Section):
    """Development tools."""


@recipe_section("services", programs=True)
@dataclass(frozen=True, kw_only=True)
class Services(Section):
    """Services; those asked for run at boot."""


@recipe_section("gui", programs=True)
@dataclass(frozen=True, kw_only=True)
class Gui(Section):
    """Programs with windows."""
