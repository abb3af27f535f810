"""States on a vCenter: machines that are off, with one snapshot that others begin with (linked clones).

One is made under a name of its build's own, and renamed when it is whole. So it is there whole or not at all, for
whoever uses the server's folder.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.properties import id_of, values_of
from vmgen_build.guests.vsphere.tags import LAYER, SNAPSHOT, Mark, layer_name, mark_of

REMEMBERED = 10.0
"""Seconds for which what was looked up counts."""


@dataclass(frozen=True, slots=True)
class Layer:
    """machine: vim.VirtualMachine; snapshot: vim.vm.Snapshot."""

    machine: Any
    snapshot: Any
    mark: Mark


class Layers:
    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._seen: dict[str, tuple[float, Layer | None]] = {}

    def find(self, state: str, *, anew: bool = False) -> Layer | None:
        """anew: whatever was looked up before."""
        when, found = self._seen.get(state, (0.0, None))
        if anew or not when or time.monotonic() - when > REMEMBERED:
            found = self._asked(state)
            self._seen[state] = time.monotonic(), found
        return found

    def get(self, state: str) -> Layer:
        """Raises BuildError where it is gone."""
        found = self.find(state, anew=True)
        if found is None:
            raise BuildError(
                f"{self._maker.session.where}: {layer_name(state)} has gone while the build ran; build again"
            )
        return found

    def add(self, machine: Any, state: str) -> None:
        """Make the state of a machine of the build's own, which is off and marked as its layer. Where another build
        was quicker, theirs counts, and this one is destroyed."""
        maker = self._maker
        maker.snapshot(machine, SNAPSHOT, f"state {state}")
        try:
            maker.rename(machine, layer_name(state))
        except VmgenError:
            theirs = self.find(state, anew=True)
            if theirs is None or id_of(theirs.machine) == id_of(machine):
                raise
            maker.destroy(machine)
        self._seen.pop(state, None)

    def _asked(self, state: str) -> Layer | None:
        machine = self._maker.find(layer_name(state))
        if machine is None:
            return None
        found = values_of(
            self._maker.session, "looking at a layer", machine, ["config.annotation", "snapshot.rootSnapshotList"]
        )
        mark = mark_of(found.get("config.annotation"))
        snapshots = [one for one in found.get("snapshot.rootSnapshotList", ()) if one.name == SNAPSHOT]
        if mark is None or mark.kind != LAYER or mark.state != state or not snapshots:
            return None
        return Layer(machine, snapshots[0].snapshot, mark)
