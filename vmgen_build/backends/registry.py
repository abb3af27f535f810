"""The backends that there are: a module of this package each, called as its backend is."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from vmgen_build import backends
from vmgen_build.backends.base import Backend
from vmgen_build.errors import UsageError


@cache
def backend_named(name: str) -> Backend:
    """Raises UsageError naming the backends that there are."""
    if name in {module.name for module in pkgutil.iter_modules(backends.__path__)}:
        found = _backend_of(name)
        if found is not None:
            return found
    known = all_backends()
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"this version has {', '.join(known)}"
    raise UsageError(f"--backend {name}: there is no such backend; {hint}")


@cache
def all_backends() -> dict[str, Backend]:
    """name -> backend."""
    names = sorted(module.name for module in pkgutil.iter_modules(backends.__path__))
    found = {name: _backend_of(name) for name in names}
    return {name: backend for name, backend in found.items() if backend is not None}


def _backend_of(module_name: str) -> Backend | None:
    module = importlib.import_module(f"{backends.__name__}.{module_name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Backend) and getattr(value, "name", None) == module_name:
            return value()
    return None
