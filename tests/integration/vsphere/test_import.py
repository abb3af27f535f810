"""An OVA as a vCenter imports it: pyvmomi, VMware's own client, talks to VMware's own simulator (govmomi)."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from tests.integration.vsphere.simulator import Simulator, started
from tests.vimjson import vim_object
from vmgen_build.artifacts.ova import check_ova, opened_member, write_ova
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor, with_empty_disks
from vmgen_build.artifacts.vimspec import config_spec_json
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.machines.setupdrives import with_media
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

MB = 1 << 20

RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
num_cpu = 2
ram = 768
[[hdds]]
[[[system]]]
size = 512M
controller = pvscsi
[[[data]]]
size = 20M
scsi_index = 1
[[[more]]]
size = 10M
type = ide
[[cds]]
[[[cd0]]]
image = tools.iso
[[[cd1]]]
[[eths]]
[[[eth0]]]
adapter = vmxnet3
[[[eth1]]]
type = bridged
adapter = e1000e
[[[eth2]]]
type = hostonly
"""
"""No SATA, no NVMe: the simulator's importer knows neither."""


@pytest.fixture()
def simulator(program: Path, tmp_path: Path) -> Iterator[Simulator]:
    with started(program, tmp_path / "simulator.log") as made:
        yield made


@pytest.fixture()
def content(simulator: Simulator) -> Iterator[Any]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = SmartConnect(
        host=simulator.host, port=simulator.port, user=simulator.user, pwd=simulator.password, sslContext=context
    )
    yield session.RetrieveContent()
    Disconnect(session)


@pytest.fixture()
def ova(tmp_path: Path) -> Path:
    (tmp_path / "lab.ini").write_text(RECIPE)
    (tmp_path / "tools.iso").write_bytes(os.urandom(70000))
    machine = machine_of(load(tmp_path / "lab.ini"))
    files, parts = [], []
    for drive in machine.drives:
        assert drive.size is not None
        raw = tmp_path / f"{drive.name}.raw"
        with raw.open("wb") as file:
            file.write(os.urandom(100000))
            file.truncate(drive.size)
        files.append(write_vmdk(raw, tmp_path / drive.file, adapter="ide" if drive.bus == "ide" else "lsilogic"))
        parts.append(OvfFile(drive.file, files[-1].size, drive.size))
    iso = tmp_path / "tools.iso"
    files.append(Written(iso, iso.stat().st_size, sha256_of(iso)))
    parts.append(OvfFile(iso.name, files[-1].size))
    return write_ova(tmp_path / "lab.ova", descriptor(machine, parts), files, epoch=1700000000).path


def imported(content: Any, simulator: Simulator, ova: Path) -> Any:
    """The machine that a vCenter makes of it, as an importer asks it to."""
    found = check_ova(ova)
    assert found.findings == ()
    datacenter = content.rootFolder.childEntity[0]
    host = datacenter.hostFolder.childEntity[0]
    params = vim.OvfManager.CreateImportSpecParams(
        entityName="imported", diskProvisioning="thin", networkMapping=[], propertyMapping=[]
    )
    spec = content.ovfManager.CreateImportSpec(found.descriptor, host.resourcePool, datacenter.datastore[0], params)
    assert not spec.error and not spec.warning, spec
    lease = host.resourcePool.ImportVApp(spec.importSpec, datacenter.vmFolder)
    assert lease.state == vim.HttpNfcLease.State.ready
    urls = {device.importKey: device.url for device in lease.info.deviceUrl}
    members = {member.name: member for member in found.members}
    assert [item.path for item in spec.fileItem] == [m.name for m in found.members][2:]
    for item in spec.fileItem:
        assert item.size == members[item.path].size
        url = urls[item.deviceId].replace("*", f"{simulator.host}:{simulator.port}")
        with opened_member(ova, members[item.path]) as file:
            httpx.post(url, content=iter(lambda f=file: f.read(65536), b""), verify=False).raise_for_status()
    machine = lease.info.entity
    lease.HttpNfcLeaseComplete()
    return machine


def test_a_vcenter_imports_it(content: Any, simulator: Simulator, ova: Path) -> None:
    config = imported(content, simulator, ova).config
    assert (config.name, config.guestId, config.version) == ("imported", "debian10_64Guest", "vmx-13")
    assert (config.hardware.numCPU, config.hardware.memoryMB) == (2, 768)
    devices = {device.key: device for device in config.hardware.device}
    disks = [device for device in devices.values() if isinstance(device, vim.vm.device.VirtualDisk)]
    assert [(disk.capacityInKB, kind(devices[disk.controllerKey])) for disk in disks] == [
        (512 << 10, "ParaVirtualSCSIController"),
        (20 << 10, "VirtualLsiLogicController"),
        (10 << 10, "VirtualIDEController"),
    ]
    cds = [device for device in devices.values() if isinstance(device, vim.vm.device.VirtualCdrom)]
    assert [isinstance(devices[cd.controllerKey], vim.vm.device.VirtualIDEController) for cd in cds] == [True, True]
    nics = [device for device in devices.values() if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    assert [kind(nic) for nic in nics] == [
        "VirtualVmxnet3",
        "VirtualE1000e",
        "VirtualE1000",
    ]


def test_a_vcenter_makes_it_of_the_spec(content: Any, simulator: Simulator, tmp_path: Path) -> None:
    """What `compile` writes as JSON, by pyvmomi's types. The disks that it names are there, and empty."""
    (tmp_path / "lab.ini").write_text(RECIPE)
    text = config_spec_json(machine_of(load(tmp_path / "lab.ini")))
    for network in ("NAT", "bridged", "hostonly"):
        text = text.replace(f'"deviceName": "{network}"', '"deviceName": "VM Network"')
    spec = vim_object(json.loads(text.replace("[datastore]", "[LocalDS_0]")))
    datacenter = content.rootFolder.childEntity[0]
    drives = machine_of(load(tmp_path / "lab.ini")).drives
    for name in [name for drive in drives for name in (drive.file, drive.file.replace(".vmdk", "-flat.vmdk"))]:
        url = f"https://{simulator.host}:{simulator.port}/folder/lab/{name}?dcPath=DC0&dsName=LocalDS_0"
        httpx.put(url, headers={"Cookie": content.rootFolder._stub.cookie}, verify=False).raise_for_status()
    task = datacenter.vmFolder.CreateVM_Task(spec, datacenter.hostFolder.childEntity[0].resourcePool)
    assert task.info.state == "success", task.info.error
    config = task.info.result.config
    assert (config.name, config.guestId, config.version) == ("lab", "debian10_64Guest", "vmx-13")
    assert (config.hardware.numCPU, config.hardware.memoryMB, config.firmware) == (2, 768, "bios")
    devices = {device.key: device for device in config.hardware.device}
    hanging = [
        (kind(devices[device.controllerKey]), devices[device.controllerKey].busNumber, device.unitNumber)
        for device in config.hardware.device
        if isinstance(device, vim.vm.device.VirtualDisk | vim.vm.device.VirtualCdrom)
    ]
    assert hanging == [
        ("ParaVirtualSCSIController", 0, 0),
        ("VirtualLsiLogicController", 1, 0),
        ("VirtualIDEController", 0, 0),
        ("VirtualIDEController", 1, 0),
        ("VirtualIDEController", 1, 1),
    ]
    nics = [device for device in config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    assert [kind(nic) for nic in nics] == ["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000"]
    assert [nic.macAddress for nic in nics] == [nic.hw_addr for nic in machine_of(load(tmp_path / "lab.ini")).nics]


def test_a_vcenter_makes_a_windows_before_its_setup(content: Any, tmp_path: Path) -> None:
    """What `compile` writes for ovftool: disks that the server makes, and the media in their drives. The simulator's
    importer breaks down at a disk without fileRef, and gets one that names no file."""
    (tmp_path / "lab.ini").write_text("[hardware]\nvm_id = lab\nos = winxppro\n")
    recipe = load(tmp_path / "lab.ini")
    drives = with_media(recipe, machine_of(recipe))
    text = with_empty_disks(drives.machine, drives.first).replace("ovf:diskId=", 'ovf:fileRef="" ovf:diskId=')
    datacenter = content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    params = vim.OvfManager.CreateImportSpecParams(
        entityName="imported", diskProvisioning="thin", networkMapping=[], propertyMapping=[]
    )
    spec = content.ovfManager.CreateImportSpec(text, pool, datacenter.datastore[0], params)
    assert not spec.error and not spec.warning, spec
    lease = pool.ImportVApp(spec.importSpec, datacenter.vmFolder)
    assert lease.state == vim.HttpNfcLease.State.ready
    config = lease.info.entity.config
    assert (config.name, config.guestId) == ("imported", "winXPProGuest")
    found = {kind(device): device for device in config.hardware.device}
    assert found["VirtualDisk"].capacityInKB == 3 << 20
    cds = [device for device in config.hardware.device if kind(device) == "VirtualCdrom"]
    assert len(cds) == 2 and "VirtualFloppy" in found
    assert "lab-setup.iso" in [item.path for item in spec.fileItem]


def kind(device: Any) -> str:
    return str(type(device).__name__.rpartition(".")[2])


def test_the_disks_arrive_whole(content: Any, simulator: Simulator, ova: Path) -> None:
    imported(content, simulator, ova)
    sizes = [int(size) for size in re.findall(r"nfc POST .*: transferred (\d+) bytes", simulator.log.read_text())]
    assert sizes == [member.size for member in check_ova(ova).members][2:]
