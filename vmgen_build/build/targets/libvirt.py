"""libvirt: a domain of QEMU, its disks in the folder of the pool `default`. The domain is made anew of the machine that
the manifest describes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.kvm.domain import IMAGES, domain
from vmgen_build.backends.machines import disks as vmdisks
from vmgen_build.build.targets.model import Action, Install, Put, Run, Site, Target, Wish, refuse_taken
from vmgen_build.errors import UsageError
from vmgen_build.plan.machine import Machine

_POOL = re.compile(r"<path>(/[^<>&'\"\s]{1,200})</path>")
_ENDINGS = (".qcow2", ".raw")
_CD = re.compile(r"-cd(\d{1,3})\.iso$")


class LibvirtTarget(Target):
    name: ClassVar[str] = "libvirt"
    title: ClassVar[str] = "libvirt"
    programs: ClassVar[tuple[str, ...]] = ("virsh",)
    package: ClassVar[str] = "libvirt-clients"
    takes: ClassVar[Mapping[tuple[str, str], str]] = {
        ("kvm", "qcow2"): "disks",
        ("kvm", "cloud"): "disks",
        ("vmware", "qcow2"): "disks",
        ("vmware", "raw"): "disks",
    }

    def install(self, wish: Wish, site: Site) -> Install:
        site.require("libvirt's daemon does not answer", "virsh", "uri")
        if site.ask("virsh", "domuuid", wish.name).code == 0:
            raise refuse_taken("a domain", wish)
        machine, folder = _machine(wish), _folder(site)
        site.require(f"it has no folder {folder}", "test", "-d", folder)
        puts = list(_disks(wish, machine, folder))
        for put in puts:
            if site.holds(put.goal):
                raise UsageError(f"there is a file {put.goal} already; choose another name by --name, or remove it")
        files = [Path(put.goal).name for put in puts[: len(machine.drives)]]
        text = domain(machine, files=files, folder=folder)
        if site.known and site.ask("virsh", "domcapabilities", "--virttype", "kvm").code != 0:
            text = text.replace('<domain type="kvm">', '<domain type="qemu">', 1)
        undo = ("virsh", "undefine", wish.name, *(["--nvram"] if machine.firmware == "efi" else []))
        actions: tuple[Action, ...] = (*puts, Run(("virsh", "define", "/dev/stdin"), text, undo))
        enter = f"virsh console {wish.name}"
        return Install(actions, ("virsh", "start", wish.name), enter, tuple(_notes(machine, site)))


def _machine(wish: Wish) -> Machine:
    """As it is called there. Under another name its adapters have other addresses, too: the first one may be there."""
    machine = vmdisks.machine_of_manifest(wish.image.manifest)
    if not wish.renamed:
        return machine
    nics = tuple(replace(nic, hw_addr=_new_address()) for nic in machine.nics)
    return replace(machine, name=wish.name, nics=nics)


def _folder(site: Site) -> str:
    """Of the pool where libvirt's security drivers allow images."""
    found = _POOL.search(site.ask("virsh", "pool-dumpxml", "default").out)
    return found[1] if found else IMAGES


def _disks(wish: Wish, machine: Machine, folder: str) -> Iterator[Put]:
    """Those of the drives in order, then the images in CD drives, under the names that the domain has for them."""
    image = wish.image
    files = vmdisks.listed_disks(image.path, image.manifest, machine, _ENDINGS)
    stem = f"{wish.name}-kvm-{machine.arch}"
    ending = files[0].path.suffix.removeprefix(".")
    names = vmdisks.disk_names(stem, [drive.name for drive in machine.drives], ending)
    for file, name in zip(files, names, strict=True):
        with file.opened():
            yield Put(file.path, f"{folder}/{name}")
    for path in image.files:
        if number := _CD.search(path.name):
            yield Put(path, f"{folder}/{vmdisks.cd_name(stem, int(number[1]))}")


def _notes(machine: Machine, site: Site) -> Iterator[str]:
    if not site.known or all(nic.bridge or nic.type == "bridged" for nic in machine.nics):
        return
    if "yes" not in site.ask("sh", "-c", "virsh net-info default | sed -n 's/^Active: *//p'").out:
        yield "its network 'default' is not active: virsh net-start default"


def _new_address() -> str:
    """Of the range that is QEMU's."""
    return ":".join(("52", "54", "00", *(f"{byte:02x}" for byte in secrets.token_bytes(3))))


TARGET = LibvirtTarget()
