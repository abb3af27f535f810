"""What a vSphere server is, and what it lacks for builds."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.finding import Finding
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import login_for
from vmgen_build.guests.vsphere.goal import Goal
from vmgen_build.guests.vsphere.inventory import Datacenter, Datastore, Inventory, inventory_of
from vmgen_build.guests.vsphere.privileges import Right, rights
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session, opened
from vmgen_build.guests.vsphere.source import Source, find_source
from vmgen_build.host.tls import Trust
from vmgen_build.recipe.types.bases import BaseSource
from vmgen_build.text import size

ROOM = 10_000_000_000
"""Free bytes of a datastore that a build of a machine with the usual programs needs, its snapshots included."""

SHOWN = 20
"""Names of a kind that are listed at most."""


def look_at(address: Address, trust: Trust, goal: Goal | None = None) -> list[Finding]:
    """goal: what --keep-as names. Raises HostError where there is no way in, UsageError for a datacenter that is not
    there."""
    login = login_for(address, trust)
    with opened(address, login) as session:
        inventory = inventory_of(session)
        datacenter = inventory.datacenter_named(address.datacenter, session.where)
        there = inventory.within(datacenter)
        return [
            *_server(session, login.trust),
            *_place(inventory, datacenter, there),
            *_datastores(there),
            *_rights(rights(session, there), goal),
            _building(session),
            *_keeping(session, goal),
        ]


def look_at_base(session: Session, inventory: Inventory, base: BaseSource) -> list[Finding]:
    """Whether a machine there can be what builds begin with. Raises HostError, UsageError."""
    there = inventory.within(inventory.datacenter_named(session.address.datacenter, session.where))
    try:
        source = find_source(session, inventory, there, base)
    except ValueError as error:
        return [Finding(f"base {base}", False, str(error), advice="Name a machine of the server that is there.")]
    sizes = ", ".join(map(size, source.sizes)) or "none"
    return [
        Finding(f"base {base}", True, f"boots by {source.firmware}; disks: {sizes}"),
        _tools(base, source),
        *_copied(session, base, source),
    ]


def _tools(base: BaseSource, source: Source) -> Finding:
    if source.has_tools:
        return Finding("its VMware Tools", True, "there, or not known before it runs")
    return Finding("its VMware Tools", False, "none", advice=f"Install open-vm-tools in {base}.")


def _copied(session: Session, base: BaseSource, source: Source) -> Iterator[Finding]:
    """What the server lets nobody do with it now, as it says itself."""
    if session.about.kind == "ESXi":
        yield Finding("it can be cloned", False, "an ESXi alone cannot", advice="Name a vCenter, or a disk image.")
        return
    paths = ["disabledMethod", "capability.snapshotOperationsSupported"]
    known = values_of(session, f"looking at {base}", source.machine, paths)
    barred = {str(name) for name in known.get("disabledMethod") or ()}
    cloned = "CloneVM_Task" not in barred
    advice = f"See the server's recent tasks for what {base} waits for."
    yield Finding("it can be cloned", cloned, "yes" if cloned else "not now", advice="" if cloned else advice)
    kept = known.get("capability.snapshotOperationsSupported") is not False
    advice = "Its clones keep no states of steps: give it disks that snapshots cover (no independent or shared ones)."
    yield Finding("its clones can keep states", kept, "yes" if kept else "no", advice="" if kept else advice)


def _building(session: Session) -> Finding:
    if session.about.kind == "ESXi":
        return Finding("building", True, "an ESXi cannot clone machines: no step's result is kept there")
    return Finding("building", True, "results of steps are kept as machines named vmgen-layer-...")


def _keeping(session: Session, goal: Goal | None) -> Iterator[Finding]:
    if goal is not None and session.about.kind == "ESXi":
        advice = "Name its vCenter by --host, or leave --keep-as out."
        yield Finding("--keep-as", False, "an ESXi keeps no templates", advice=advice)


def _server(session: Session, trust: Trust) -> Iterator[Finding]:
    about = session.about
    yield Finding("connection", True, f"{session.where}, {_trusted(trust)}")
    yield Finding("server", True, f"{about.kind} {about.version} build {about.build}, API {about.api} ({about.name})")
    yield Finding("account", True, session.user)


def _trusted(trust: Trust) -> str:
    if trust.insecure:
        return "its certificate NOT verified (--insecure)"
    signed = f"signed by an authority of {trust.cafile or 'this system'}" if trust.verified else ""
    compared = "its thumbprint is the one that was named" if trust.thumbprint else ""
    return " and ".join(filter(None, (signed, compared)))


def _place(inventory: Inventory, datacenter: Datacenter, there: Inventory) -> Iterator[Finding]:
    others = [inventory.path(one) for one in inventory.datacenters if one.id != datacenter.id]
    beside = f"; there are also {_listed(others)}" if others else ""
    yield Finding("datacenter", True, f"{inventory.path(datacenter)}{beside}")
    yield _hosts(there)
    templates = [machine for machine in there.machines if machine.template]
    yield Finding("machines", True, f"{len(there.machines)}, of them templates: {len(templates)}")
    networks = [network.name for network in there.networks]
    advice = "" if networks else "Give the account the privilege Network.Assign on a network there, or make one."
    yield Finding("networks", bool(networks), _listed(networks) or "none that this account sees", advice=advice)


def _hosts(there: Inventory) -> Finding:
    clusters = [compute.name for compute in there.computes if compute.cluster]
    usable = [host.name for host in there.hosts if host.usable]
    text = f"{_listed(usable)}" if usable else "none that is connected, out of maintenance, and seen by this account"
    within = f"; clusters: {_listed(clusters)}" if clusters else ""
    advice = "" if usable else "Connect a host there, or take it out of maintenance."
    return Finding("hosts", bool(usable), f"{text}{within}", advice=advice)


def _datastores(there: Inventory) -> Iterator[Finding]:
    """One with room is enough. The fullest come last."""
    stores = sorted(there.datastores, key=lambda store: (store.usable, store.free), reverse=True)
    roomy = any(_has_room(store) for store in stores)
    if not roomy:
        advice = f"Make room on a datastore there, or add one: a build needs {size(ROOM)}."
        text = "none has room" if stores else "none that this account sees"
        yield Finding("datastores", False, text, advice=advice)
    for store in stores[:SHOWN]:
        free = f"{size(store.free)} of {size(store.capacity)} free, {store.kind}"
        yield Finding(f"datastore {store.name}", True, free if store.usable else "cannot be used now")
    if len(stores) > SHOWN:
        yield Finding("datastores", True, f"and {len(stores) - SHOWN} with less room")


def _has_room(store: Datastore) -> bool:
    return store.usable and store.free >= ROOM


def _rights(found: tuple[Right, ...], goal: Goal | None) -> list[Finding]:
    if not any(right.known for right in found):
        return [Finding("privileges", True, "not known: the server does not tell those of the account")]
    return [_right(right, goal.kind if goal is not None else "") for right in found]


def _right(right: Right, keeps: str) -> Finding:
    """keeps: what a build would keep there, as Goal.kind. What it would not need it may lack."""
    what = f"may {right.operation.title}"
    if not right.lacking:
        return Finding(what, True, f"on {right.on}")
    names = ", ".join(right.lacking)
    where = f"on {right.on}" if right.on else f"on any {right.operation.where}, and sees none"
    if right.operation.keeps not in ("", keeps):
        return Finding(what, True, f"no: lacks {names} {where}; --keep-as alone needs it")
    if right.operation.alone:
        return Finding(what, True, f"no: lacks {names} {where}; {right.operation.alone} alone needs it")
    advice = f"Give the account a role there with: {names} ({right.operation.title})."
    return Finding(what, False, f"lacks {names} {where}", advice=advice)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
