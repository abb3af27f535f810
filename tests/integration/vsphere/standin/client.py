"""What the tests of the stand-in ask of it, by pyvmomi."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyVim.connect import SmartConnect
from pyVmomi import vim

from tests.integration.vsphere.standin.process import StandIn
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.plan.machine import Machine

MB = 1 << 20


def connected(made: StandIn) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    own = made.server
    return SmartConnect(host=own.host, port=own.port, user=own.user, pwd=own.password, sslContext=context)


def until(question: Callable[[], Any], patience: float = 20) -> Any:
    """Its answer, once it is one."""
    end = time.monotonic() + patience
    while not (found := question()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return found


def done(task: Any) -> Any:
    """Its result; raises its fault."""
    until(lambda: task.info.state in ("success", "error"))
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


def url_of(made: StandIn, url: str) -> str:
    return url.replace("*", f"{made.server.host}:{made.server.port}")


def begun(content: Any, machine: Machine, disk: Path, name: str) -> tuple[Any, Any]:
    """A lease for an import, and the server's list of files."""
    datacenter = content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    params = vim.OvfManager.CreateImportSpecParams(
        entityName=name, diskProvisioning="thin", networkMapping=[], propertyMapping=[]
    )
    text = descriptor(machine, [OvfFile(disk.name, disk.stat().st_size, 20 * MB)])
    spec = content.ovfManager.CreateImportSpec(text, pool, datacenter.datastore[0], params)
    assert not spec.error
    spec.importSpec.configSpec.annotation = "ours"
    return pool.ImportVApp(spec.importSpec, datacenter.vmFolder), spec.fileItem


def imported(made: StandIn, content: Any, machine: Machine, disk: Path, name: str) -> Any:
    lease, items = begun(content, machine, disk, name)
    until(lambda: lease.state == "ready")
    [device] = lease.info.deviceUrl
    assert device.importKey == items[0].deviceId
    vm = lease.info.entity
    with pytest.raises(vim.fault.InvalidState):
        lease.HttpNfcLeaseComplete()
    httpx.post(url_of(made, device.url), content=disk.read_bytes(), verify=False).raise_for_status()
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done"
    return vm


def reconfigured(vm: Any, **options: str) -> None:
    given = [vim.option.OptionValue(key=f"guestinfo.{name}", value=value) for name, value in options.items()]
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=given)))


def linked(vm: Any, snapshot: Any, name: str, **config: Any) -> Any:
    spec = vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(diskMoveType="createNewChildDiskBacking", pool=vm.resourcePool),
        powerOn=False,
        template=False,
        snapshot=snapshot,
        config=vim.vm.ConfigSpec(**config),
    )
    return done(vm.CloneVM_Task(vm.parent, name, spec))


def up(vm: Any) -> None:
    done(vm.PowerOnVM_Task())
    until(lambda: vm.guest.guestOperationsReady)
    assert vm.guest.toolsRunningStatus == "guestToolsRunning"


def destroyed(*machines: Any) -> None:
    for vm in machines:
        if vm.runtime.powerState == "poweredOn":
            done(vm.PowerOffVM_Task())
        done(vm.Destroy_Task())


class Operations:
    """Guest operations as one user."""

    def __init__(self, made: StandIn, content: Any, vm: Any, user: str, password: str) -> None:
        manager = content.guestOperationsManager
        self.files, self.processes, self.accounts = manager.fileManager, manager.processManager, manager.authManager
        self._made, self.vm = made, vm
        self.who = vim.vm.guest.NamePasswordAuthentication(username=user, password=password, interactiveSession=False)

    def run(self, line: str, program: str = "/bin/sh") -> int:
        """The exit code of a line of the shell."""
        spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=program, arguments=f"-c '{line}'")
        pid = self.processes.StartProgramInGuest(self.vm, self.who, spec)
        return int(until(lambda: self.ended(pid)).exitCode)

    def ended(self, pid: int) -> Any:
        [found] = self.processes.ListProcessesInGuest(self.vm, self.who, [pid])
        return found if found.endTime else None

    def put(self, path: str, data: bytes, mode: int = 0o640, promised: int | None = None) -> int:
        attributes = vim.vm.guest.FileManager.PosixFileAttributes(permissions=mode)
        size = len(data) if promised is None else promised
        url = self.files.InitiateFileTransferToGuest(self.vm, self.who, path, attributes, size, True)
        self.last = url_of(self._made, url)
        return httpx.put(self.last, content=data, verify=False).status_code

    def get(self, path: str) -> bytes:
        info = self.files.InitiateFileTransferFromGuest(self.vm, self.who, path)
        data = httpx.get(url_of(self._made, info.url), verify=False).content
        assert len(data) == info.size
        return data
