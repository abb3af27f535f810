"""What the step modules make their steps from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vmgen_build.catalogue.programs import Program
from vmgen_build.installers import Installer, Manner, find_installer
from vmgen_build.plan.text.quote import SH, Dialect
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.recipe.sections.programs import Wish
from vmgen_build.systems.model import Family, System

if TYPE_CHECKING:
    from vmgen_build.plan.bases import Medium, PlacedMachine, Root


@dataclass(frozen=True)
class Facts:
    """What the host found out before planning.

    release: digest of the archive's Release files. epoch: SOURCE_DATE_EPOCH, seconds.
    repositories: name of a recipe's own repository -> digest of its Release file.
    os_template: name of an OS template of others that the base is, "" for none; os_template_digest: its sha256.
    root: a root of others that the base is made of, None for none; source: where it comes from, for people.
    started: whether that is a whole machine, which is started as it is; communicator: how it is spoken to, where the
    recipe leaves that open.
    media: what Setup of Windows is run from in a build, as InstalledMachine has it; {} where it is not run.
    setup_key: where that machine is spoken to by a login, the name of the key that its password is made of; "" where it
    needs none.
    vendors: repositories of vendors that programs of the recipe come from, by name, with their keys in the cache.
    repository_keys: name of such a repository, or of a vendor's -> its keys as a guest may have them (bases.soundkeys);
    where it stands not here, the file is taken as it is: a plan that is only looked at.
    keys: file of this host with the keys that a base of the family's packages is checked by; None for those known.
    node: the program of the node that a base made here goes to, as in Family.node_packages; "" for none.
    agent: where the plan runs in a whole machine, the script in it that takes the build's orders; "" anywhere else.
    login: where the hypervisor's tools take the orders, the account of uid 0 that they take them for, and that the
    script, which runs once at each boot, lets in; "" where the script takes them itself.
    """

    release: str = "unknown"
    epoch: int = 0
    repositories: Mapping[str, str] = field(default_factory=dict)
    os_template: str = ""
    os_template_digest: str = ""
    root: Root | PlacedMachine | None = None
    source: str = ""
    started: bool = False
    communicator: str = "ssh"
    media: Mapping[str, Medium] = field(default_factory=dict)
    setup_key: str = ""
    vendors: Mapping[str, Repository] = field(default_factory=dict)
    repository_keys: Mapping[str, bytes] = field(default_factory=dict)
    keys: Path | None = None
    node: str = ""
    agent: str = ""
    login: str = ""


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


def manner(recipe: Recipe) -> Manner:
    """How the recipe wants its packages installed."""
    config = recipe.config
    return Manner(recommends=config.recommends, tolerant=config.failed_scripts == "ignore")


def guest_renderer(recipe: Recipe, templates: Path | None) -> Renderer:
    """Renders scripts of the recipe's guest; templates: as in planner.make_plan."""
    family = recipe.hardware.os.family
    override = override_folder(recipe.folder, templates)
    return Renderer(override, _dialect(family), step_folder=family.step_folder)


def _dialect(family: Family) -> Dialect:
    """How values are quoted in its scripts."""
    if family.dialect == "sh":
        return SH
    from vmgen_build.plan.text.batch import BATCH

    return {"batch": BATCH}[family.dialect]


def full_host_name(recipe: Recipe) -> str:
    """The host name as the recipe gives it, maybe with a domain; made from vm_id by default: a number N becomes vmN."""
    if recipe.config.hostname:
        return recipe.config.hostname
    name = re.sub(r"[^A-Za-z0-9-]+", "-", recipe.name).strip("-")[:63].rstrip("-")
    return f"vm{name}" if not name or name.isdigit() else name


def host_name(recipe: Recipe) -> str:
    """The host name proper, without its domain: what /etc/hostname and uname(2) hold."""
    return full_host_name(recipe).partition(".")[0]
