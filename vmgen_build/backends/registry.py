"""The backends that there are: one module of this package each."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from vmgen_build import backends
from vmgen_build.backends.base import Backend
from vmgen_build.errors import UsageError


@cache
def all_backends() -> dict[str, Backend]:
    """name -> backend, for every Backend class that a module of vmgen_build.backends defines."""
    found = {}
    for info in pkgutil.iter_modules(backends.__path__):
        module = importlib.import_module(f"{backends.__name__}.{info.name}")
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and issubclass(value, Backend) and value is not Backend:
                found[value.name] = value()
    return dict(sorted(found.items()))


def backend_named(name: str) -> Backend:
    """Raises UsageError naming the backends that there are."""
    known = all_backends()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"this version has {', '.join(known)}"
    raise UsageError(f"--backend {name}: there is no such backend; {hint}")
