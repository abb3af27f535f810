"""The backends that there are: a package of this one each, with a module `backend` that holds it, and those that others
bring by an entry point of the group vmgen_build.backends."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path

from vmgen_build import backends
from vmgen_build.backends.base import Backend
from vmgen_build.errors import UsageError
from vmgen_build.plugins import Group

GROUP = Group[Backend]("vmgen_build.backends", "a Backend", lambda thing: isinstance(thing, Backend))


@cache
def backend_named(name: str) -> Backend:
    """Raises UsageError naming the backends that there are. No other backend is imported."""
    if name in backend_names():
        return _backend_of(name)
    near = difflib.get_close_matches(name, backend_names(), 1)
    hint = f"did you mean '{near[0]}'?" if near else f"this version has {', '.join(backend_names())}"
    raise UsageError(f"--backend {name}: there is no such backend; {hint}")


def backend_names() -> tuple[str, ...]:
    """Sorted."""
    return tuple(sorted({*_own_names(), *GROUP.names()}))


def all_backends() -> dict[str, Backend]:
    """name -> backend; imports every one."""
    return {name: backend_named(name) for name in backend_names()}


@cache
def _own_names() -> frozenset[str]:
    """Of the packages here, those that hold a backend: `machines` is what some of them share. None is imported."""
    folders = [Path(path) for path in backends.__path__]
    packages = [module.name for module in pkgutil.iter_modules(backends.__path__) if module.ispkg]
    return frozenset(name for name in packages if any((folder / name / "backend.py").is_file() for folder in folders))


def _backend_of(name: str) -> Backend:
    if name in _own_names():
        found = importlib.import_module(f"{backends.__name__}.{name}.backend").BACKEND
    else:
        found = GROUP.get(name)
    assert isinstance(found, Backend)
    return found
