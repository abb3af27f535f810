"""Locales and time zones, from lists that come with the tool: every host takes and refuses the same."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def known_locales() -> frozenset[str]:
    """Names as "en_US.UTF-8": data/locales.txt says where they come from."""
    lines = (Path(__file__).parent / "data" / "locales.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


@cache
def known_zones() -> frozenset[str]:
    """Names of the tz database, as "Europe/Bucharest": the Python package tzdata lists them in `zones`."""
    package = find_spec("tzdata")
    assert package is not None and package.origin is not None
    return frozenset(Path(package.origin).with_name("zones").read_text("utf-8").split())
