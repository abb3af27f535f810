"""What the parts of a recipe must hold together, beyond each option by itself.

Every module here has `check(draft, problems)`; all are run. A check leaves alone what could not be read.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass

from vmgen_build.catalogue.catalogue import Catalogue
from vmgen_build.errors import Position
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.sections.config import Config
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.sections.network import Network
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.recipe.sections.users import Users
from vmgen_build.systems.model import System


@dataclass(frozen=True)
class Draft:
    """A recipe as read, before it is known to be right. system: None where os could not be read. catalogue: what the
    wishes mean."""

    hardware: Hardware
    network: Network
    users: Users
    config: Config
    wishes: tuple[Wish, ...]
    catalogue: Catalogue

    @property
    def system(self) -> System | None:
        return None if "os" in self.hardware.faulty else self.hardware.os


def run(draft: Draft, problems: Problems) -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}").check(draft, problems)


def unique(found: Iterable[tuple[object, Position, str]], what: str, problems: Problems) -> None:
    """Report each (value, where, path) whose value came before; None never repeats."""
    first: dict[object, Position] = {}
    for value, where, path in found:
        if value is None:
            continue
        if value in first:
            problems.error(
                where,
                path,
                f"{what} '{value}' stands already at {_line(first[value], where)}; give another",
                "duplicate",
            )
        else:
            first[value] = where


def _line(first: Position, other: Position) -> str:
    return f"line {first.line}" if first.file == other.file and first.line else str(first)
