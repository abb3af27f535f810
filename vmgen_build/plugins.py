"""What others add to the tool: an object under a name, in a group, found by an entry point of an installed package
(https://packaging.python.org/specifications/entry-points/) or put there by `register`.

The groups: vmgen_build.families, vmgen_build.installers, vmgen_build.writers, vmgen_build.backends, vmgen_build.places.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

_REGISTERED: dict[str, dict[str, Any]] = {}


def register(group: str, name: str, thing: object) -> None:
    """Add one for the life of this process; it stands before an entry point of the same name."""
    _REGISTERED.setdefault(group, {})[name] = thing


def unregister(group: str, name: str) -> None:
    """Take out what `register` added."""
    _REGISTERED.get(group, {}).pop(name, None)


def names(group: str) -> tuple[str, ...]:
    """Sorted."""
    return tuple(sorted({*_REGISTERED.get(group, {}), *_points(group)}))


def get(group: str, name: str) -> Any | None:
    """The object, imported if need be; None where there is none of that name."""
    if name in _REGISTERED.get(group, {}):
        return _REGISTERED[group][name]
    point = _points(group).get(name)
    return None if point is None else point.load()


def every(group: str) -> list[Any]:
    """All objects of a group, in the order of their names."""
    return [get(group, name) for name in names(group)]


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
