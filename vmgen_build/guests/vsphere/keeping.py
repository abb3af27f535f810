"""The layers that a server's folder holds: listed, and removed where no build uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmgen_build.guests.vsphere.inventory import Folder, Inventory, inventory_of
from vmgen_build.guests.vsphere.making import suppress_gone
from vmgen_build.guests.vsphere.properties import id_of, properties_of
from vmgen_build.guests.vsphere.reaping import Found, machines_found, remove
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tags import BUILD, LAYER, short_id
from vmgen_build.store.layers import Entry, Store, Sweep

_SIZE = "summary.storage.unshared"
"""Bytes that would be free without it (VirtualMachineStorageSummary): what others stand on is not counted."""


@dataclass(frozen=True, slots=True)
class KeptLayer:
    found: Found
    entry: Entry


def layers_in(session: Session, inventory: Inventory, folder: Folder) -> list[KeptLayer]:
    """Last made first; when one was used last is not known there. Raises HostError."""
    inside = {machine.id for machine in inventory.machines if machine.parent == folder.id}
    layers = [
        one
        for one in machines_found(session, inventory)
        if id_of(one.ref) in inside and one.mark is not None and one.mark.kind == LAYER and one.builder is None
    ]
    sizes = properties_of(session, "looking at layers", [one.ref for one in layers], [_SIZE])
    found = []
    for one in layers:
        assert one.mark is not None
        mark, size = one.mark, int(sizes.get(id_of(one.ref), {}).get(_SIZE) or 0)
        started = float(mark.started)
        found.append(KeptLayer(one, Entry(mark.state, mark.title, "layer", size, started, started)))
    return sorted(found, key=lambda layer: layer.entry.created, reverse=True)


def prune_layers(session: Session, layers: Sequence[KeptLayer], store: Store, sweep: Sweep) -> list[Entry]:
    """What was removed. One that a build's machine began with stays, whoever's that is; so does one that a build of
    this host is about to begin with. Raises HostError, BuildError."""
    refs = {layer.entry.id: layer.found.ref for layer in layers}

    def removed(entry: Entry) -> bool:
        with store.unused(entry.id) as unused:
            if not unused or short_id(entry.id) in _in_use(session):
                return False
            with suppress_gone():
                remove(session, refs[entry.id], None)
            return True

    return sweep.gone([layer.entry for layer in reversed(layers)], removed)


def _in_use(session: Session) -> set[str]:
    """Ids of the states that machines of builds stand on now, as their marks have them."""
    found = machines_found(session, inventory_of(session))
    return {state for one in found if one.mark is not None and one.mark.kind == BUILD for state in one.mark.below}
