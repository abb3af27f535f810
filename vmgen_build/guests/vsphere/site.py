"""Where on a server a build's machines lie and run: what the user names, else what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.vsphere.inventory import (
    SHOWN,
    Compute,
    Datacenter,
    Datastore,
    Entity,
    EsxHost,
    Folder,
    Inventory,
    Network,
    One,
    Pool,
    StoragePod,
)
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.policies import Policy, find_policy, fitting
from vmgen_build.guests.vsphere.properties import properties_of, values_of
from vmgen_build.guests.vsphere.session import Session


@dataclass(frozen=True, slots=True)
class ServerSite:
    """path: of the datacenter. host: None where the server chooses it. policy: of storage, None for the datastore's
    own."""

    datacenter: Datacenter
    path: str
    folder: Folder
    pool: Pool
    host: EsxHost | None
    datastore: Datastore
    network: Network
    policy: Policy | None = None


def find_site(session: Session, inventory: Inventory, placement: Placement, network: str) -> ServerSite:
    """inventory: whole. network: name of the one that the build's machine is connected to, "" where none is named.

    Raises UsageError with the names that there are, HostError where there is nothing of a kind.
    """
    datacenter = inventory.datacenter_named(session.address.datacenter, session.where)
    choice = _Choice(session, inventory, inventory.within(datacenter))
    host = choice.host(placement.esxi)
    compute, pool = choice.pool(placement.pool, host)
    policy = find_policy(session, placement.storage_policy) if placement.storage_policy else None
    hosts = [host] if host is not None else choice.running(compute)
    datastore, reaching = choice.datastore(placement.datastore, hosts, policy)
    if host is None and compute.cluster and not _balances(session, compute):
        host = reaching[0]
    return ServerSite(
        datacenter,
        inventory.path(datacenter),
        choice.folder(placement.folder, datacenter),
        pool,
        host,
        datastore,
        choice.network(network),
        policy,
    )


def find_folder(session: Session, inventory: Inventory, placement: Placement) -> Folder:
    """The one of machines alone. Raises UsageError."""
    datacenter = inventory.datacenter_named(session.address.datacenter, session.where)
    return _Choice(session, inventory, inventory.within(datacenter)).folder(placement.folder, datacenter)


def find_networks(session: Session, inventory: Inventory, wanted: Iterable[str]) -> list[Network]:
    """Each by its name. Raises UsageError."""
    datacenter = inventory.datacenter_named(session.address.datacenter, session.where)
    choice = _Choice(session, inventory, inventory.within(datacenter))
    return [choice.network(name) for name in wanted]


@dataclass(frozen=True, slots=True)
class _Choice:
    """whole: the inventory, for paths. there: what lies in the datacenter."""

    session: Session
    whole: Inventory
    there: Inventory

    def folder(self, wanted: str, datacenter: Datacenter) -> Folder:
        if not wanted:
            own = self.there.items.get(datacenter.folder)
            if isinstance(own, Folder):
                return own
            raise HostError(f"{self.session.where}: this account does not see the folder of its machines")
        return self._named(wanted, [one for one in self.there.folders if one.machines], "--folder")

    def host(self, wanted: str) -> EsxHost | None:
        """None for any."""
        return self._named(wanted, [host for host in self.there.hosts if host.usable], "--esxi") if wanted else None

    def running(self, compute: Compute) -> list[EsxHost]:
        return [host for host in self.there.hosts if host.parent == compute.id and host.usable]

    def pool(self, wanted: str, host: EsxHost | None) -> tuple[Compute, Pool]:
        """With the host or cluster that it is of, which may be named for its outermost pool. host: one of its own."""
        running = {one.parent for one in self.there.hosts if one.usable}
        computes = [one for one in self.there.computes if one.id in running]
        outermost = {one.name: pool for one in computes if isinstance(pool := self.there.items.get(one.pool), Pool)}
        if wanted in outermost:
            pool = outermost[wanted]
        elif wanted:
            pool = self._named(wanted, self.there.pools, "--pool")
        else:
            own = {one.name: outermost[one.name] for one in computes if host is None or one.id == host.parent}
            pool = self._only(list(own.values()), "--pool", "resource pool of a host that runs", own)
        compute = self._compute_of(pool, computes)
        if compute is None:
            raise HostError(f"{self.session.where}: no host of the pool '{self.whole.path(pool)}' is running")
        if host is not None and host.parent != compute.id:
            hosts = ", ".join(one.name for one in self.running(compute)[:SHOWN])
            raise UsageError(
                f"--esxi: '{host.name}' runs no machines of '{self.whole.path(pool)}'; those that do are {hosts}"
            )
        return compute, pool

    def datastore(
        self, wanted: str, hosts: Sequence[EsxHost], policy: Policy | None
    ) -> tuple[Datastore, Sequence[EsxHost]]:
        """With those of the hosts that reach it. wanted: may name a cluster of datastores; "" for any. The freest
        counts."""
        reached = self._reached(hosts)
        usable = [one for one in self.there.datastores if one.id in reached]
        fit = usable if policy is None else fitting(self.session, policy, usable)
        wish = self._named(wanted, [*usable, *self.there.pods], "--datastore") if wanted else None
        among = [one for one in fit if wish is None or wish.id in (one.id, one.parent)]
        if not among:
            raise self._no_datastore(wish, hosts, policy, fit)
        freest = max(among, key=lambda one: one.free)
        return freest, reached[freest.id]

    def _no_datastore(
        self, wish: Entity | None, hosts: Sequence[EsxHost], policy: Policy | None, fit: Sequence[Datastore]
    ) -> UsageError | HostError:
        reachable = f"can be used from {', '.join(host.name for host in hosts[:SHOWN])}"
        if policy is not None:
            reachable += f" and fits the storage policy '{policy.name}'"
        if wish is None:
            return HostError(f"{self.session.where}: no datastore {reachable}; let an administrator look at them")
        what = (
            f"no member of the cluster '{wish.name}'" if isinstance(wish, StoragePod) else f"'{wish.name}' is none that"
        )
        there = ", ".join(sorted(one.name for one in fit)[:SHOWN]) or "none that this account can use"
        return UsageError(f"--datastore: {what} {reachable}; there are {there}")

    def network(self, wanted: str) -> Network:
        if wanted:
            return self._named(wanted, self.there.networks, "--map")
        names = {one.name: one for one in self.there.networks}
        return self._only(list(self.there.networks), "--map nat=NAME", "network", names)

    def _reached(self, hosts: Sequence[EsxHost]) -> Mapping[str, Sequence[EsxHost]]:
        """By ids of the usable datastores that one of them reaches at least."""
        stores = [one for one in self.there.datastores if one.usable]
        mounted = self._mounted(stores)
        reached = {one.id: [host for host in hosts if host.id in mounted[one.id]] for one in stores}
        return {store: found for store, found in reached.items() if found}

    def _mounted(self, stores: Sequence[Datastore]) -> Mapping[str, set[str]]:
        """Ids of hosts by those of the datastores."""
        found = properties_of(self.session, "looking at the datastores", [one.ref for one in stores], ["host"])
        mounts: dict[str, set[str]] = {one.id: set() for one in self.there.datastores}
        for name, values in found.items():
            mounts[name] = {str(mount.key._moId) for mount in values.get("host", ())}
        return mounts

    def _compute_of(self, pool: Pool, computes: Sequence[Compute]) -> Compute | None:
        """The one above it."""
        item: Entity | None = pool
        for _ in range(100):
            if item is None:
                break
            for compute in computes:
                if item.id in (compute.id, compute.pool):
                    return compute
            item = self.there.items.get(item.parent)
        return None

    def _named(self, wanted: str, items: Iterable[One], option: str) -> One:
        try:
            return self.whole.named(wanted, items, f"'{wanted}'", self.session.where)
        except ValueError as error:
            raise UsageError(f"{option}: {error}") from error

    def _only(self, items: Sequence[One], option: str, kind: str, names: Mapping[str, Any]) -> One:
        if len(items) == 1:
            return items[0]
        if not items:
            raise HostError(f"{self.session.where}: there is no {kind} that this account can use")
        raise UsageError(
            f"{self.session.where} has more than one {kind}: name one by {option}; there are"
            f" {', '.join(sorted(names)[:SHOWN])}"
        )


def _balances(session: Session, compute: Compute) -> bool:
    """Whether the cluster chooses hosts itself (DRS)."""
    path = "configuration.drsConfig.enabled"
    return bool(values_of(session, f"looking at the cluster '{compute.name}'", compute.ref, [path]).get(path))
