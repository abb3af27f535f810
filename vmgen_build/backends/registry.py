"""The backends that there are, and their formats.

A backend is a package of this one, with a module `backend` that holds it, or comes by an entry point of the group
vmgen_build.backends. A format is a backend's own, a module of backends/formats, or comes by the group
vmgen_build.formats."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from vmgen_build import backends
from vmgen_build.backends import formats
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.errors import UsageError
from vmgen_build.plugins import Group

FORMATS = Group[Format]("vmgen_build.formats", "a Format", lambda thing: isinstance(thing, Format))
GROUP = Group[Backend]("vmgen_build.backends", "a Backend", lambda thing: isinstance(thing, Backend))


@cache
def backend_named(name: str) -> Backend:
    """Raises UsageError naming the backends that there are. No other backend is imported."""
    if name in backend_names():
        return _backend_of(name)
    from difflib import get_close_matches

    near = get_close_matches(name, backend_names(), 1)
    hint = f"did you mean '{near[0]}'?" if near else f"this version has {', '.join(backend_names())}"
    raise UsageError(f"--backend {name}: there is no such backend; {hint}")


def backend_names() -> tuple[str, ...]:
    """Sorted."""
    return tuple(sorted({*_own_names(), *GROUP.names()}))


def all_backends() -> dict[str, Backend]:
    """name -> backend; imports every one."""
    return {name: backend_named(name) for name in backend_names()}


def formats_of(backend: Backend) -> tuple[Format, ...]:
    """The backend's own, the default first, then the others by name."""
    others = sorted((one for one in _other_formats() if backend.name in one.backends), key=lambda one: one.name)
    return (*backend.formats, *others)


def format_of(backend: Backend, name: str) -> Format:
    """Raises UsageError naming those that there are."""
    found = next((one for one in formats_of(backend) if one.name == name), None)
    if found is None:
        names = " or ".join(one.name for one in formats_of(backend))
        raise UsageError(f"--format {name}: backend {backend.name} makes {names}")
    return found


def format_by_name(backend: Backend, artifact: Path, packed_as: str = "") -> Format | None:
    """What the name of an artifact says that it is; None for none of the backend's. packed_as: as its manifest says,
    which decides among those that end alike, as NAME-FORMAT-ARCH.tar does."""
    able = [one for one in formats_of(backend) if artifact.name.endswith(one.endings)]
    stated = [one for one in able if one.name == packed_as]
    named = [one for one in able if f"-{one.name}-" in artifact.name]
    return next(iter([*stated, *named, *able]), None)


@cache
def _other_formats() -> tuple[Format, ...]:
    names = [module.name for module in pkgutil.iter_modules(formats.__path__)]
    own = [importlib.import_module(f"{formats.__name__}.{name}").FORMAT for name in names]
    return (*own, *FORMATS.every().values())


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
