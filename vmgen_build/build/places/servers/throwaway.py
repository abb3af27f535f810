"""A throwaway machine on a server, made of a Windows's artifact: what `verify` asks by VMware Tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.artifacts.ova.disks import take_disks
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.machines.disks import adapter_of, copies
from vmgen_build.boots.model import Booted, Elsewhere
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.machines.model import RunningMachine
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.vsphere.inventory import Inventory, Network, inventory_of
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite, find_site
from vmgen_build.guests.vsphere.tags import owner_of
from vmgen_build.guests.vsphere.throwaway import AfterSetup, ThrowawayMachines
from vmgen_build.guests.vsphere.windows import as_started_windows, passwords_of
from vmgen_build.host.undo import Undo
from vmgen_build.plan.machine import Machine, own_machine_of
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.cachedir import own_folder

SETUP = 1800.0
"""Seconds that the setup after sysprep may take, unless --timeout says so."""

NetworksOf = Callable[[Machine, Session, Inventory, ServerSite], Sequence[Network]]


class _OnServer(Booted):
    def __init__(self, machine: RunningMachine) -> None:
        self._machine = machine

    @property
    def communicator(self) -> Communicator:
        return self._machine.communicator

    def reach(self, address: str, port: int) -> str:
        return "not reached: the cables of a throwaway machine on a server are out"


@dataclass(frozen=True, kw_only=True)
class ServerThrowaway(Elsewhere):
    """opened: a session on the server. reap: what dead builds left there; whether anything was removed. network: of the
    descriptor's adapters, networks: of the machine's own, as of VspherePlace."""

    options: BuildOptions
    recipe: Recipe
    opened: Callable[[], AbstractContextManager[Session]]
    reap: Callable[[Session, Inventory, Bus], bool]
    network: str
    networks: NetworksOf

    @contextmanager
    def booted(
        self, artifact: Path, manifest: Mapping[str, object], scratch: Path, bus: Bus, timeout: float | None
    ) -> Iterator[Booted]:
        machine = _unplugged(own_machine_of(self.recipe))
        disks = disks_of(artifact, manifest, machine, scratch)
        with self.opened() as session, Undo() as undo:
            inventory = inventory_of(session)
            if self.reap(session, inventory, bus):
                inventory = inventory_of(session)
            site = find_site(session, inventory, self.options.placement, self.network)
            maker = Maker(session, site, owner_of(self.options.cache), scratch.parent.name)
            undo.callback(maker.clear)
            machines = ThrowawayMachines(
                maker=maker,
                store=self.options.store(),
                machine=machine,
                access=self._access(timeout),
                folder=scratch / "home",
                note=bus.note,
                waiting=bus.note,
                picture=own_folder(self.options.cache, "logs") / f"{artifact.stem}-verify.png",
                networks=self.networks(machine, session, inventory, site),
            )
            machines.take(disks, artifact.name)
            with machines.started([]) as running:
                yield _OnServer(running)

    def _access(self, timeout: float | None) -> AfterSetup:
        """The account that builds log in to, else the Administrator's."""
        hardware, config = self.recipe.hardware, self.recipe.config
        login, passwords = GuestLogin.of(hardware), passwords_of(self.recipe)
        if not login.name:
            login = GuestLogin("Administrator")
            passwords = [config.root_passwd] if config.root_passwd is not None else passwords
        seconds = timeout or SETUP if config.generalise else 0.0
        return AfterSetup(login, passwords, seconds)


def _unplugged(machine: Machine) -> Machine:
    """Others on its networks may have its addresses: the machine that it is a copy of."""
    plain = as_started_windows(machine)
    return replace(plain, nics=tuple(replace(nic, connected=False) for nic in plain.nics))


def disks_of(artifact: Path, manifest: Mapping[str, object], machine: Machine, scratch: Path) -> Disks:
    """As stream-optimized VMDKs in `scratch`. Raises BuildError, HostError."""
    goals = [scratch / drive.file for drive in machine.drives]
    if artifact.suffix == ".ova":
        found = take_disks(artifact, scratch)
        _check_count(artifact, len(found), machine)
        for path, goal in zip(found, goals, strict=True):
            path.rename(goal)
    else:
        raws = copies(artifact, manifest, scratch)
        _check_count(artifact, len(raws), machine)
        for raw, drive, goal in zip(raws, machine.drives, goals, strict=True):
            write_vmdk(raw.path, goal, adapter=adapter_of(drive))
            raw.path.unlink()
    drives = zip(machine.drives, goals, strict=True)
    return Disks(tuple(Disk(drive.name, goal, "vmdk") for drive, goal in drives))


def _check_count(artifact: Path, count: int, machine: Machine) -> None:
    if count != len(machine.drives):
        raise BuildError(
            f"{artifact} has {count} disks, and {machine.name} has {len(machine.drives)}; ask by the recipe that it was"
            " made by"
        )
