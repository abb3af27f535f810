"""What the guests of one plan share on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from vmgen_build.bases.supply import Request, Supply, supply_kind
from vmgen_build.guests.model import repositories_after
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.digests import digest_of
from vmgen_build.plan.model import Plan
from vmgen_build.store.layers import Store


class Site:
    """A new folder in `leased` (store.lease), whose tag the guests carry; the store of layers; the packages' supply."""

    def __init__(self, store: Store, leased: Path, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self.tag = leased.name
        self._scratch = leased / plan.backend
        self._scratch.mkdir()
        (self._scratch / "lxc").mkdir()
        self._count = 0

    def new_folder(self, name: str) -> Path:
        self._count += 1
        folder = self._scratch / f"{self._count:02d}-{name}"
        folder.mkdir()
        return folder

    @cached_property
    def supply(self) -> Supply:
        plan = self.plan
        request = Request(plan.system, plan.mirror, plan.epoch)
        return supply_kind(plan.system).of_this_host(request, self.store.cache)

    @property
    def trusted(self) -> bool:
        """Whether the base's own programs are the distribution's, by the keys that this host trusts. What others leave,
        indexes and packages, no other build takes: its package manager might be anything."""
        base = self.plan.base
        return isinstance(base, Bootstrapped) and base.keys is None

    def indexes(self, after: Sequence[str]) -> Path:
        """Where the package indexes lie for the sources that the guest has after these layers.

        Builds share those of one state of the archive, which a trusted base fetched. Another's are this build's own.
        """
        repositories = repositories_after(self.plan, after)
        base = self.plan.base
        if isinstance(base, Bootstrapped) and self.trusted:
            folder = self.supply.indexes(self.store.cache, base.release + repositories)
        else:
            folder = self._scratch / f"indexes-{digest_of(repositories)[:24]}"
        self.supply.prepare(folder)
        return folder
