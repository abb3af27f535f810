"""The recipe as a typed, checked, frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmgen_build.catalogue.catalogue import Catalogue, known_programs
from vmgen_build.errors import Problem
from vmgen_build.recipe.schema import Section
from vmgen_build.recipe.sections.config import Config
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.sections.network import Network
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.recipe.sections.users import Users


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """path: as the user named it. digest: sha256 over all values of the recipe, its profiles and --set, the secret
    ones left out (recipe.digest).

    wishes: programs asked for, in the recipe's order; catalogue: what they mean. others: every further section by
    name; steps of one's own read them there.
    warnings: what is odd but builds.
    """

    path: Path
    digest: str
    hardware: Hardware
    network: Network
    users: Users
    config: Config
    wishes: tuple[Wish, ...]
    catalogue: Catalogue = field(default_factory=known_programs, compare=False, repr=False)
    others: Mapping[str, Section] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        return self.hardware.vm_id

    @property
    def folder(self) -> Path:
        """What paths in the recipe are relative to."""
        return self.path.parent
