"""What killed builds have left on a server: their machines go with the next build of the same owner, and only those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import VmgenError
from vmgen_build.guests.vsphere.discs import remove_discs
from vmgen_build.guests.vsphere.inventory import Inventory, Machine
from vmgen_build.guests.vsphere.making import is_gone, suppress_gone
from vmgen_build.guests.vsphere.properties import Values, id_of, properties_of, values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tags import LAYER, PREFIX, Mark, builder_of, mark_of
from vmgen_build.guests.vsphere.tasks import wait_for

_PATH = "config.annotation"


@dataclass(frozen=True, slots=True)
class Found:
    """A machine whose name begins as ours do. mark: None where its annotation is none of ours."""

    ref: Any
    name: str
    mark: Mark | None

    @property
    def builder(self) -> tuple[str, str] | None:
        """As `builder_of`: a layer that is being made has a build's name yet."""
        return builder_of(self.name)


def machines_found(session: Session, inventory: Inventory) -> list[Found]:
    """Of the whole inventory that is given, but for those that have gone since."""
    ours = [machine for machine in inventory.machines if machine.name.startswith(PREFIX)]
    try:
        there = _annotations(session, ours)
    except VmgenError as error:
        if not is_gone(error):
            raise
        there = {}
        for machine in ours:
            with suppress_gone():
                there |= _annotations(session, [machine])
    return [Found(one.ref, one.name, mark_of(there[one.id].get(_PATH))) for one in ours if one.id in there]


def _annotations(session: Session, machines: Sequence[Machine]) -> dict[str, Values]:
    """By the machines' ids. Raises HostError where one of them is gone."""
    what = "looking at machines of builds"
    return dict(properties_of(session, what, [machine.ref for machine in machines], [_PATH]))


def left_by_the_dead(found: list[Found], owner: str, lives: Callable[[str], bool]) -> list[Found]:
    """lives: whether the build of this owner with this tag is at work. A machine that was just cloned may still have
    its layer's mark."""
    left = []
    for one in found:
        builder = one.builder
        if builder is None or builder[0] != owner or lives(builder[1]):
            continue
        if one.mark is None or one.mark.owner == owner or one.mark.kind == LAYER:
            left.append(one)
    return left


def remove(session: Session, machine: Any, datacenter: Any) -> None:
    """One that nobody uses, with its disks and discs; one that has gone since is none to remove. datacenter:
    vim.Datacenter. Raises HostError, BuildError."""
    what = f"removing {id_of(machine)}"
    with suppress_gone():
        state = values_of(session, what, machine, ["runtime.powerState"]).get("runtime.powerState")
        if str(state) != "poweredOff":
            wait_for(session, session.order(what, machine.PowerOffVM_Task), what)
        remove_discs(session, machine, datacenter)
        wait_for(session, session.order(what, machine.Destroy_Task), what)
