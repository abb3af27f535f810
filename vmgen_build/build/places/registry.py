"""The places that there are, by the scheme of the URL that names one: a module of this package each, which is called as
the scheme is, and those that others bring by an entry point of the group vmgen_build.places."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from vmgen_build.build import places
from vmgen_build.errors import UsageError
from vmgen_build.guests.runners.model import parse_host
from vmgen_build.plugins import Group

if TYPE_CHECKING:
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.places.model import Place


def _is_place(thing: object) -> bool:
    from vmgen_build.build.places.model import Place

    return isinstance(thing, type) and issubclass(thing, Place)


GROUP: Group[type[Place]] = Group("vmgen_build.places", "a class of Place", _is_place)

HERE = "here"
"""The module of the place that no --host names."""

_SHARED = ("model", "registry")
"""Modules beside the places."""


def place_at(options: BuildOptions) -> Place:
    """The place that options.host names. Raises UsageError."""
    return place_class(options.host)(options)


def place_class(host: str) -> type[Place]:
    """Checked to name a place of that kind: raises UsageError. No other place's module is imported."""
    scheme = host.partition(":")[0] if host else HERE
    if host == HERE or scheme not in schemes():
        _refuse(host, scheme)
    found = _class_of(scheme)
    found.check_host(host)
    return found


def place_classes() -> dict[str, type[Place]]:
    """All places, this host first, by their schemes: "here", "local, ssh", "qemu"."""
    names: dict[type[Place], list[str]] = {_class_of(HERE): []}
    for scheme in schemes():
        if scheme != HERE:
            names.setdefault(_class_of(scheme), []).append(scheme)
    return {", ".join(found) or HERE: place for place, found in names.items()}


def schemes() -> tuple[str, ...]:
    """Sorted."""
    return tuple(sorted({*_own_schemes(), *GROUP.names()}))


@cache
def _own_schemes() -> frozenset[str]:
    modules = pkgutil.iter_modules(places.__path__)
    return frozenset(module.name for module in modules if not module.ispkg and module.name not in _SHARED)


def _class_of(scheme: str) -> type[Place]:
    from vmgen_build.build.places.model import Place

    if scheme in _own_schemes():
        found = importlib.import_module(f"{places.__name__}.{scheme}").PLACE
    else:
        found = GROUP.get(scheme)
    assert isinstance(found, type) and issubclass(found, Place)
    return found


def _refuse(host: str, scheme: str) -> NoReturn:
    """Say what is wrong, and what would be right. The host itself may hold a password, and is not shown."""
    if "://" not in host:
        parse_host(host)
    names = [name for name in schemes() if name != HERE]
    near = difflib.get_close_matches(scheme, names, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
    raise UsageError(f"--host: there is no place of the kind '{scheme}'; {hint}")
