"""The families of guest systems: a module of this package each, as FAMILY, and those that others bring by an entry
point of the group vmgen_build.families."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from vmgen_build.plugins import Group
from vmgen_build.systems.model import Archive, Distribution, Edition, Family, System, Tried

__all__ = ["Archive", "Distribution", "Edition", "Family", "System", "Tried", "families"]

GROUP = Group[Family]("vmgen_build.families", "a Family", lambda thing: isinstance(thing, Family))


def families() -> tuple[Family, ...]:
    """In the order of their ranks."""
    return tuple(sorted((*_own(), *GROUP.every().values()), key=lambda family: family.rank))


@cache
def _own() -> tuple[Family, ...]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return tuple(module.FAMILY for module in modules if hasattr(module, "FAMILY"))
