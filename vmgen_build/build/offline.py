"""What a build with --offline cannot make, as far as that is certain before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vmgen_build.bases.supply import COMPLETE, Request, Supply, known_supply
from vmgen_build.build.places.model import Look, Place
from vmgen_build.errors import BuildError
from vmgen_build.guests.model import repositories_after
from vmgen_build.plan.bases import Base, Bootstrapped, DiskMachine, MinimalMachine
from vmgen_build.plan.model import Plan

ONCE = "run once without --offline"


def require_at_hand(place: Place, plan: Plan, look: Look) -> None:
    """Raises BuildError naming what has to be made and cannot. Where the archive is a folder, and where only the guest
    knows what it has, the build itself tells."""
    if not plan.offline:
        return
    kept = place.kept_stages(plan, look) if place.options.use_cache else 0
    if plan.system.kind == "windows":
        _require_no_network(place, plan, kept)
        return
    archive = _Archive(place, plan)
    root = plan.base.root if isinstance(plan.base, MinimalMachine) else plan.base
    if kept == 0 and _is_bootstrapped_now(place, plan, root) and not archive.has_indexes(root, ()):
        raise BuildError(f"the {root.title} has to be made, and no package indexes for it are in the cache: {ONCE}")
    if place.isolated and isinstance(plan.base, MinimalMachine | DiskMachine):
        return
    for index, step in enumerate(plan.steps[max(0, kept - 1) :], max(1, kept)):
        after = [stage.id for stage in plan.stages[:index]]
        if step.installs and not (archive.local or (place.isolated and archive.has_indexes(plan.base, after))):
            raise BuildError(f"step '{step.name}' has to run, and no package indexes for it are in the cache: {ONCE}")


def _require_no_network(place: Place, plan: Plan, kept: int) -> None:
    """A step of Windows has no network of its own; QEMU on this host is kept off as a whole."""
    asking = next((step for step in plan.steps[max(0, kept - 1) :] if step.network), None)
    if asking is not None and not place.isolated:
        text = "has to run, and may use the network, off which --offline keeps no Windows on a server"
        raise BuildError(f"step '{asking.name}' {text}: {ONCE}")


def _is_bootstrapped_now(place: Place, plan: Plan, root: Base) -> bool:
    """A place elsewhere, and a whole machine, take a root that the cache holds whatever the options are."""
    anew = place.isolated and root is plan.base and not place.options.use_cache
    return isinstance(root, Bootstrapped) and (anew or not place.options.store().holds(root.id))


@dataclass(frozen=True)
class _Archive:
    """What the cache holds of the plan's archives."""

    place: Place
    plan: Plan

    @property
    def local(self) -> bool:
        return self._supply is not None and self._supply.local

    def has_indexes(self, base: Base, after: Sequence[str]) -> bool:
        """Whether the indexes of the archives as they are after these layers are there, or come from a folder. A base
        that is none of the distribution's has its own in each build (guests.lxc.site)."""
        if self._supply is None or self.local:
            return True
        if not isinstance(base, Bootstrapped) or base.keys is not None:
            return False
        state = base.release + repositories_after(self.plan, after)
        return (self._supply.indexes(self.place.options.cache, state) / COMPLETE).exists()

    @cached_property
    def _supply(self) -> Supply | None:
        plan, kind = self.plan, known_supply(self.plan.system)
        request = Request(plan.system, plan.mirror, plan.epoch)
        return None if kind is None else kind.of_this_host(request, self.place.options.cache)
