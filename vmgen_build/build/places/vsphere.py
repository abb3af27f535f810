"""--host vsphere://[USER@]NAME[:PORT][/DATACENTER]: a machine on a vCenter or ESXi."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.boots.model import Elsewhere
from vmgen_build.build.choice import Emit, choose_base, choose_machine
from vmgen_build.build.finding import Finding
from vmgen_build.build.installing import installed_requirements
from vmgen_build.build.job import Build
from vmgen_build.build.places.here import kept_for, look_of, minimal_requirements, note_waiting
from vmgen_build.build.places.model import Look, Place
from vmgen_build.build.places.servers.installed import access_by_key, look_at_media, made_by_setup
from vmgen_build.build.places.servers.own import (
    NEEDED,
    access_to,
    check_same,
    discs_of,
    disks_taken_here,
    is_windows,
    placed,
    source_of,
)
from vmgen_build.build.requirements import container_needs
from vmgen_build.errors import Problem, UsageError, VmgenError
from vmgen_build.events import Bus
from vmgen_build.guests.machines.imported import own_problems
from vmgen_build.guests.machines.minimal import minimal_problems
from vmgen_build.guests.machines.workshop import Begin, MachineWorkshop, from_disks, stages_there
from vmgen_build.guests.model import Workshop
from vmgen_build.guests.vsphere.access import NO_SHELL, BuildLogin
from vmgen_build.guests.vsphere.address import parse_address
from vmgen_build.guests.vsphere.credentials import Login, login_for
from vmgen_build.guests.vsphere.goal import Goal, parse_goal
from vmgen_build.guests.vsphere.inventory import Inventory, Network, inventory_of
from vmgen_build.guests.vsphere.keeping import KeptLayer, layers_in, prune_layers
from vmgen_build.guests.vsphere.login import ACCOUNT, KEY, login_script
from vmgen_build.guests.vsphere.machines import VsphereMachines, as_built, as_started
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.publishing import Publisher, check_goal
from vmgen_build.guests.vsphere.reaping import left_by_the_dead, machines_found, remove
from vmgen_build.guests.vsphere.session import Session, opened
from vmgen_build.guests.vsphere.site import ServerSite, find_folder, find_networks, find_site
from vmgen_build.guests.vsphere.source import Source
from vmgen_build.guests.vsphere.tags import layer_name, owner_of
from vmgen_build.guests.vsphere.windows import NO_SHELL as NO_WINDOWS_SHELL
from vmgen_build.guests.vsphere.windows import WindowsMachines, as_started_windows
from vmgen_build.host.needs import Need
from vmgen_build.host.programs import Requirement
from vmgen_build.host.undo import Undo
from vmgen_build.plan.bases import DiskMachine, InstalledMachine, PlacedMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.recipe.types.bases import machine_source
from vmgen_build.store.layers import Entry, Sweep

NO_AGENT = "no vSphere server speaks to QEMU's guest agent; write communicator = tools, or ssh"

NO_LOGIN = "is started on a server, which asks for a user to log in as; write login = NAME, and login_password"


class VspherePlace(Place):
    exports = True

    @staticmethod
    def check_host(text: str) -> None:
        parse_address(text)

    def check_options(self) -> None:
        self.options.trust.check()
        for_nodes = {
            "--build-address": bool(self.options.build_address),
            "--accept-new-host-key": self.options.accept_new_host_key,
        }
        if alone := [name for name, given in for_nodes.items() if given]:
            raise UsageError(f"{alone[0]}: only for a node; a vSphere server is known by --cafile or --thumbprint")

    def check_building(self) -> None:
        self._goal()
        for name in self.options.backends:
            if name != "vmware":
                raise UsageError(
                    f"--host {parse_address(self.options.host)}: what is built there comes home as disks with VMware"
                    f" Tools in them, and that is no image of {name}; take -b vmware, or another --host"
                )

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        self._check_shell(recipe)
        with self._session() as session:
            inventory = inventory_of(session)
            source = source_of(session, inventory, recipe)
            there = self._there(session, inventory)
        return self._looked(recipe, facts, source, there)

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        self._check_shell(recipe)
        with self._session() as session:
            inventory = inventory_of(session)
            if self._reap(session, inventory, bus):
                inventory = inventory_of(session)
            site = find_site(session, inventory, self.options.placement, self._network(recipe))
            goal = self._goal()
            if goal:
                check_goal(session, site, goal)
            if goal or is_windows(recipe):
                find_networks(session, inventory, self._networks(recipe, site.network.id).values())
            source = source_of(session, inventory, recipe)
            there = self._there(session, inventory)
            if session.about.kind == "ESXi":
                begins = "has Setup make its machine" if recipe.hardware.is_installed else "sends its minimal machine"
                bus.note(f"an ESXi cannot clone machines: each build {begins}, and keeps no steps there")
        return self._looked(recipe, facts, source, there, bus.emit)

    def kept_stages(self, plan: Plan, look: Look) -> int:
        return stages_there(plan, lambda state: layer_name(state) in look.there)

    def problems(self, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
        if isinstance(plan.base, InstalledMachine):
            return []
        if not isinstance(plan.base, DiskMachine):
            return minimal_problems(recipe)
        found = own_problems(recipe)
        if plan.base.communicator == "agent":
            found.append(Problem(recipe.hardware.at("communicator"), "[hardware] communicator", NO_AGENT, code="login"))
        elif is_windows(recipe) and recipe.hardware.login is None:
            found.append(Problem(recipe.hardware.at("base"), "[hardware] base", NO_LOGIN, code="login"))
        return found

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        there = self.options.use_cache and self.kept_stages(plan, look)
        if there:
            return ()
        if isinstance(plan.base, DiskMachine):
            return () if isinstance(plan.base.image, PlacedMachine) else NEEDED
        if isinstance(plan.base, InstalledMachine):
            return installed_requirements(plan)
        return minimal_requirements(plan)

    @classmethod
    def needs(cls, backend: Backend, form: Format) -> tuple[Need, ...] | None:
        """The minimal machine that it is sent is made here."""
        return container_needs() if backend.name == "vmware" else None

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        with self._session() as session, Undo() as undo:
            inventory = inventory_of(session)
            site = find_site(session, inventory, self.options.placement, self._network(build.recipe))
            maker = Maker(session, site, owner_of(self.options.cache), build.leased.name)
            undo.callback(maker.clear)
            machines = self._machines(build, maker, inventory)
            source = source_of(session, inventory, build.recipe)
            yield MachineWorkshop(build.plan, machines, _begin(build, machines, source), kept_for(build), undo)
            if machines.publisher is not None:
                build.bus.note(machines.publisher.finish())

    def throwaway(self, recipe: Recipe) -> Elsewhere:
        if not is_windows(recipe):
            raise UsageError(
                f"--host {self.options.host}: only a Windows is asked there, and what the recipe describes is booted on"
                " this host: leave --host out"
            )
        from vmgen_build.build.places.servers.throwaway import ServerThrowaway

        def networks(machine: Machine, session: Session, inventory: Inventory, site: ServerSite) -> list[Network]:
            return self._networks_of(machine, recipe, session, inventory, site)

        return ServerThrowaway(
            options=self.options,
            recipe=recipe,
            opened=self._session,
            reap=self._reap,
            network=self._network(recipe),
            networks=networks,
        )

    def kept(self) -> list[Entry]:
        with self._session() as session:
            return [layer.entry for layer in self._layers(session, inventory_of(session))]

    def prune(self, sweep: Sweep) -> list[Entry]:
        with self._session() as session:
            return prune_layers(session, self._layers(session, inventory_of(session)), self.options.store(), sweep)

    def doctor(self) -> list[Finding]:
        from vmgen_build.build.places.servers.doctor import look_at

        return look_at(parse_address(self.options.host), self.options.trust, self._goal())

    def doctor_of(self, base: str) -> list[Finding]:
        from vmgen_build.build.places.servers.doctor import look_at_base

        try:
            source = machine_source(base)
        except ValueError as error:
            raise UsageError(f"--base: {error}") from error
        with self._session() as session:
            return look_at_base(session, inventory_of(session), source)

    @cached_property
    def _login(self) -> Login:
        """A password that is typed is typed once."""
        return login_for(parse_address(self.options.host), self.options.trust)

    def _session(self) -> AbstractContextManager[Session]:
        return opened(parse_address(self.options.host), self._login)

    def _layers(self, session: Session, inventory: Inventory) -> list[KeptLayer]:
        return layers_in(session, inventory, find_folder(session, inventory, self.options.placement))

    def _there(self, session: Session, inventory: Inventory) -> frozenset[str]:
        """Names of layers in the folder."""
        return frozenset(layer.found.name for layer in self._layers(session, inventory))

    def _reap(self, session: Session, inventory: Inventory, bus: Bus) -> bool:
        """Whether anything was removed. A build's lease is there as long as it lives: dead ones were reaped before
        (store.lease). A machine whose disks were on their way is the server's for some minutes yet."""
        cache, removed = self.options.cache, False
        datacenter = inventory.datacenter_named(session.address.datacenter, session.where)
        left = left_by_the_dead(
            machines_found(session, inventory), owner_of(cache), lambda tag: (cache / "tmp" / tag).exists()
        )
        for one in left:
            try:
                remove(session, one.ref, datacenter.ref)
            except VmgenError as error:
                bus.note(f"{one.name}, which a build that was killed left, goes with a later one: {error}", "warning")
                continue
            bus.note(f"removed from {session.where} what a build that was killed left: {one.name}")
            removed = True
        return removed

    def _machines(self, build: Build, maker: Maker, inventory: Inventory) -> VsphereMachines:
        base, machine = build.plan.base, Machine.from_json(build.plan.build_recipe[FILE])
        values: dict[str, Any] = {
            "maker": maker,
            "store": self.options.store(),
            "folder": build.leased / "home",
            "note": build.bus.note,
            "waiting": note_waiting(build.bus),
            "picture": build.log.with_suffix(".png"),
            "publisher": self._publisher(build, maker, inventory),
        }
        if isinstance(base, InstalledMachine):
            values |= {"access": access_by_key(build, base), "discs": discs_of(build.plan)}
        elif isinstance(base, DiskMachine):
            values |= {"access": access_to(base, build.recipe), "discs": discs_of(build.plan)}
        else:
            return VsphereMachines(**values, machine=as_built(machine), access=BuildLogin(machine.name))
        if not is_windows(build.recipe):
            return VsphereMachines(**values, machine=as_started(machine))
        networks = self._networks_of(machine, build.recipe, maker.session, inventory, maker.site)
        return WindowsMachines(**values, machine=as_started_windows(machine), networks=networks)

    def _network(self, recipe: Recipe) -> str:
        """That of the recipe's first adapter, by its name or its type; "" where nothing is named."""
        adapters = list(recipe.hardware.eths.values())
        if adapters and adapters[0].network:
            return adapters[0].network
        return self.options.placement.network_for(adapters[0].type if adapters else "nat")

    def _networks(self, recipe: Recipe, first: str) -> dict[str, str]:
        """Names of networks by those of the recipe's adapters. first: for those that say nothing of theirs."""
        named = {
            name: adapter.network or self.options.placement.network_for(adapter.type)
            for name, adapter in recipe.hardware.eths.items()
        }
        return {name: network or first for name, network in named.items()}

    def _networks_of(
        self, machine: Machine, recipe: Recipe, session: Session, inventory: Inventory, site: ServerSite
    ) -> list[Network]:
        """Of each of the machine's adapters. Raises UsageError."""
        named = self._networks(recipe, site.network.id)
        return find_networks(session, inventory, [named.get(nic.name, site.network.id) for nic in machine.nics])

    def _goal(self) -> Goal | None:
        return parse_goal(self.options.keep_as) if self.options.keep_as else None

    def _publisher(self, build: Build, maker: Maker, inventory: Inventory) -> Publisher | None:
        goal = self._goal()
        if goal is None:
            return None
        machine = Machine.from_json(build.plan.build_recipe[FILE])
        networks = self._networks_of(machine, build.recipe, maker.session, inventory, maker.site)
        return Publisher(maker=maker, goal=goal, machine=machine, networks=networks, key=KEY)

    def _looked(
        self,
        recipe: Recipe,
        facts: Facts,
        source: Source | None,
        there: frozenset[str],
        emit: Emit | None = None,
    ) -> Look:
        hardware = recipe.hardware
        if hardware.is_installed:
            look = look_at_media(recipe, facts, self.options, prepares=emit is not None)
            return replace(look, there=there)
        if not hardware.is_started:
            look = look_of(choose_base(recipe, facts, self.options, emit))
            return replace(look, facts=replace(look.facts, agent=login_script(), login=ACCOUNT), there=there)
        if source is None:
            look = look_of(choose_machine(recipe, facts, self.options, emit))
        else:
            look = Look(replace(facts, root=placed(source, hardware), source=str(hardware.base), started=True))
        return replace(look, facts=replace(look.facts, communicator=_communicator(hardware)), there=there)

    def _check_shell(self, recipe: Recipe) -> None:
        if self.options.on_error == "shell" and is_windows(recipe):
            raise UsageError(f"--on-error shell: {NO_WINDOWS_SHELL}")
        if self.options.on_error == "shell" and _communicator(recipe.hardware) == "tools":
            raise UsageError(f"--on-error shell: {NO_SHELL}")


def _communicator(hardware: Hardware) -> str:
    """How the machine is spoken to: a minimal one by its VMware Tools."""
    if not hardware.is_started:
        return "tools"
    return hardware.communicator or ("tools" if hardware.login_password else "ssh")


def _begin(build: Build, machines: VsphereMachines, source: Source | None) -> Begin:
    """What makes the machine that the plan begins with."""
    from vmgen_build.build.places.servers.minimal import disks_made_here

    base = build.plan.base
    if isinstance(base, InstalledMachine):
        installed = base
        assert isinstance(machines, WindowsMachines)
        windows = machines
        return lambda _begun, _output: made_by_setup(build, windows, installed)
    if not isinstance(base, DiskMachine):
        return from_disks(machines, lambda _output: disks_made_here(build, machines.machine))
    if not isinstance(base.image, PlacedMachine):
        return from_disks(machines, lambda _output: disks_taken_here(build, base, machines.machine))
    linked = build.recipe.hardware.clones_linked
    same = check_same(source, base)
    return lambda begun, _output: machines.clone_in(begun.id, same, linked, begun.title)


PLACE = VspherePlace
