"""What a build with --offline cannot make, as far as that is certain before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.bases.supply import COMPLETE, Request, known_supply
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
    root = plan.base.root if isinstance(plan.base, MinimalMachine) else plan.base
    if kept == 0 and _is_bootstrapped_now(place, plan, root) and not _has_indexes(place, plan, root, ()):
        raise BuildError(f"the {root.title} is not in the cache yet, and its package indexes are not either: {ONCE}")
    if place.isolated and isinstance(plan.base, MinimalMachine | DiskMachine):
        return
    for index, step in enumerate(plan.steps[max(0, kept - 1) :], max(1, kept)):
        after = [stage.id for stage in plan.stages[:index]]
        if step.installs and not (place.isolated and _has_indexes(place, plan, plan.base, after)):
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


def _has_indexes(place: Place, plan: Plan, base: Base, after: Sequence[str]) -> bool:
    """Whether the indexes of the archives as they are after these layers are in the cache, or come from a folder. A
    base that is none of the distribution's has its own in each build (guests.lxc.site)."""
    cache, kind = place.options.cache, known_supply(plan.system)
    if kind is None:
        return True
    supply = kind.of_this_host(Request(plan.system, plan.mirror, plan.epoch), cache)
    if supply.local:
        return True
    if not isinstance(base, Bootstrapped) or base.keys is not None:
        return False
    return (supply.indexes(cache, base.release + repositories_after(plan, after)) / COMPLETE).exists()
