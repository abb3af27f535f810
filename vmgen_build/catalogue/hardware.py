"""The buses of a virtual machine: how many controllers and units there are, and where CD drives hang. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Position = tuple[int, int]
"""Controller and unit, as a recipe writes them: 1:0."""


@dataclass(frozen=True, slots=True)
class Bus:
    """controllers: how many of them a machine can have. units: how many each takes. reserved: the units of them that no
    disk can have."""

    controllers: int
    units: int
    reserved: frozenset[int] = frozenset()

    @property
    def places(self) -> int:
        """How many disks it takes in all."""
        return self.controllers * len(self.free_units())

    @property
    def last(self) -> Position:
        return self.controllers - 1, self.units - 1

    def holds(self, position: Position) -> bool:
        """Whether there is such a position, be it reserved or not."""
        return 0 <= position[0] < self.controllers and 0 <= position[1] < self.units

    def free_units(self) -> tuple[int, ...]:
        """The units of a controller that disks can have."""
        return tuple(unit for unit in range(self.units) if unit not in self.reserved)


BUSES: Mapping[str, Bus] = {
    "ide": Bus(2, 2),
    "scsi": Bus(4, 16, frozenset({7})),
    "sata": Bus(4, 30),
    "nvme": Bus(4, 15),
}
"""In the order in which descriptors name controllers. What VMware's machines can have (vSphere, "Virtual Machine
Maximums"); unit 7 of a SCSI controller is the controller itself."""

CD_BUS = "ide"

CD_CONTROLLERS = (1, 0)
"""The IDE controllers, in the order in which CD drives take their units."""


def free_position(bus: str, controller: int, taken: Collection[Position]) -> Position:
    """The first position that is free on this controller, or else on those behind it."""
    return next(position for position in _positions(bus, controller) if position not in taken)


def cd_positions(taken: Collection[Position]) -> list[Position]:
    """Where CD drives can hang, in their order. taken: the positions of IDE disks."""
    units = BUSES[CD_BUS].free_units()
    return [(index, unit) for index in CD_CONTROLLERS for unit in units if (index, unit) not in taken]


def _positions(bus: str, controller: int) -> Iterator[Position]:
    """Endless: recipe.checks.places refuses what is too much."""
    while True:
        yield from ((controller, unit) for unit in BUSES[bus].free_units())
        controller += 1
