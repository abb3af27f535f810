"""What the host finds out for a plan, which itself is pure: the archive's state and its date."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from vmgen_build.bases.soundkeys import keys_of_repositories
from vmgen_build.bases.supply import Request, Supply, base_maker, known_supply
from vmgen_build.bases.vendorkeys import vendor_key
from vmgen_build.errors import BuildError, HostError, UsageError
from vmgen_build.plan.context import Facts
from vmgen_build.plan.vendors import as_repository, vendor_repositories
from vmgen_build.recipe.recipe import Recipe


def facts_for(recipe: Recipe, cache: Path, *, offline: bool) -> Facts:
    """What the archive and the recipe's own repositories hold. Raises BuildError naming what does not answer, and as
    keys_of_repositories does."""
    system, config = recipe.hardware.os, recipe.config
    vendors = {
        name: as_repository(vendor, vendor_key(vendor, cache, offline=offline), system)
        for name, vendor in vendor_repositories(recipe).items()
    }
    judged = keys_of_repositories(recipe, vendors)
    supply = _asked(recipe)
    if supply is None:
        return Facts(epoch=_epoch(0), vendors=vendors, repository_keys=judged)
    request = Request(system, config.mirror, 0)
    found = supply.facts(request, {**vendors, **config.repos}, cache, offline=offline)
    keys = recipe.hardware.base_key if recipe.hardware.base is None else None
    return replace(found, epoch=_epoch(found.epoch), keys=keys, vendors=vendors, repository_keys=judged)


def facts_at_hand(recipe: Recipe, cache: Path, *, offline: bool) -> Facts:
    """The same for those who only look (compile, --dry-run): what is known already, else asked for, else none."""
    for known_alone in (True, False) if not offline else (True,):
        try:
            return facts_for(recipe, cache, offline=known_alone)
        except (BuildError, HostError):
            continue
    return Facts(epoch=_epoch(0))


def archive_is_known(recipe: Recipe, facts: Facts) -> bool:
    """Whether these facts came from the archive that the recipe's system is made of, where it is made of one."""
    return _asked(recipe) is None or facts.release != Facts().release


def _asked(recipe: Recipe) -> type[Supply] | None:
    """Who knows what the system's archives hold; None where the system is made of none of them."""
    system, config = recipe.hardware.os, recipe.config
    maker = base_maker(system)
    if maker is None and (system.archives or config.mirror):
        return known_supply(system)
    return maker and maker[0]


def _epoch(date: int) -> int:
    """SOURCE_DATE_EPOCH where the environment has it (https://reproducible-builds.org/specs/source-date-epoch/)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return date
    if not given.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH={given}: it must be a number of seconds since 1970")
    return int(given)
