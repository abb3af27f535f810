"""What a vSphere server refuses or fails at, as messages that say what to do.

Faults are known by the names of their types (vSphere Web Services API Reference, "Faults"), and by those of the types
that they derive from, the nearest first. So this imports nothing of pyvmomi.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from xml.parsers.expat import ExpatError

from vmgen_build.errors import BuildError, HostError, VmgenError
from vmgen_build.guests.runners.answers import shown

Named = Callable[[object], str]
"""The name of a managed object, for people."""

LOST = (OSError, HTTPException, ExpatError)
"""What pyvmomi raises where there is no connection, or no whole answer."""


class ServerLost(HostError):
    """No connection, or none any more."""


_LOGIN = {
    "PasswordExpired": "the password is right and has expired: set a new one on the server",
    "InvalidLogin": "user or password is wrong, or the account is locked after too many wrong ones: look at both (on a"
    " vCenter the user's name has its domain: administrator@vsphere.local)",
    "NoPermission": "the account lacks the privilege {privilegeId} on {object}: let an administrator add it to the"
    " account's role there; 'vmgen-build doctor --host vsphere://...' says what builds need",
    "NotAuthenticated": "the session has ended on the server: try again",
    "NoSubjectName": "the account has no name that the server takes: log in as another user",
    "InvalidLocale": "the server knows no English: install its English messages",
    "NoClientCertificate": "it wants a client's certificate, which is not supported: log in as a user",
    "RestrictedVersion": "its license lets nobody change it by the API (that of a free ESXi does not): license it, or"
    " build on this host, without --host",
    "LicenseServerUnavailable": "its license server does not answer: look at the server's licenses",
    "NotEnoughLicenses": "its licenses do not allow this: look at the server's licenses",
}

_ROOM = {
    "NoDiskSpace": "no room for {file} on the datastore {datastore}: free some, or name another datastore",
    "InsufficientStorageSpace": "no datastore has room for it: free some, or name another datastore",
    "InsufficientStorageIops": "the datastore's limit of operations is reached: name another one",
    "InsufficientMemoryResourcesFault": "not enough memory is free ({requested} bytes wanted, {unreserved} there): stop"
    " machines there, lower [hardware] ram, or name another host or pool",
    "InsufficientCpuResourcesFault": "not enough processor time is free ({requested} MHz wanted, {unreserved} there):"
    " stop machines there, lower [hardware] num_cpu, or name another host or pool",
    "InsufficientHostCapacityFault": "no host has room to run it: stop machines there, or name another cluster",
    "InsufficientFailoverResourcesFault": "the cluster keeps the room that is left for failures of hosts: stop machines"
    " there, or let an administrator look at its admission control",
    "InsufficientVFlashResourcesFault": "its flash cache has no room: let an administrator look at it",
    "InsufficientResourcesFault": "not enough of a resource is free: stop machines there, or name another host or pool",
    "NumVirtualCpusExceedsLimit": "more processors than the server's license or host allows: lower [hardware] num_cpu",
    "MemorySizeNotSupported": "that much memory is not supported there: change [hardware] ram",
}

_FILES = {
    "FileLocked": "another machine or task uses the file {file}: power that machine off, or wait for its backup",
    "FileNotFound": "the file {file} is not there any more: look at the datastore",
    "FileAlreadyExists": "the file {file} is there already: remove it, or take another name",
    "FileNotWritable": "the file {file} cannot be written: look at the datastore's state and its permissions",
    "FileTooLarge": "the file {file} is larger than the datastore {datastore} allows: name another datastore",
    "FileFault": "the file {file} cannot be used",
    "CannotAccessFile": "the file {file} cannot be reached: look whether its datastore is mounted on the host",
    "InaccessibleDatastore": "the datastore {name} cannot be reached: let an administrator look at it, or name another",
    "DatastoreNotWritableOnHost": "the datastore {name} cannot be written from {host}: name another",
    "InvalidDatastore": "there is no usable datastore {name}: 'vmgen-build doctor --host vsphere://...' lists them",
    "InvalidDatastorePath": "'{datastorePath}' is no path of a datastore: write it as [datastore] folder/file",
}

_STATE = {
    "DuplicateName": "'{name}' is taken there by another: rename that one, or take another name",
    "AlreadyExists": "{name} is there already: remove it, or take another name",
    "InvalidName": "'{name}' is no name that the server takes: take another",
    "ManagedObjectNotFound": "{obj} is gone: somebody else has removed it meanwhile; build again",
    "QuestionPending": "the machine waits for an answer: '{text}': answer it in the server's console",
    "InvalidPowerState": "the machine is {existingState}, and had to be {requestedState}: somebody has switched it",
    "TaskInProgress": "another task is at work on it: wait until it has ended",
    "ConcurrentAccess": "somebody else has changed it meanwhile: try again",
    "HostNotConnected": "the host that it lies on is not connected: let an administrator look at it",
    "HostNotReachable": "the host that it lies on does not answer: let an administrator look at it",
    "HostCommunication": "the host that it lies on does not answer as it should: let an administrator look at it",
    "InvalidState": "it is in a state in which this cannot be done: look at it in the server's console",
    "Timedout": "the server has given up waiting: look at its recent tasks; it may be busy, so try again later",
    "RequestCanceled": "somebody has canceled it on the server: build again",
    "SnapshotFault": "its snapshots do not allow this: look at them in the server's console",
    "VirtualHardwareVersionNotSupported": "that virtual hardware is too new there: set [hardware] hw_version",
    "UnsupportedGuest": "the server does not know the guest's system: name one that it knows",
    "MethodNotFound": "this server does not know {method}: it is too old or another kind of server",
    "NotSupported": "this server does not support it",
    "NotImplemented": "this server does not support it",
    "InvalidArgument": "it does not take {invalidProperty} as it was given",
    "HostConfigFault": "its host cannot be set so: look at the server's events",
}

_GUEST = {
    "ToolsUnavailable": "VMware Tools do not run in the guest: install open-vm-tools in the base, and wait until the"
    " machine is up",
    "InvalidGuestLogin": "the guest refuses user or password: look at [hardware] login and its password",
    "GuestAuthenticationChallenge": "the guest wants more than a password from that user: name another by login",
    "GuestPermissionDenied": "the guest's user may not do this: name one that may by login (root, or an administrator)",
    "GuestOperationsUnavailable": "VMware Tools in the guest take no orders yet, or never: wait until it is up,"
    " and look whether open-vm-tools is installed and runs",
    "GuestComponentsOutOfDate": "VMware Tools in the guest are too old for this: update them in the base",
    "GuestProcessNotFound": "the process {pid} is not known in the guest any more: it may have restarted",
    "GuestMultipleMappings": "several users of the guest stand for one: name another by login",
    "GuestRegistryFault": "the guest's registry cannot be used so",
    "OperationDisabledByGuest": "VMware Tools in the guest are set to refuse this: look at their tools.conf",
    "OperationNotSupportedByGuest": "the guest's system does not support this by VMware Tools",
    "TooManyGuestLogons": "too many users are logged in to the guest: restart it",
    "GuestOperationsFault": "VMware Tools in the guest refuse this",
}

TEXTS: Mapping[str, str] = _LOGIN | _ROOM | _FILES | _STATE | _GUEST
"""What is wrong and what to do, by the last part of a fault's name. {field}: the fault's own."""


class _Fields:
    """A fault's fields as texts; what the server left out is told so."""

    def __init__(self, fault: object, named: Named) -> None:
        self._fault, self._named = fault, named

    def __getitem__(self, field: str) -> str:
        value = getattr(self._fault, field, None)
        if hasattr(value, "_moId"):
            return f"'{shown(self._named(value))}'"
        return "(not told)" if value is None or value == "" else shown(str(value))


def plain_name(thing: object) -> str:
    """Where nothing better is known: the server's own identifier, such as vm-42."""
    return str(getattr(thing, "_moId", thing))


def kinds_of(fault: BaseException) -> tuple[str, ...]:
    """The last parts of the names of its type and of those that it derives from, the nearest first."""
    return tuple(kind.__name__.rpartition(".")[2] for kind in type(fault).__mro__)


def has_kind(error: BaseException, kind: str) -> bool:
    """Whether it, or what it comes from, is a fault of this name."""
    each: BaseException | None = error
    while each is not None:
        if kind in kinds_of(each):
            return True
        each = each.__cause__
    return False


def is_fault(error: BaseException) -> bool:
    """Whether a server has sent it."""
    return "MethodFault" in kinds_of(error)


def as_error(error: BaseException, what: str, named: Named = plain_name) -> VmgenError:
    """The error for a user. error: a fault, or one of LOST. what: was done, and where, as the message's beginning."""
    if isinstance(error, VmgenError):
        return error
    if not is_fault(error):
        return ServerLost(f"{what}: {_lost(error)}")
    kinds = kinds_of(error)
    key = next((kind for kind in kinds if kind in TEXTS), "")
    own = shown(str(getattr(error, "msg", None) or ""))
    text = TEXTS[key].format_map(_Fields(error, named)) if key else f"the server refuses: {kinds[0]}"
    added = f" (the server says: {own})" if own and key != "InvalidLogin" else ""
    return (BuildError if key in _GUEST else HostError)(f"{what}: {text}{added}")


def _lost(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {shown(error.verify_message or str(error))}"
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "reason", None) or str(error)
        return f"it speaks no TLS that this host takes ({shown(why)}): look at its port"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses connections: look at name and port, and whether its service runs"
    if isinstance(error, TimeoutError):
        return "it does not answer: look at the network and at the server"
    if isinstance(error, ExpatError):
        return "what answers is no vSphere server, or its answer was cut: look at name and port"
    if isinstance(error, HTTPException) and not isinstance(error, OSError):
        return f"what answers does not speak as a vSphere server does ({shown(str(error)) or type(error).__name__})"
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"no connection, or it was cut ({shown(str(why))}): look at the network and at the server"
