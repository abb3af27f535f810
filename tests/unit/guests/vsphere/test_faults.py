"""Faults as VMware's own client makes them, and what a user is told of each."""

from __future__ import annotations

import re
import ssl
from http.client import BadStatusLine, RemoteDisconnected
from xml.parsers.expat import ExpatError

import pytest
from pyVmomi import vim, vmodl

from vmgen_build.errors import BuildError, HostError, VmgenError
from vmgen_build.guests.vsphere.faults import TEXTS, ServerLost, as_error


def fault_type(name: str) -> type:
    found = getattr(vim.fault, name, None) or getattr(vmodl.fault, name, None)
    assert isinstance(found, type), f"there is no fault {name}"
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_each_fault_is_there_and_has_the_fields_that_are_shown(name: str) -> None:
    kind = fault_type(name)
    own = {each.name for each in kind._GetPropertyList()}  # type: ignore[attr-defined]
    assert set(re.findall(r"{(\w+)}", TEXTS[name])) <= own
    text = str(as_error(kind(), "vsphere://vcenter: cloning lab"))
    assert text.startswith("vsphere://vcenter: cloning lab: ") and "{" not in text


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (vim.fault.InvalidLogin(msg="Cannot complete login"), HostError, "user or password is wrong"),
        (vim.fault.PasswordExpired(), HostError, "has expired: set a new one"),
        (vim.fault.DuplicateName(name="lab"), HostError, "'lab' is taken there by another"),
        (
            vim.fault.InsufficientMemoryResourcesFault(requested=4096, unreserved=1024),
            HostError,
            "(4096 bytes wanted, 1024 there)",
        ),
        (vim.fault.InsufficientAgentVmsDeployed(), HostError, "not enough of a resource is free"),
        (vim.fault.NoDiskSpace(file="[ds] a.vmdk", datastore="ds"), HostError, "no room for [ds] a.vmdk on the"),
        (vim.fault.FileLocked(file="[ds] a.vmdk"), HostError, "another machine or task uses the file [ds] a.vmdk"),
        (vim.fault.InvalidGuestLogin(), BuildError, "look at [hardware] login"),
        (vim.fault.ToolsUnavailable(), BuildError, "install open-vm-tools"),
        (vim.fault.GuestOperationsUnavailable(), BuildError, "take no orders yet"),
        (vim.fault.GuestProcessNotFound(pid=7), BuildError, "the process 7 is not known in the guest"),
        (vim.fault.Timedout(), HostError, "the server has given up waiting"),
        (vim.fault.RestrictedVersion(), HostError, "that of a free ESXi does not"),
        (vim.fault.QuestionPending(text="moved or copied?"), HostError, "waits for an answer: 'moved or copied?'"),
        (vmodl.fault.InvalidArgument(invalidProperty="spec.name"), HostError, "it does not take spec.name"),
        (vim.fault.VmConfigFault(msg="odd"), HostError, "the server refuses: VmConfigFault (the server says: odd)"),
    ],
    ids=lambda value: type(value).__name__.rpartition(".")[2] if isinstance(value, Exception) else None,
)
def test_what_a_user_reads(fault: Exception, kind: type[VmgenError], text: str) -> None:
    error = as_error(fault, "vsphere://vcenter: cloning")
    assert type(error) is kind and text in str(error), str(error)


def test_a_lacking_privilege_is_named_with_its_object() -> None:
    fault = vim.fault.NoPermission(
        object=vim.Datastore("datastore-7", None),
        privilegeId="Datastore.AllocateSpace",
        msg="Permission denied\x1b[31m",
    )
    assert str(as_error(fault, "making a disk", lambda thing: {"datastore-7": "fast ssd"}[thing._moId])) == (  # type: ignore[attr-defined]
        "making a disk: the account lacks the privilege Datastore.AllocateSpace on 'fast ssd': let an administrator add"
        " it to the account's role there; 'vmgen-build doctor --host vsphere://...' says what builds need"
        " (the server says: Permission denied)"
    )
    assert "on 'datastore-7'" in str(as_error(fault, "making a disk"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "refused"), "it refuses connections: look at name and port"),
        (TimeoutError("timed out"), "it does not answer"),
        (RemoteDisconnected("Remote end closed"), "no connection, or it was cut (Remote end closed)"),
        (ConnectionResetError(104, "Connection reset by peer"), "it was cut (Connection reset by peer)"),
        (OSError(-2, "Name or service not known"), "(Name or service not known)"),
        (BadStatusLine("SSH-2.0"), "does not speak as a vSphere server does"),
        (ExpatError("no element found"), "what answers is no vSphere server"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "it speaks no TLS that this host takes"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_a_user_reads_of_a_lost_connection(error: Exception, text: str) -> None:
    lost = as_error(error, "vsphere://vcenter")
    assert isinstance(lost, ServerLost) and text in str(lost), str(lost)


def test_our_own_message_stays() -> None:
    error = HostError("as it is")
    assert as_error(error, "whatever") is error
