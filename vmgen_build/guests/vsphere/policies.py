"""Storage policies of a vCenter: found by name, and which datastores fit one.

They are the matter of a service of their own, on the same connection's trust and session (VMware Storage Policy API
Reference: PbmProfileProfileManager, PbmPlacementSolver).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, TypeVar

from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.inventory import Datastore
from vmgen_build.guests.vsphere.session import IDLE, Session

Answer = TypeVar("Answer")

PATH = "/pbm/sdk"

VERSION = "pbm.version.version11"
"""Of API 6.5, the first that tells which datastores fit."""

SHOWN = 20
"""Names that a message lists at most."""


@dataclass(frozen=True, slots=True)
class Policy:
    """id: the server's own."""

    id: str
    name: str


def profiles_of(policy: Policy | None) -> list[Any]:
    """What a machine or disk of this policy is asked for with: vim.vm.ProfileSpec; none for none."""
    from pyVmomi import vim

    return [vim.vm.DefinedProfileSpec(profileId=policy.id)] if policy is not None else []


def demand_profiles(config: Any, policy: Policy | None) -> None:
    """config: vim.vm.ConfigSpec of a new machine: it and its disks are asked for with the policy."""
    from pyVmomi import vim

    if policy is None:
        return
    config.vmProfile = profiles_of(policy)
    for change in config.deviceChange or ():
        if isinstance(change.device, vim.vm.device.VirtualDisk):
            change.profile = profiles_of(policy)


def locators_of(policy: Policy, disks: Sequence[int], datastore: object, move: str) -> list[Any]:
    """How each disk of a clone, by its key, lies on the datastore (vim.vm.RelocateSpec.disk): the policy of a machine
    alone is that of its home. move: as diskMoveType has it."""
    from pyVmomi import vim

    locator: Any = vim.vm.RelocateSpec.DiskLocator
    return [locator(diskId=key, datastore=datastore, diskMoveType=move, profile=profiles_of(policy)) for key in disks]


def find_policy(session: Session, name: str) -> Policy:
    """Raises UsageError with the names that there are, HostError where the server has no policies."""
    if session.about.kind == "ESXi":
        raise HostError(
            f"{session.where}: an ESXi alone has no storage policies: leave --storage-policy out, or name its vCenter"
        )
    there = _asked(session, "looking for its storage policies", _policies)
    fit = [one for one in there if name in (one.name, one.id)]
    if len(fit) == 1:
        return fit[0]
    if fit:
        ids = ", ".join(one.id for one in fit[:SHOWN])
        raise UsageError(f"--storage-policy: '{name}' is the name of several; write the id of one: {ids}")
    names = ", ".join(sorted(one.name for one in there)[:SHOWN]) or "none that this account sees"
    raise UsageError(f"--storage-policy: there is no '{name}' on {session.where}; there are {names}")


def fitting(session: Session, policy: Policy, datastores: Sequence[Datastore]) -> list[Datastore]:
    """Those that can hold what the policy demands. Raises HostError."""
    if not datastores:
        return []
    what = f"asking which datastores fit the storage policy '{policy.name}'"
    fit = _asked(session, what, lambda content: set(_hubs_that_fit(content, policy, datastores)))
    return [one for one in datastores if one.id in fit]


def _policies(content: Any) -> list[Policy]:
    """content: pbm.ServiceInstanceContent."""
    from pyVmomi import pbm

    manager: Any = content.profileManager
    storage = pbm.profile.ResourceType(resourceType="STORAGE")
    ids = manager.PbmQueryProfile(resourceType=storage, profileCategory="REQUIREMENT")
    found = manager.PbmRetrieveContent(profileIds=ids) if ids else []
    return [Policy(str(one.profileId.uniqueId), shown(str(one.name))) for one in found]


def _hubs_that_fit(content: Any, policy: Policy, datastores: Iterable[Datastore]) -> Iterator[str]:
    from pyVmomi import pbm

    places: Any = pbm.placement
    results = content.placementSolver.PbmCheckRequirements(
        hubsToSearch=[places.PlacementHub(hubType="Datastore", hubId=one.id) for one in datastores],
        placementSubjectRequirement=[
            places.CapabilityProfileRequirement(profileId=pbm.profile.ProfileId(uniqueId=policy.id))
        ],
    )
    return (str(one.hub.hubId) for one in results or () if not one.error)


def _asked(session: Session, what: str, question: Callable[[Any], Answer]) -> Answer:
    def ask() -> Answer:
        with _content(session) as content:
            return question(content)

    return session.read(what, ask)


@contextmanager
def _content(session: Session) -> Iterator[Any]:
    """pbm.ServiceInstanceContent, by the session's cookie as it is now."""
    from pyVmomi import pbm
    from pyVmomi.SoapAdapter import SoapStubAdapter

    cookie = str(session.stub.cookie or "").partition(";")[0]
    stub: Any = SoapStubAdapter(
        session.address.name,
        session.address.port,
        path=PATH,
        version=VERSION,
        acceptCompressedResponses=False,
        connectionPoolTimeout=IDLE,
        requestContext={"vcSessionCookie": cookie.partition("=")[2].strip('"')},
    )
    stub.scheme, stub.schemeArgs = session.stub.scheme, session.stub.schemeArgs
    stub.cookie = cookie
    instance: Any = pbm.ServiceInstance("ServiceInstance", stub)
    try:
        yield instance.RetrieveContent()
    except HTTPException as error:
        if not str(error).startswith("404"):
            raise
        raise HostError(f"{session.where}: this server has no storage policies: leave --storage-policy out") from error
    finally:
        stub.DropConnections()
