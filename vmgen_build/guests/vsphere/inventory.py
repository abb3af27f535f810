"""What a vSphere server has, as far as builds look it up: all of it in one question.

One PropertyCollector walks from the root folder down (vSphere Web Services API Reference: RetrievePropertiesEx).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.limits import VSPHERE_OBJECTS, VSPHERE_SNAPSHOTS

if TYPE_CHECKING:
    from pyVmomi import vim

PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "Folder": ("name", "parent", "childType"),
    "Datacenter": ("name", "parent", "vmFolder"),
    "ComputeResource": ("name", "parent", "resourcePool"),
    "ResourcePool": ("name", "parent"),
    "HostSystem": ("name", "parent", "runtime.connectionState", "runtime.inMaintenanceMode"),
    "Datastore": (
        "name",
        "parent",
        "summary.accessible",
        "summary.capacity",
        "summary.freeSpace",
        "summary.type",
        "summary.maintenanceMode",
    ),
    "Network": ("name", "parent", "tag"),
    "VirtualMachine": (
        "name",
        "parent",
        "config.template",
        "runtime.powerState",
        "guest.toolsRunningStatus",
        "guest.toolsVersionStatus2",
        "snapshot",
    ),
}
"""What is asked of each kind of object; each kind stands for those that derive from it."""

WALK: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "folder": ("Folder", "childEntity", ("folder", "machines", "hosts", "stores", "nets", "pool", "host", "vapp")),
    "machines": ("Datacenter", "vmFolder", ("folder",)),
    "hosts": ("Datacenter", "hostFolder", ("folder",)),
    "stores": ("Datacenter", "datastoreFolder", ("folder",)),
    "nets": ("Datacenter", "networkFolder", ("folder",)),
    "pool": ("ComputeResource", "resourcePool", ("pools", "vapp")),
    "host": ("ComputeResource", "host", ()),
    "pools": ("ResourcePool", "resourcePool", ("pools", "vapp")),
    "vapp": ("VirtualApp", "vm", ()),
}
"""Names of ways: from objects of a kind, by a property, and which ways go on from there."""

UPLINKS = "SYSTEM/DVS.UPLINKPG"
"""The tag of a distributed switch's port group that leads outside: no machine belongs there."""


SHOWN = 20
"""Names that a message lists at most."""


@dataclass(frozen=True, slots=True)
class Entity:
    """id: the server's, unique there. parent: of the item that it lies in, "" for none. ref: the managed object."""

    id: str
    name: str
    parent: str
    ref: Any = field(compare=False, repr=False)


One = TypeVar("One", bound=Entity)


@dataclass(frozen=True, slots=True)
class Folder(Entity):
    """machines: whether machines may lie in it."""

    machines: bool


@dataclass(frozen=True, slots=True)
class Datacenter(Entity):
    """folder: id of the one that its machines lie in."""

    folder: str


@dataclass(frozen=True, slots=True)
class Compute(Entity):
    """A cluster, or a host that is in none. pool: id of its outermost resource pool."""

    cluster: bool
    pool: str


@dataclass(frozen=True, slots=True)
class Pool(Entity):
    vapp: bool


@dataclass(frozen=True, slots=True)
class EsxHost(Entity):
    """usable: it is connected, and not in maintenance."""

    usable: bool


@dataclass(frozen=True, slots=True)
class Datastore(Entity):
    """kind: as the server calls it: VMFS, NFS, vsan. capacity, free: in bytes."""

    kind: str
    capacity: int
    free: int
    usable: bool


@dataclass(frozen=True, slots=True)
class StoragePod(Entity):
    """A datastore cluster: its members lie in it."""


@dataclass(frozen=True, slots=True)
class Network(Entity):
    """kind: Network, DistributedVirtualPortgroup or OpaqueNetwork."""

    kind: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: str
    name: str
    ref: Any = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Machine(Entity):
    """power: poweredOn, poweredOff or suspended. tools: as guest.toolsRunningStatus, such as guestToolsRunning.
    tools_state: as guest.toolsVersionStatus2, such as guestToolsNotInstalled; both "" where it is not known."""

    template: bool
    power: str
    tools: str
    tools_state: str
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Each kind in the order of names. items: all of them, by id."""

    datacenters: tuple[Datacenter, ...]
    folders: tuple[Folder, ...]
    computes: tuple[Compute, ...]
    pools: tuple[Pool, ...]
    hosts: tuple[EsxHost, ...]
    datastores: tuple[Datastore, ...]
    pods: tuple[StoragePod, ...]
    networks: tuple[Network, ...]
    machines: tuple[Machine, ...]
    items: Mapping[str, Entity] = field(repr=False)

    def path(self, item: Entity) -> str:
        """The names from the datacenter or root folder down, with slashes: DC0/vm/lab."""
        names = [item.name]
        for above in self._above(item):
            names.append(above.name)
        return "/".join(reversed(names[:-1] if len(names) > 1 else names))

    def named(self, wanted: str, items: Iterable[One], what: str, where: str) -> One:
        """By its name, its id, its path, or the end of that. what, where: the message's words for it, and for where it
        is not. Raises ValueError."""
        end, every = f"/{wanted.strip('/')}", list(items)
        exact = [one for one in every if wanted in (one.name, one.id)]
        fit = exact or [one for one in every if f"/{self.path(one)}".endswith(end)]
        if len(fit) == 1:
            return fit[0]
        if fit:
            paths = ", ".join(self.path(one) for one in fit[:SHOWN])
            raise ValueError(f"{what} is the name of several; write one of {paths}")
        there = ", ".join(sorted(one.name for one in every)[:SHOWN]) or "none that this account can use"
        raise ValueError(f"there is no {what} on {where}; there are {there}")

    def datacenter_named(self, name: str, where: str) -> Datacenter:
        """By its name or path; "" for the only one. Raises UsageError with those that there are."""
        fit = [one for one in self.datacenters if not name or name in (one.name, self.path(one))]
        if len(fit) == 1:
            return fit[0]
        there = ", ".join(self.path(one) for one in self.datacenters[:SHOWN]) or "none that this account sees"
        if not name:
            raise UsageError(f"{where} has several datacenters: write {where}/DATACENTER; there are {there}")
        wrong = "is the name of several datacenters; write the path" if fit else "is no datacenter there"
        raise UsageError(f"{where}: '{name}' {wrong}; there are {there}")

    def within(self, datacenter: Datacenter) -> Inventory:
        """What lies in this datacenter."""
        inside = {i for i, item in self.items.items() if self._inside(item, datacenter.id)}
        return _inventory(item for item in self.items.values() if item.id in inside)

    def _inside(self, item: Entity, container: str) -> bool:
        return item.id == container or any(above.id == container for above in self._above(item))

    def _above(self, item: Entity) -> list[Entity]:
        """A server that names an object as its own parent ends nothing here."""
        found: list[Entity] = []
        while (parent := self.items.get(item.parent)) is not None and len(found) < 100:
            found.append(parent)
            item = parent
        return found


def inventory_of(session: Session) -> Inventory:
    """All that this account may see. Raises HostError."""
    contents = session.read("looking at what is there", lambda: _retrieved(session))
    return _inventory(_item(content) for content in contents)


def _retrieved(session: Session) -> list[Any]:
    """vmodl.query.PropertyCollector.ObjectContent of each object."""
    collector: Any = session.content.propertyCollector
    result = collector.RetrievePropertiesEx([_question(session.content.rootFolder)], _options())
    found: list[Any] = []
    while result is not None:
        found += result.objects
        if len(found) > VSPHERE_OBJECTS.amount:
            raise HostError(f"{session.where} has too much: {VSPHERE_OBJECTS.exceeded}")
        if not result.token:
            break
        if not result.objects:
            raise HostError(
                f"{session.where} gives its answer in parts that are empty; is that host what it should be?"
            )
        result = collector.ContinueRetrievePropertiesEx(result.token)
    return found


def _options() -> Any:
    from pyVmomi import vmodl

    return vmodl.query.PropertyCollector.RetrieveOptions()


def _question(root: vim.Folder) -> Any:
    from pyVmomi import vim, vmodl

    kinds: Any = vmodl.query.PropertyCollector
    ways = [
        kinds.TraversalSpec(
            name=name,
            type=getattr(vim, start),
            path=path,
            skip=False,
            selectSet=[kinds.SelectionSpec(name=each) for each in onward],
        )
        for name, (start, path, onward) in WALK.items()
    ]
    wanted = [
        kinds.PropertySpec(type=getattr(vim, kind), all=False, pathSet=list(paths))
        for kind, paths in PROPERTIES.items()
    ]
    return kinds.FilterSpec(propSet=wanted, objectSet=[kinds.ObjectSpec(obj=root, skip=False, selectSet=ways)])


def _inventory(items: Iterable[Entity | None]) -> Inventory:
    there = {item.id: item for item in items if item is not None}
    ordered = sorted(there.values(), key=lambda item: (item.name, item.id))
    return Inventory(
        tuple(i for i in ordered if isinstance(i, Datacenter)),
        tuple(i for i in ordered if isinstance(i, Folder)),
        tuple(i for i in ordered if isinstance(i, Compute)),
        tuple(i for i in ordered if isinstance(i, Pool)),
        tuple(i for i in ordered if isinstance(i, EsxHost)),
        tuple(i for i in ordered if isinstance(i, Datastore)),
        tuple(i for i in ordered if isinstance(i, StoragePod)),
        tuple(i for i in ordered if isinstance(i, Network)),
        tuple(i for i in ordered if isinstance(i, Machine)),
        there,
    )


def _item(content: Any) -> Entity | None:
    """None for what builds do not use. A property that is not told is not set there, or hidden from the account."""
    from pyVmomi import vim

    ref, has = content.obj, {p.name: p.val for p in content.propSet}
    common = (_id(ref), shown(unquote(str(has.get("name", "")))), _id(has.get("parent")), ref)
    if isinstance(ref, vim.VirtualMachine):
        return _machine(common, has)
    if isinstance(ref, vim.Datastore):
        return _datastore(common, has)
    if isinstance(ref, vim.Network):
        uplink = any(tag.key == UPLINKS for tag in has.get("tag") or ())
        return None if uplink else Network(*common, type(ref).__name__.rpartition(".")[2])
    if isinstance(ref, vim.HostSystem):
        connected = str(has.get("runtime.connectionState", "")) == "connected"
        return EsxHost(*common, connected and not has.get("runtime.inMaintenanceMode"))
    return _container(ref, common, has)


def _container(ref: object, common: tuple[str, str, str, object], has: Mapping[str, Any]) -> Entity | None:
    from pyVmomi import vim

    if isinstance(ref, vim.StoragePod):
        return StoragePod(*common)
    if isinstance(ref, vim.Folder):
        return Folder(*common, "VirtualMachine" in [_kind(kind) for kind in has.get("childType") or ()])
    if isinstance(ref, vim.Datacenter):
        return Datacenter(*common, _id(has.get("vmFolder")))
    if isinstance(ref, vim.ComputeResource):
        return Compute(*common, isinstance(ref, vim.ClusterComputeResource), _id(has.get("resourcePool")))
    if isinstance(ref, vim.ResourcePool):
        return Pool(*common, isinstance(ref, vim.VirtualApp))
    return None


def _kind(kind: Any) -> str:
    """childType holds types of pyvmomi's, or their names."""
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.rpartition(".")[2]


def _datastore(common: tuple[str, str, str, object], has: Mapping[str, Any]) -> Datastore:
    usable = bool(has.get("summary.accessible")) and has.get("summary.maintenanceMode", "normal") in ("", "normal")
    capacity, free = int(has.get("summary.capacity") or 0), int(has.get("summary.freeSpace") or 0)
    return Datastore(*common, shown(str(has.get("summary.type", ""))), capacity, free, usable)


def _machine(common: tuple[str, str, str, object], has: Mapping[str, Any]) -> Machine:
    return Machine(
        *common,
        bool(has.get("config.template")),
        str(has.get("runtime.powerState", "")),
        str(has.get("guest.toolsRunningStatus", "")),
        str(has.get("guest.toolsVersionStatus2", "")),
        _snapshots(has.get("snapshot")),
    )


def _snapshots(info: Any) -> tuple[Snapshot, ...]:
    """Of the tree, each before those that stand on it."""
    waiting = list(info.rootSnapshotList) if info else []
    found: list[Snapshot] = []
    while waiting and len(found) < VSPHERE_SNAPSHOTS.amount:
        one = waiting.pop(0)
        found.append(Snapshot(_id(one.snapshot), shown(unquote(str(one.name))), one.snapshot))
        waiting += one.childSnapshotList
    return tuple(found)


def _id(ref: Any) -> str:
    return str(ref._moId) if ref is not None else ""
