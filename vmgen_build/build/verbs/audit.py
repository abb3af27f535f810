"""The archive's indexes are fetched anew, and who signed them is checked."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.bases.supply import known_supply
from vmgen_build.build.verbs.model import Row
from vmgen_build.host.needs import programs
from vmgen_build.plan.planner import buildable
from vmgen_build.systems.parse import parse_system


def rows() -> Iterator[Row]:
    """By installer: apt, dnf, ..."""
    systems = {system.installer: system for system in map(parse_system, buildable())}
    for installer, system in systems.items():
        supply = known_supply(system)
        if supply is not None:
            yield Row(programs(*supply.checking), thing=installer, extra=True)
