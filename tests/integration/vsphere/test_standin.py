"""The stand-in's own contract, asked by pyvmomi: it does what the API's reference says, no more."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from passlib.hash import sha512_crypt
from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from tests.integration.vsphere.standin.client import (
    MB,
    Operations,
    begun,
    connected,
    destroyed,
    done,
    imported,
    linked,
    reconfigured,
    until,
    up,
    url_of,
)
from tests.integration.vsphere.standin.process import StandIn, stand_in
from tests.integration.vsphere.standin.tiny import tiny_root
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

PASSWORD = "c4n4ry-Gu3st"
RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
ram = 768
[[hdds]]
[[[system]]]
size = 20M
controller = pvscsi
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    recipe = tmp_path_factory.mktemp("recipe") / "lab.ini"
    recipe.write_text(RECIPE)
    return machine_of(load(recipe))


@pytest.fixture(scope="module")
def disk(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With no file system: its root lies there unpacked already."""
    folder = tmp_path_factory.mktemp("disk")
    with (folder / "raw").open("wb") as file:
        file.write(os.urandom(3 * MB))
        file.truncate(20 * MB)
    write_vmdk(folder / "raw", folder / machine.drives[0].file)
    return folder / machine.drives[0].file


@pytest.fixture(scope="module")
def made(program: Path, machine: Machine, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    shared = tmp_path_factory.mktemp("shared")
    tiny_root(shared / f"standin-{sha256_of(disk)[:24]}", PASSWORD)
    with stand_in(program, tmp_path_factory.mktemp("s") / "in", shared, machine, "-trace") as server:
        yield server


@pytest.fixture()
def content(made: StandIn) -> Iterator[Any]:
    made.settings.reset()
    session = connected(made)
    yield session.RetrieveContent()
    Disconnect(session)


def test_leases_of_imports(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    lease, _ = begun(content, machine, disk, "given-up")
    entity = lease.info.entity
    until(lambda: lease.state == "ready")
    with pytest.raises(vim.fault.DuplicateName) as caught:
        begun(content, machine, disk, "given-up")
    assert caught.value.name == "given-up" and caught.value.object == entity
    lease.HttpNfcLeaseAbort()
    assert lease.state == "error" and entity not in content.rootFolder.childEntity[0].vmFolder.childEntity
    vm = imported(made, content, machine, disk, "whole")
    assert vm.config.annotation == "ours"
    destroyed(vm)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.PowerOnVM_Task()


def test_without_a_session_nothing_is_answered(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    vm = imported(made, content, machine, disk, "closed")
    other = connected(made)
    there = vim.VirtualMachine(vm._moId, other._stub)
    Disconnect(other)
    for order in (there.ExportVm, there.PowerOnVM_Task, there.Destroy_Task):
        with pytest.raises(vim.fault.NotAuthenticated):
            order()
    screen = f"https://{made.server.host}:{made.server.port}/folder/closed/closed.vmx?dcPath=DC0&dsName=LocalDS_0"
    assert httpx.get(screen, verify=False).status_code == 401
    destroyed(vm)


def test_an_export(made: StandIn, content: Any, machine: Machine, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made.ground, "machine", None)
    vm = imported(made, content, machine, disk, "out")
    done(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.ExportVm()
    done(vm.PowerOffVM_Task())
    made.settings.change(lease_initializing=0.5, nvram=True)
    lease = vm.ExportVm()
    assert lease.state == "initializing"
    with pytest.raises(vim.fault.InvalidState):
        lease.HttpNfcLeaseProgress(1)
    until(lambda: lease.state == "ready")
    with pytest.raises(vim.fault.TaskInProgress):
        done(vm.Destroy_Task())
    with pytest.raises(vim.fault.TaskInProgress):
        vm.ExportVm()
    device, nvram = lease.info.deviceUrl
    assert (device.disk, device.targetId, nvram.disk, nvram.targetId) == (True, "disk-0.vmdk", False, "out.nvram")
    assert device.key == f"/{vm._moId}/ParaVirtualSCSIController0:0" and device.url.startswith("https://*/")
    answer = httpx.get(url_of(made, device.url), verify=False)
    assert answer.content == disk.read_bytes() and "content-length" not in answer.headers
    lease.HttpNfcLeaseProgress(50)
    [entry] = lease.HttpNfcLeaseGetManifest()
    assert (entry.key, entry.size, entry.sha1) == (
        device.key,
        disk.stat().st_size,
        hashlib.sha1(answer.content).hexdigest(),
    )
    file = vim.OvfManager.OvfFile(deviceId=device.key, path="a&b.vmdk", size=entry.size, capacity=20 * MB)
    params = vim.OvfManager.CreateDescriptorParams(name="out", ovfFiles=[file])
    assert "a&amp;b.vmdk" in content.ovfManager.CreateDescriptor(vm, params).ovfDescriptor
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done" and httpx.get(url_of(made, device.url), verify=False).status_code == 503
    destroyed(vm)


def test_downloads_that_fail(
    made: StandIn, content: Any, machine: Machine, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made.ground, "machine", None)
    vm = imported(made, content, machine, disk, "bad")
    made.settings.change(failures=1, cuts=2, cut_after=MB)
    lease = vm.ExportVm()
    until(lambda: lease.state == "ready")
    url = url_of(made, lease.info.deviceUrl[0].url)
    assert httpx.get(url, verify=False).status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url, verify=False)
    made.settings.change(ranges=True)
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("GET", url, verify=False) as answer:
        received = b""
        for data in answer.iter_bytes():
            received += data
    rest = httpx.get(url, verify=False, headers={"Range": f"bytes={len(received)}-"})
    assert rest.status_code == 206 and received and received + rest.content == disk.read_bytes()
    lease.HttpNfcLeaseAbort()
    made.settings.change(lease_error="the host is down")
    lease = vm.ExportVm()
    until(lambda: lease.state == "error")
    assert lease.error.reason == "the host is down"
    destroyed(vm)


def test_a_lease_that_nobody_renews(
    made: StandIn, content: Any, machine: Machine, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that come are no sign of life."""
    monkeypatch.setattr(made.ground, "machine", None)
    vm = imported(made, content, machine, disk, "late")
    made.settings.change(lease_timeout=1, rate=2 * MB)
    lease = vm.ExportVm()
    until(lambda: lease.state == "ready")
    for _ in range(5):
        time.sleep(0.3)
        lease.HttpNfcLeaseProgress(1)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url_of(made, lease.info.deviceUrl[0].url), verify=False)
    assert lease.state == "error" and isinstance(lease.error, vim.fault.Timedout)
    with pytest.raises(vim.fault.Timedout):
        lease.HttpNfcLeaseProgress(2)
    destroyed(vm)


def test_the_machine_and_its_clones(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    base = imported(made, content, machine, disk, "base")
    with pytest.raises(vmodl.fault.InvalidArgument):
        linked(base, None, "none")
    first = done(base.CreateSnapshot_Task("first", "", False, False))
    hashed = sha512_crypt.using(rounds=5000).hash("one")
    own = [vim.option.OptionValue(key="guestinfo.login", value=hashed)]
    vm = linked(base, first, "vm", annotation="mine", numCPUs=3, extraConfig=own)
    with pytest.raises(vim.fault.DuplicateName):
        linked(base, first, "vm")
    assert (vm.config.annotation, vm.config.hardware.numCPU, vm.name) == ("mine", 3, "vm")
    with pytest.raises(vim.fault.DuplicateName):
        done(vm.Rename_Task("base"))
    up(vm)
    with pytest.raises(vim.fault.InvalidPowerState):
        done(vm.Destroy_Task())
    mine = Operations(made, content, vm, "builder", "one")
    mine.accounts.ValidateCredentialsInGuest(vm, mine.who)
    assert mine.run("echo one >/srv; ls /srv") == 0
    second = done(vm.CreateSnapshot_Task("second", "", False, False))
    assert mine.run("echo two >/srv") == 0
    done(vm.Rename_Task("other"))
    other = linked(vm, second, "vm")
    destroyed(vm, base)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        linked(other, second, "late")
    reconfigured(other, login=sha512_crypt.using(rounds=5000).hash("two"))
    up(other)
    with pytest.raises(vim.fault.InvalidGuestLogin):
        Operations(made, content, other, "builder", "one").run("true")
    assert Operations(made, content, other, "builder", "two").get("/srv") == b"one\n"
    destroyed(other)


def test_guest_operations(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    vm = imported(made, content, machine, disk, "guest")
    ana = Operations(made, content, vm, "ana", PASSWORD)
    with pytest.raises(vim.fault.InvalidPowerState):
        ana.run("true")
    made.settings.change(tools_after=1.0)
    done(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.GuestOperationsUnavailable):
        ana.run("true")
    with pytest.raises(vim.fault.ToolsUnavailable):
        vm.ShutdownGuest()
    until(lambda: vm.guest.guestOperationsReady)
    for user, password in (("ana", "other"), ("nobody", PASSWORD), ("builder", "*"), ("root", "")):
        with pytest.raises(vim.fault.InvalidGuestLogin):
            Operations(made, content, vm, user, password).run("true")
    assert ana.run("exit 7") == 7
    assert ana.run("echo $$; test $(id -u) = 1000 && test $HOME = /tmp && kill -9 $$") == 137
    with pytest.raises(vim.fault.FileNotFound):
        ana.run("true", program="/bin/none")
    folder = ana.files.CreateTemporaryDirectoryInGuest(vm, ana.who, "a", "z", "/dev/shm")
    assert folder.startswith("/dev/shm/a") and folder.endswith("z")
    assert ana.put(f"{folder}/blob", b"x" * 100_000) == 200
    assert httpx.put(ana.last, content=b"again", verify=False).status_code == 404
    assert ana.put(f"{folder}/less", b"less", promised=5) == 500
    assert ana.get(f"{folder}/blob") == b"x" * 100_000
    listed = ana.files.ListFilesInGuest(vm, ana.who, folder).files
    assert {(one.path, one.size) for one in listed if one.type == "file"} == {("blob", 100_000)}
    assert next(one for one in listed if one.path == "blob").attributes.permissions == 0o640
    with pytest.raises(vim.fault.FileAlreadyExists):
        ana.files.MakeDirectoryInGuest(vm, ana.who, folder, True)
    with pytest.raises(vim.fault.DirectoryNotEmpty):
        ana.files.DeleteDirectoryInGuest(vm, ana.who, folder, False)
    ana.files.DeleteFileInGuest(vm, ana.who, f"{folder}/blob")
    with pytest.raises(vim.fault.FileNotFound):
        ana.get(f"{folder}/blob")
    ana.files.DeleteDirectoryInGuest(vm, ana.who, folder, True)
    spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath="/bin/sleep", arguments="1000")
    pid = ana.processes.StartProgramInGuest(vm, ana.who, spec)
    assert ana.ended(pid) is None
    ana.processes.TerminateProcessInGuest(vm, ana.who, pid)
    assert until(lambda: ana.ended(pid)).exitCode == 137
    assert PASSWORD not in str(made.ground.orders)
    vm.ShutdownGuest()
    until(lambda: vm.runtime.powerState == "poweredOff")
    destroyed(vm)


def test_a_boot_is_a_new_one(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    vm = imported(made, content, machine, disk, "boots")
    ana = Operations(made, content, vm, "ana", PASSWORD)
    seen = []
    for _ in range(2):
        up(vm)
        seen.append(ana.get("/proc/sys/kernel/random/boot_id"))
        assert ana.run("test -e /tmp/x || test ! -e /run/x; echo >/tmp/x") == 0
        done(vm.PowerOffVM_Task())
    assert len(set(seen)) == 2
    destroyed(vm)


def test_a_guest_that_speaks_for_itself(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    vm = imported(made, content, machine, disk, "speaks")
    reconfigured(vm, question="two words", login=sha512_crypt.using(rounds=5000).hash("root's"))
    up(vm)
    ana = Operations(made, content, vm, "ana", PASSWORD)
    assert ana.run('vmware-rpctool "info-get guestinfo.none"') == 1
    assert ana.run('vmware-rpctool "info-get guestinfo.question" >/tmp/question') == 0
    assert ana.get("/tmp/question") == b"two words\n"
    assert ana.run('vmware-rpctool "info-set guestinfo.answer a b"') == 0
    until(lambda: "a b" in [one.value for one in vm.config.extraConfig if one.key == "guestinfo.answer"])
    spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath="/usr/bin/systemctl", arguments="poweroff")
    root = Operations(made, content, vm, "builder", "root's")
    root.processes.StartProgramInGuest(vm, root.who, spec)
    until(lambda: vm.runtime.powerState == "poweredOff")
    destroyed(vm)


def test_a_machine_that_does_not_come_up(made: StandIn, content: Any, machine: Machine, disk: Path) -> None:
    vm = imported(made, content, machine, disk, "down")
    made.settings.change(question="Did you move it?")
    done(vm.PowerOnVM_Task())
    assert vm.runtime.question.text == "Did you move it?" and not vm.guest.guestOperationsReady
    made.settings.change(tools_after=-1)
    vm.AnswerVM(vm.runtime.question.id, "0")
    assert vm.runtime.question is None
    place = done(vm.CreateScreenshot_Task())
    store, _, file = place.partition("] ")
    url = f"https://{made.server.host}:{made.server.port}/folder/{file}?dcPath=DC0&dsName={store[1:]}"
    cookie = {"Cookie": vm._stub.cookie.split(";")[0]}
    assert httpx.get(url, headers=cookie, verify=False).content.startswith(b"\x89PNG\r\n")
    content.fileManager.DeleteDatastoreFile_Task(place, content.rootFolder.childEntity[0])
    until(lambda: httpx.get(url, headers=cookie, verify=False).status_code == 404)
    destroyed(vm)
