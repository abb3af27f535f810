"""proxmox: a container made of an image's root, or a machine restored of an archive, on a node of Proxmox VE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from vmgen_build.artifacts.lxc import nics_of, parse_config, taken_over
from vmgen_build.build.targets.model import Action, Install, Put, Run, Site, Target, Wish, refuse_taken
from vmgen_build.errors import BuildError

FOLDERS = {"pct": "/var/lib/vz/template/cache", "vma": "/var/lib/vz/dump"}
"""Of the storage "local"."""

BRIDGE = "vmbr0"
"""Of every node as it was installed."""

FIRST = "100"
MIB = 1 << 20


class ProxmoxTarget(Target):
    name: ClassVar[str] = "proxmox"
    title: ClassVar[str] = "Proxmox VE"
    programs: ClassVar[tuple[str, ...]] = ("pct", "qm")
    takes: ClassVar[Mapping[tuple[str, str], str]] = {("lxc", "pct"): "pct", ("kvm", "vma"): "vma"}

    def install(self, wish: Wish, site: Site) -> Install:
        number = wish.name if wish.name.isdigit() else site.says(FIRST, "pvesh", "get", "/cluster/nextid").strip('"')
        if not number.isdigit():
            raise BuildError("pvesh get /cluster/nextid gives no number; name a free one by --name")
        if any(site.ask(program, "status", number).code == 0 for program in self.programs):
            raise refuse_taken("a guest", wish)
        kind = self.takes[wish.image.backend.name, wish.image.format.name]
        name = f"vzdump-qemu-{number}-{_date(wish)}.vma{_ending(wish)}" if kind == "vma" else wish.image.path.name
        file = f"{FOLDERS[kind]}/{name}"
        if site.holds(file):
            raise BuildError(f"there is a file {file} already; remove it first")
        host = wish.image.name if wish.name.isdigit() else wish.name
        make = _machine if kind == "vma" else _container
        program = "qm" if kind == "vma" else "pct"
        actions: tuple[Action, ...] = (Put(wish.image.path, file), *make(wish, number, host, file))
        enter = f"qm terminal {number}" if kind == "vma" else f"pct enter {number}"
        return Install(actions, (program, "start", number), enter)


def _container(wish: Wish, number: str, host: str, file: str) -> Iterator[Action]:
    """Its own network is set in it already, so that Proxmox VE sets none: the kind `unmanaged` (pct(1))."""
    try:
        entries = taken_over(parse_config(str(wish.image.manifest["build_recipe"].get("config", ""))))
    except ValueError as error:
        raise BuildError(f"{wish.image.path}: its configuration is unusable: {error}; build it anew") from error
    known = dict(entries)
    words = ["--hostname", host, "--arch", wish.image.arch, "--ostype", "unmanaged", "--storage", "local"]
    if memory := known.get("lxc.cgroup2.memory.max"):
        words += ["--memory", str(max(16, int(memory) // MIB))]
    if cpus := known.get("lxc.cgroup2.cpu.max"):
        words += ["--cores", str(max(1, int(cpus.split()[0]) // 100000))]
    for nic in nics_of(entries):
        address = known.get(f"lxc.net.{nic.index}.hwaddr")
        own = f",hwaddr={address.upper()}" if address and not wish.renamed else ""
        words += [f"--net{nic.index}", f"name={nic.name},bridge={BRIDGE}{own},ip=manual"]
    template = f"local:vztmpl/{file.rpartition('/')[2]}"
    yield Run(("pct", "create", number, template, *words), undo=("pct", "destroy", number))


def _machine(wish: Wish, number: str, host: str, file: str) -> Iterator[Action]:
    unique = ["--unique", "1"] if wish.renamed else []
    yield Run(("qmrestore", file, number, *unique), undo=("qm", "destroy", number))
    yield Run(("qm", "set", number, "--name", host))
    yield Run(("rm", "-f", "--", file))


def _date(wish: Wish) -> str:
    """As names of such archives have it; qmrestore takes no others by their path."""
    import time

    return time.strftime("%Y_%m_%d-%H_%M_%S", time.gmtime(int(wish.image.manifest["epoch"])))


def _ending(wish: Wish) -> str:
    return wish.image.path.name.partition(".vma")[2]


TARGET = ProxmoxTarget()
