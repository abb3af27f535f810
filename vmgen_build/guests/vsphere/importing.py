"""Disks of this host become a machine of a server: by a descriptor of our own, and a lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmgen_build.artifacts.disk.convert import opened
from vmgen_build.artifacts.ovf.devices import networks
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.artifacts.result import Disks
from vmgen_build.artifacts.vmdk.alone import check_alone
from vmgen_build.errors import BuildError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.faults import as_error
from vmgen_build.guests.vsphere.leases import Lease, leased
from vmgen_build.guests.vsphere.policies import demand_profiles
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.guests.vsphere.tags import Mark
from vmgen_build.guests.vsphere.transfer import Transfers, Upload
from vmgen_build.plan.machine import Machine

STREAM = "application/x-vnd.vmware-streamVmdk"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The machine to be made. name, mark: there. disks: stream-optimized VMDKs of the machine's drives."""

    name: str
    mark: Mark
    machine: Machine
    disks: Disks


def import_machine(session: Session, site: ServerSite, wanted: Wanted) -> Any:
    """vim.VirtualMachine, off. Raises HostError, BuildError; what was begun is removed by the server then."""
    what = f"importing {wanted.name}"
    files = [_file(disk.path) for disk in wanted.disks.disks]
    spec = _spec(session, site, wanted, files)
    config = spec.importSpec.configSpec
    config.annotation = wanted.mark.to_text()
    _assign_addresses(config)
    demand_profiles(config, site.policy)
    paths = {file.name: disk.path for file, disk in zip(files, wanted.disks.disks, strict=True)}
    host = site.host.ref if site.host is not None else None
    pool, folder = site.pool.ref, site.folder.ref
    lease = session.order(what, lambda: pool.ImportVApp(spec.importSpec, folder, host))
    with leased(session, lease, what) as ready:
        _upload(session, ready, spec.fileItem, paths)
        return ready.info.entity


def _file(path: Path) -> OvfFile:
    with opened(path) as file:
        try:
            return OvfFile(path.name, path.stat().st_size, check_alone(file))
        except ValueError as error:
            raise BuildError(f"{path.name}: {error}") from error


def _spec(session: Session, site: ServerSite, wanted: Wanted, files: Sequence[OvfFile]) -> Any:
    """vim.OvfManager.CreateImportSpecResult. Raises HostError for the errors in it."""
    from pyVmomi import vim

    what = f"reading the descriptor of {wanted.name}"
    names = networks(wanted.machine)
    params = vim.OvfManager.CreateImportSpecParams(
        entityName=wanted.name,
        diskProvisioning="thin",
        locale="",
        deploymentOption="",
        networkMapping=[vim.OvfManager.NetworkMapping(name=name, network=site.network.ref) for name in names],
        propertyMapping=[],
        hostSystem=site.host.ref if site.host is not None else None,
    )
    manager: Any = session.content.ovfManager
    text = descriptor(wanted.machine, files)
    result: Any = session.order(
        what,
        lambda: manager.CreateImportSpec(text, site.pool.ref, site.datastore.ref, params),
    )
    if result.error:
        raise as_error(result.error[0], f"{session.where}: {what}", session.named)
    return result


def _assign_addresses(config: Any) -> None:
    """Two machines of one descriptor have no address in common."""
    from pyVmomi import vim

    for change in config.deviceChange or ():
        if isinstance(change.device, vim.vm.device.VirtualEthernetCard):
            change.device.addressType = "generated"
            change.device.macAddress = None


def _upload(session: Session, lease: Lease, items: Sequence[Any], paths: dict[str, Path]) -> None:
    """Each file that the server asks for."""
    urls = {str(device.importKey): str(device.url) for device in lease.devices}
    total, sent = sum(path.stat().st_size for path in paths.values()), 0

    def moved(count: int) -> None:
        nonlocal sent
        sent += count
        lease.percent = sent * 100 // max(1, total)
        lease.check()

    transfers = Transfers(session)
    for item in items:
        path, url = paths.get(str(item.path)), urls.get(str(item.deviceId))
        if path is None or url is None:
            raise BuildError(f"{session.where} asks for {shown(str(item.path))}, which is no disk of the machine")
        with path.open("rb") as file:
            _send(transfers, file, Upload(url, path.stat().st_size, *_manner(item)), moved)


def _manner(item: Any) -> tuple[str, str]:
    """Method and kind of content: a disk that the machine has already is filled, another file is made."""
    return ("PUT", "application/octet-stream") if item.create else ("POST", STREAM)


def _send(transfers: Transfers, file: IO[bytes], upload: Upload, moved: Callable[[int], None]) -> None:
    headers = {"Overwrite": "t"} if upload.method == "PUT" else {}
    whole = Upload(upload.url, upload.size, upload.method, upload.kind, headers)
    transfers.send(file, whole, "sending a disk", moved)
