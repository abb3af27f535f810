"""Buses, and where on them disks and CD drives go."""

from __future__ import annotations

import pytest

from vmgen_build.catalogue.hardware import BUSES, cd_positions, free_position


@pytest.mark.parametrize(("bus", "most"), [("ide", 4), ("scsi", 60), ("sata", 120), ("nvme", 60)])
def test_how_many_disks_a_bus_takes(bus: str, most: int) -> None:
    taken: list[tuple[int, int]] = []
    for _ in range(most):
        taken.append(free_position(bus, 0, taken))
    assert BUSES[bus].places == most == len(set(taken))
    assert all(BUSES[bus].holds(position) for position in taken)
    assert not BUSES[bus].holds(free_position(bus, 0, taken))


def test_the_unit_of_a_scsi_controller_is_left_out() -> None:
    assert free_position("scsi", 2, [(2, unit) for unit in range(7)]) == (2, 8)
    assert BUSES["scsi"].holds((0, 7)) and not BUSES["scsi"].holds((0, 16)) and not BUSES["scsi"].holds((4, 0))


def test_cd_drives_begin_on_the_second_controller() -> None:
    assert cd_positions([]) == [(1, 0), (1, 1), (0, 0), (0, 1)]
    assert cd_positions([(1, 0), (0, 1)]) == [(1, 1), (0, 0)]
    assert cd_positions([(0, 0), (0, 1), (1, 0), (1, 1)]) == []
