"""What the step modules make their steps from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vmgen_build.catalogue.programs import Program
from vmgen_build.installers import Installer, find_installer
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.systems.model import Family, System


@dataclass(frozen=True)
class Facts:
    """What the host found out before planning.

    release: digest of the archive's Release files. epoch: SOURCE_DATE_EPOCH, seconds.
    repositories: name of a recipe's own repository -> digest of its Release file.
    os_template: name of an OS template of others that the base is, "" for none; os_template_digest: its sha256.
    node: the program of the node that a base made here goes to, as in Family.node_packages; "" for none.
    """

    release: str = "unknown"
    epoch: int = 0
    repositories: Mapping[str, str] = field(default_factory=dict)
    os_template: str = ""
    os_template_digest: str = ""
    node: str = ""


@dataclass(frozen=True)
class PlanContext:
    """programs: every wish of the recipe that the system can meet, in the recipe's order."""

    recipe: Recipe
    system: System
    facts: Facts
    programs: tuple[tuple[Wish, Program], ...]
    renderer: Renderer

    @property
    def family(self) -> Family:
        return self.system.family

    @property
    def installer(self) -> Installer | None:
        """None where this version does not drive the system's package manager."""
        return find_installer(self.system)


class LeftOut(NamedTuple):
    """What the recipe asks for and the plan does not do: section, program or setting, reason."""

    section: str
    what: str
    reason: str


def guest_renderer(recipe: Recipe, templates: Path | None) -> Renderer:
    """Renders scripts of the recipe's guest; templates: as in planner.make_plan."""
    return Renderer(override_folder(recipe.folder, templates), step_folder=recipe.hardware.os.family.step_folder)


def full_host_name(recipe: Recipe) -> str:
    """The host name as the recipe gives it, maybe with a domain; made from vm_id by default: a number N becomes vmN."""
    if recipe.config.hostname:
        return recipe.config.hostname
    name = re.sub(r"[^A-Za-z0-9-]+", "-", recipe.name).strip("-")[:63].rstrip("-")
    return f"vm{name}" if not name or name.isdigit() else name


def host_name(recipe: Recipe) -> str:
    """The host name proper, without its domain: what /etc/hostname and uname(2) hold."""
    return full_host_name(recipe).partition(".")[0]
