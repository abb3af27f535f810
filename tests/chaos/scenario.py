"""What a run of the campaign does, drawn from a seed: which build, which fault, and at which moment of its progress."""

from __future__ import annotations

import random
from dataclasses import dataclass

BACKENDS = {"lxc": 6, "openvz": 4, "kvm": 1, "vmware": 1, "node": 2}
"""Each with its weight. node: openvz on a node by ssh."""

FAULTS = {
    "kill": 5,
    "kill-build": 3,
    "stop-continue": 2,
    "stop-kill": 2,
    "interrupt": 2,
    "interrupt-twice": 2,
    "full-output": 2,
    "full-cache": 3,
    "mirror-gone": 1,
    "mirror-slow": 1,
    "mirror-lies": 3,
    "clock": 2,
    "cable": 2,
    "neighbour": 2,
    "neighbour-killed": 2,
}
"""Each with its weight; what it does stands in faults.py. cable: on a node alone."""

MACHINES = ("kvm", "vmware")

DEPTHS = {"packing": 1, "steps": 3, "packages": 1, "base": 0}
"""How much there is to do, with weights: what the cache lacks. base: only in a long campaign (`deep`)."""

WHENS = {"time": 2, "event": 6, "bytes": 3, "processes": 2, "part": 2}
"""time: after so many seconds. event, bytes: after this share of the events, or of what is packed.
processes: once so many are at work. part: once the artifact is being written."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """number: counts from 1. depth, when: as above. share: 0 to 1. late: seconds beyond that moment.
    dice: what else the fault needs to choose, from a seed."""

    number: int
    backend: str
    fault: str
    depth: str
    when: str
    share: float
    late: float
    dice: int

    def __str__(self) -> str:
        return (
            f"{self.number}: {self.fault} on {self.backend}, {self.depth} to do,"
            f" at {self.when} {self.share:.2f} + {self.late:.2f} s"
        )

    def chance(self) -> random.Random:
        return random.Random(self.dice)


def draw(seed: int, number: int, *, quick: bool) -> Scenario:
    """The scenario of this number; the others before it need not be drawn. quick: what CI has the time for."""
    chance = random.Random(f"{seed}/{number}")
    backend = _one(chance, BACKENDS if not quick else {"lxc": 2, "openvz": 1})
    fault = _one(chance, {name: weight for name, weight in FAULTS.items() if name != "cable" or backend == "node"})
    if backend == "node" and fault.startswith(("mirror", "full-cache")):
        fault = "cable"
    depths = DEPTHS if backend in MACHINES else {**DEPTHS, "base": 0.2}
    if quick:
        depths = {"packing": 1, "steps": 3}
    depth = "packages" if fault.startswith("mirror") else _one(chance, depths)
    when = _one(chance, WHENS)
    late = chance.choice((0.0, chance.uniform(0, 0.05), chance.uniform(0, 0.5)))
    return Scenario(number, backend, fault, depth, when, chance.random(), late, chance.getrandbits(32))


def _one(chance: random.Random, weights: dict[str, float] | dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
