"""An OVA as a vCenter imports it: pyvmomi, VMware's own client, talks to VMware's own simulator (govmomi), which is
built from Debian's packages."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from vmgen_build.artifacts.ova import check_ova, opened_member, write_ova
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

SOURCE = Path(__file__).with_name("main.go")
LIBRARY = Path("/usr/share/gocode/src/github.com/vmware/govmomi")
PACKAGES = "golang-go and golang-github-vmware-govmomi-dev"
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


@dataclass(frozen=True)
class Simulator:
    """log: the file in which it tells of uploads."""

    host: str
    port: int
    user: str
    password: str
    log: Path


@pytest.fixture(scope="module")
def program(cache: Path) -> Path:
    """Built offline, in a minute; kept in the tests' cache for as long as its sources stay the same."""
    assert LIBRARY.is_dir(), f"the vSphere simulator needs the packages {PACKAGES}: run make test-packages"
    digest = hashlib.sha256()
    for file in (SOURCE, *sorted(LIBRARY.glob("simulator/*.go"))):
        digest.update(file.read_bytes())
    goal = cache / f"vsphere-simulator-{digest.hexdigest()[:16]}"
    if not goal.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder, "simulator")
            own = {"GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off", "GOPATH": "/usr/share/gocode"}
            command = ["go", "build", "-o", made, SOURCE]
            subprocess.run(command, env=os.environ | own | {"GOCACHE": folder}, check=True)
            made.rename(goal)
    return goal


@pytest.fixture()
def simulator(program: Path, tmp_path: Path) -> Iterator[Simulator]:
    """It ends with its standard input."""
    log = tmp_path / "simulator.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            url = urlsplit(process.stdout.readline().decode().strip())
            assert url.hostname and url.port, log.read_text()
            yield Simulator(url.hostname, url.port, url.username or "", url.password or "", log)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


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
    assert [(disk.capacityInKB, type(devices[disk.controllerKey]).__name__.rpartition(".")[2]) for disk in disks] == [
        (512 << 10, "ParaVirtualSCSIController"),
        (20 << 10, "VirtualLsiLogicController"),
        (10 << 10, "VirtualIDEController"),
    ]
    cds = [device for device in devices.values() if isinstance(device, vim.vm.device.VirtualCdrom)]
    assert [isinstance(devices[cd.controllerKey], vim.vm.device.VirtualIDEController) for cd in cds] == [True, True]
    nics = [device for device in devices.values() if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    assert [type(nic).__name__.rpartition(".")[2] for nic in nics] == [
        "VirtualVmxnet3",
        "VirtualE1000e",
        "VirtualE1000",
    ]


def test_the_disks_arrive_whole(content: Any, simulator: Simulator, ova: Path) -> None:
    imported(content, simulator, ova)
    sizes = [int(size) for size in re.findall(r"nfc POST .*: transferred (\d+) bytes", simulator.log.read_text())]
    assert sizes == [member.size for member in check_ova(ova).members][2:]
