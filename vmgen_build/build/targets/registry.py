"""The targets that there are: a module of this package each."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from vmgen_build.build import targets
from vmgen_build.build.targets.model import Target
from vmgen_build.errors import UsageError

_SHARED = ("doing", "model", "registry")
"""Modules beside the targets."""


@cache
def target_names() -> tuple[str, ...]:
    return tuple(sorted(one.name for one in pkgutil.iter_modules(targets.__path__) if one.name not in _SHARED))


def target_named(name: str) -> Target:
    """Raises UsageError. No other target is imported."""
    if name not in target_names():
        near = difflib.get_close_matches(name, target_names(), 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(target_names())}"
        raise UsageError(f"--to {name}: there is no such target; {hint}")
    found = importlib.import_module(f"{targets.__name__}.{name}").TARGET
    assert isinstance(found, Target)
    return found
