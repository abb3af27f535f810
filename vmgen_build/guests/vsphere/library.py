"""Content libraries of a vCenter: a machine becomes a template in one (vSphere Automation API:
com.vmware.content.library, vcenter.vm_template.library_items)."""

from __future__ import annotations

from typing import Any

from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.goal import Goal
from vmgen_build.guests.vsphere.properties import id_of
from vmgen_build.guests.vsphere.rest import Rest
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.limits import VSPHERE_TASK

LIBRARIES, ITEMS = "/content/library", "/content/library/item"
TEMPLATES = "/vcenter/vm-template/library-items"

LOCAL = "LOCAL"
"""The kind of library that takes something. One of the kind SUBSCRIBED shows another's."""

SHOWN = 20
"""Names that a message lists at most."""


def free_library(session: Session, rest: Rest, goal: Goal) -> str:
    """Its id. Raises UsageError where it takes no item of the goal's name, with the names of those that there are."""
    what = f"looking for the content library {goal.library}"
    named = _texts(rest.find(LIBRARIES, {"name": goal.library}, what))
    found = [one for one in (_library(rest, each, what) for each in named) if one["name"] == goal.library]
    fit = [one for one in found if one["type"] == LOCAL]
    if found and not fit:
        raise UsageError(f"--keep-as: the library '{goal.library}' shows what another holds; name one that is local")
    if len(fit) > 1:
        raise UsageError(f"--keep-as: '{goal.library}' is the name of several libraries; let one be renamed")
    if not fit:
        ids = _texts(rest.get(LIBRARIES, what))[:SHOWN]
        names = sorted(one["name"] for one in (_library(rest, each, what) for each in ids) if one["type"] == LOCAL)
        there = ", ".join(names) or "none that this account sees"
        raise UsageError(f"--keep-as: there is no library '{goal.library}' on {session.where}; there are {there}")
    library = fit[0]["id"]
    if _texts(rest.find(ITEMS, {"library_id": library, "name": goal.name}, what)):
        raise UsageError(
            f"--keep-as: the library '{goal.library}' has an item '{goal.name}' already: take another name, or remove"
            " that one there"
        )
    return str(library)


def put_into(rest: Rest, library: str, goal: Goal, machine: Any, site: ServerSite) -> None:
    """Make an item of a machine that is off: a copy. library: its id. Raises HostError; the server makes an item whole
    or not at all."""
    storage: dict[str, Any] = {"datastore": id_of(site.datastore.ref)}
    if site.policy is not None:
        storage["storage_policy"] = {"type": "USE_SPECIFIED_POLICY", "policy": site.policy.id}
    placement = {"folder": id_of(site.folder.ref), "resource_pool": id_of(site.pool.ref)}
    if site.host is not None:
        placement["host"] = id_of(site.host.ref)
    spec = {
        "source_vm": id_of(machine),
        "name": goal.name,
        "library": library,
        "placement": placement,
        "disk_storage": storage,
        "vm_home_storage": storage,
    }
    what = f"putting {goal.name} into the library {goal.library}"
    rest.create(TEMPLATES, spec, what, silence=VSPHERE_TASK.amount)


def _library(rest: Rest, library: str, what: str) -> dict[str, str]:
    """Its id, name and type. Raises HostError."""
    found = rest.get(LIBRARIES, what, library)
    if not isinstance(found, dict) or not {"name", "type"} <= found.keys():
        raise HostError(f"{what}: the server's answer describes no library")
    return {"id": library, "name": shown(str(found["name"])), "type": str(found["type"])}


def _texts(value: object) -> list[str]:
    """Of an answer that is a list of ids, or nothing. Raises HostError."""
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(one, str) and one.isascii() for one in found):
        raise HostError("the server's answer is no list of ids; is that host what it should be?")
    return found
