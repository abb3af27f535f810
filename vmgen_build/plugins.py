"""What others add to the tool: an object under a name, in a group, found by an entry point of an installed package
(https://packaging.python.org/specifications/entry-points/) or put there by `register`.

    vmgen_build.families    a Family; any name (systems)
    vmgen_build.installers  an Installer, by the name that distributions have for it (installers)
    vmgen_build.supplies    a class of Supply, by the name that installers have for it (bases.supply)
    vmgen_build.writers     an object with `write`, by the name that families have for it (plan.writers)
    vmgen_build.steps       a module or object with ORDER and `steps`; any name (plan.discovery)
    vmgen_build.templates   a folder of Jinja templates, as a Path; any name (plan.text.render)
    vmgen_build.sections    a class of Section, by the section's name in a recipe (recipe.schema)
    vmgen_build.programs    a folder of CATEGORY.ini files, as a Path; any name (catalogue.catalogue)
    vmgen_build.backends    a Backend, by its name (backends.registry)
    vmgen_build.places      a class of Place, by its URL scheme (build.places.registry)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vmgen_build.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

_REGISTERED: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Group(Generic[T]):
    """One kind of thing. name: of the group of entry points. what: what an object of it is, in a sentence; fits:
    whether one is that."""

    name: str
    what: str
    fits: Callable[[Any], bool]

    def names(self) -> tuple[str, ...]:
        """Sorted. None is imported."""
        return tuple(sorted({*_REGISTERED.get(self.name, {}), *_points().get(self.name, {})}))

    def get(self, name: str) -> T | None:
        """The object, imported if need be; None where there is none of that name. Raises PluginError."""
        if name in _REGISTERED.get(self.name, {}):
            return self._checked(_REGISTERED[self.name][name], f"'{name}' that was registered in {self.name}", "it")
        point = _points().get(self.name, {}).get(name)
        return None if point is None else self._loaded(point)

    def every(self) -> dict[str, T]:
        """All, by name, in the order of the names. Raises PluginError."""
        found = ((name, self.get(name)) for name in self.names())
        return {name: thing for name, thing in found if thing is not None}

    def _loaded(self, point: EntryPoint) -> T:
        title = f"the entry point '{point.name}' in {self.name}, of the package {_package(point)}"
        try:
            thing = point.load()
        except Exception as error:
            raise PluginError(title, f"{point.value} gives {type(error).__name__}: {error}") from error
        return self._checked(thing, title, point.value)

    def _checked(self, thing: Any, title: str, value: str) -> T:
        if not self.fits(thing):
            raise PluginError(title, f"{value} is {_shown(thing)}, not {self.what}")
        found: T = thing
        return found


def register(group: str, name: str, thing: object) -> None:
    """Add one for the life of this process; it stands before an entry point of the same name."""
    _REGISTERED.setdefault(group, {})[name] = thing


def unregister(group: str, name: str) -> None:
    """Take out what `register` added."""
    _REGISTERED.get(group, {}).pop(name, None)


def own_module(package: str, name: str) -> ModuleType | None:
    """The module of that name in a package of this tool; None where there is none. It stands before what others add."""
    module = f"{package}.{name}"
    return import_module(module) if name.isidentifier() and find_spec(module) is not None else None


def folders(name: str) -> Group[Path]:
    """A group of folders."""
    return Group(name, "the Path of a folder", lambda thing: isinstance(thing, Path) and thing.is_dir())


@cache
def _points() -> dict[str, dict[str, EntryPoint]]:
    """By group and name. To read what all installed packages say takes as long as a group of it."""
    if not _is_any():
        return {}
    from importlib.metadata import entry_points

    found = entry_points()
    own = [group for group in found.groups if group.startswith("vmgen_build.")]
    return {group: {point.name: point for point in found.select(group=group)} for group in own}


def _is_any() -> bool:
    """Whether an installed package may name a group of ours. Most often none does, and importlib.metadata would take
    longer to say so than all else that is read of a recipe."""
    others = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    return others != [PathFinder] or any(_names_a_group(path or ".") for path in dict.fromkeys(sys.path))


def _names_a_group(folder: str) -> bool:
    """Whether a package in this entry of sys.path does. An egg or a zip file, which importlib.metadata reads, may."""
    try:
        if folder.lower().endswith(".egg") or Path(folder).is_file():
            return True
        packages = [one for one in Path(folder).iterdir() if one.suffix.lower() in (".dist-info", ".egg-info")]
    except OSError:
        return False
    return any(b"[vmgen_build." in _entry_points(one) for one in packages)


def _entry_points(package: Path) -> bytes:
    """The file of a package's metadata that lists them; empty where there is none."""
    try:
        return (package / "entry_points.txt").read_bytes()
    except OSError:
        return b""


def _package(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version}" if dist else "that brings it"


def _shown(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"of the type {type(thing).__name__}"
