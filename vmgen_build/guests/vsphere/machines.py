"""Machines on a vSphere server, for a plan to run in. On a vCenter the states are machines there (layers); an ESXi
alone cannot clone, so each build brings its minimal machine there, and keeps nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.result import Disks
from vmgen_build.bases.supply import Request, Supply, supply_kind
from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.machines.model import PATIENCE, Hypervisor, Note, RunningMachine, built_on
from vmgen_build.guests.machines.settings import settings_for
from vmgen_build.guests.machines.standstill import FROZEN, GUARDED, RELEASED
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.vsphere.access import ServerAccess
from vmgen_build.guests.vsphere.discs import Disc, emptied, insert_discs
from vmgen_build.guests.vsphere.exporting import export_machine
from vmgen_build.guests.vsphere.hardware import disk_changes, drives_there, has_adapter, new_adapter
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.layers import Layers
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.properties import devices_of
from vmgen_build.guests.vsphere.publishing import Publisher
from vmgen_build.guests.vsphere.screen import save_screen
from vmgen_build.guests.vsphere.source import Source
from vmgen_build.guests.vsphere.specs import adapters_on, build_config, changed, marked
from vmgen_build.guests.vsphere.tags import BUILD, KEPT, LAYER, kept_name, short_id
from vmgen_build.guests.vsphere.waiting import Waiting
from vmgen_build.plan.machine import Machine, Nic
from vmgen_build.plan.model import Step
from vmgen_build.plan.text.render import Renderer
from vmgen_build.store.layers import Store
from vmgen_build.text import size

NIC = Nic(name="build", hw_addr="00:50:56:00:00:01", type="nat", adapter="vmxnet3", bridge=None, connected=True)
"""The only one that a machine has while it is built. Its address is exchanged for one that the server chooses."""


def as_built(machine: Machine) -> Machine:
    return built_on(machine, NIC)


def as_started(machine: Machine) -> Machine:
    """The same for a user's machine, whose disks have the sizes that they have."""
    return replace(machine, nics=(NIC,), cds=())


GOING_DOWN = 600.0
"""Seconds that a user's machine may take to end its services."""


@dataclass(kw_only=True)
class VsphereMachines(Hypervisor):
    """machine: as `as_built` or `as_started` gives it. access: how it is spoken to. folder: for what comes home; new.
    store: of this host, whose locks keep builds of it apart. note, waiting, picture: as in qemu.machines. publisher: of
    the finished machine, None for none. discs: in the CD drives of a user's machine."""

    maker: Maker
    store: Store
    machine: Machine
    access: ServerAccess
    folder: Path
    note: Note
    waiting: Callable[[str], None]
    picture: Path
    publisher: Publisher | None = None
    discs: Sequence[Disc] = ()

    where = "vSphere"
    _taken_in: tuple[str, Any] | None = None

    def __post_init__(self) -> None:
        self.layers = Layers(self.maker)

    def holds(self, state: str) -> bool:
        if self._taken_in is not None and self._taken_in[0] == state:
            return True
        return self.maker.clones and self.layers.find(state) is not None

    @contextmanager
    def claim(self, state: str) -> Iterator[None]:
        """Builds of this host wait for each other; one of another host may make the same state meanwhile."""
        with self.store.claim(state, lambda: self.waiting(state)):
            if self.maker.clones:
                self.layers.find(state, anew=True)
            yield

    @contextmanager
    def in_use(self, state: str) -> Iterator[None]:
        with self.store.in_use([state]):
            yield

    def written_back(self, states: Sequence[str]) -> nullcontext[None]:
        """What lies there is the server's."""
        return nullcontext()

    def take_in(self, state: str, disks: Disks, title: str) -> None:
        maker, clones = self.maker, self.maker.clones
        mark = maker.mark(LAYER, state=state, title=title) if clones else maker.mark(BUILD)
        total = sum(disk.path.stat().st_size for disk in disks.disks)
        self.note(f"sending the {title} to {maker.session.where} ({size(total)})")
        wanted = Wanted(maker.name("base" if clones else ""), mark, self.machine, disks)
        made = import_machine(maker.session, maker.site, wanted)
        for disk in disks.disks:
            disk.path.unlink()
        self.begin_with(made, state)

    def begin_with(self, machine: Any, state: str) -> None:
        """Make the first state of a machine of the build's own, which is off, and marked as a layer where there are
        such ones."""
        if self.maker.clones:
            self.layers.add(machine, state)
        else:
            self._taken_in = state, machine

    def clone_in(self, state: str, source: Source, linked: bool, title: str) -> None:
        """Make the first state of a machine that the server has."""
        maker = self.maker
        self.note(f"cloning the {title} on {maker.session.where}")
        made = maker.clone(
            source.machine,
            source.snapshot,
            "base",
            marked(maker.mark(LAYER, state=state, title=title)),
            copied=not linked,
        )
        devices = devices_of(self.maker.session, made)
        changes = disk_changes(devices, self.machine.drives)
        if not has_adapter(devices):
            changes.append(new_adapter())
        if changes:
            maker.configure(made, changed(changes))
        self.layers.add(made, state)

    @contextmanager
    def started(self, states: Sequence[str]) -> Iterator[RunningMachine]:
        machine = self._machine_on(states)
        try:
            machine.begin()
            yield machine
        finally:
            machine.stop()

    def _machine_on(self, states: Sequence[str]) -> VsphereMachine:
        return VsphereMachine(self, states)

    def new_machine(self, states: Sequence[str]) -> Any:
        """vim.VirtualMachine with the disks of the last state, off."""
        maker = self.maker
        mark = maker.mark(BUILD, below=tuple(map(short_id, states)), discs=len(self.discs))
        own = self._settings()
        if self._taken_in is not None:
            made = self._taken_in[1]
            maker.configure(made, build_config(self.machine, mark, own, self._adapters_taken_in(made)))
            return self._with_discs(made)
        layer = self.layers.get(states[-1])
        config = build_config(self.machine, mark, own, self._adapters(layer.machine))
        return self._with_discs(maker.clone(layer.machine, layer.snapshot, "", config))

    def _settings(self) -> Mapping[str, str]:
        """extraConfig of the machine's next boot."""
        return self.access.settings()

    def _adapters(self, machine: Any) -> list[Any]:
        """Changes of the network adapters of what was cloned."""
        return adapters_on(self.maker.session, machine, self.maker.site)

    def _adapters_taken_in(self, machine: Any) -> list[Any]:
        """The same for one that was made of its descriptor: that has them as they are to be."""
        return []

    def keep_state(self, machine: Any, snapshot: Any, step: Step, below: Sequence[str]) -> None:
        """Make a layer of a snapshot of the build's machine."""
        mark = self.maker.mark(LAYER, state=step.id, title=step.title, below=tuple(map(short_id, below)))
        config = marked(mark)
        config.deviceChange = emptied(devices_of(self.maker.session, machine)) if self.discs else []
        self.layers.add(self.maker.clone(machine, snapshot, "layer", config), step.id)

    def _with_discs(self, machine: Any) -> Any:
        maker = self.maker
        if changes := insert_discs(maker.session, machine, self.discs, maker.site.path):
            maker.configure(machine, changed(changes))
        return machine


class VsphereMachine(RunningMachine):
    """states: those that it stands on."""

    def __init__(self, machines: VsphereMachines, states: Sequence[str]) -> None:
        self._machines, self._maker = machines, machines.maker
        self._states = list(states)
        self._machine: Any = None
        self._there: Communicator | None = None
        self._name_servers = "" if machines.access.own else None

    @property
    def communicator(self) -> Communicator:
        if self._there is None:
            raise BuildError("the machine runs no more; build again")
        return self._there

    def begin(self) -> None:
        """Return when it is up. Its caller calls `stop` too, whatever comes of it. Raises BuildError, HostError."""
        self._machine = self._machines.new_machine(self._states)
        self._start()

    def stop(self) -> None:
        self._hang_up()
        machine, self._machine = self._machine, None
        if machine is not None:
            self._maker.destroy(machine)

    def supply(self, request: Request) -> Supply:
        return supply_kind(request.system).of_this_host(request, self._machines.store.cache)

    def reached(self, settings: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The first that asks brings the network of a minimal machine up: one that needs none may be in one without
        DHCP."""
        if self._name_servers is None:
            self._name_servers = self._run(Renderer(None).sh("vm/build-network.sh.j2"))
        return settings_for(settings, _address_towards(self._maker.session.address.name), self._name_servers)

    def snapshot(self, step: Step) -> None:
        if self._maker.clones:
            self._run(GUARDED)
            kept = self._maker.snapshot(self._machine, short_id(step.id), step.title)
            self._run(RELEASED)
            self._machines.keep_state(self._machine, kept, step, self._states)
        self._states.append(step.id)

    def _start_anew(self) -> None:
        if self._machines.access.own:
            self._go_down()
        else:
            self._halt()
            self._name_servers = None
        self._start()

    def picture(self, goal: Path) -> None:
        save_screen(self._maker, self._machine, goal)

    def open_shell(self, command: str) -> None:
        self._machines.access.open_shell(self.communicator, command)

    def take_disks(self) -> Disks:
        self._trim()
        self._halt()
        machines, maker = self._machines, self._maker
        machines.folder.mkdir(mode=0o700)
        machines.note(f"bringing the disks home from {maker.session.where}")
        exported = machines.machine
        if machines.access.own:
            drives = drives_there(devices_of(maker.session, self._machine), exported.drives)
            exported = replace(exported, drives=drives)
        disks = export_machine(maker.session, self._machine, exported, machines.folder)
        if machines.publisher is not None:
            machines.note(f"copying the machine on {maker.session.where}, to keep it")
            machines.publisher.take(self._machine)
        self.stop()
        return disks

    def keep(self, folder: Path) -> str:
        """Whatever the step has done to it."""
        with suppress(VmgenError):
            self._halt()
        self._hang_up()
        self._maker.switch_off(self._machine)
        machine, self._machine = self._machine, None
        maker, name = self._maker, kept_name(folder.name)
        maker.configure(machine, marked(maker.mark(KEPT)))
        maker.rename(machine, name)
        return (
            f"it is {name} on {maker.session.where}, and off; to look at it, start it in the server's console, and"
            " when you are done, remove it there with its disks"
        )

    def _start(self) -> None:
        """Switch it on, and wait until it takes orders."""
        maker, machine = self._maker, self._machine
        waiting = Waiting(maker.session, machine, self._machines.note)
        try:
            host = maker.site.host.ref if maker.site.host is not None else None
            maker.done("switching the machine on", lambda: machine.PowerOnVM_Task(host), waiting.check_question)
            self._there = self._machines.access.opened(waiting)
        except BuildError as error:
            raise BuildError("\n".join(filter(None, (str(error), self._shown())))) from error

    def _go_down(self) -> None:
        """By its own services; where they take too long, by its switch."""
        self._hang_up()
        self._maker.shut_down(self._machine, GOING_DOWN)

    def _hang_up(self) -> None:
        self._there = None
        self._machines.access.close()

    def _trim(self) -> None:
        """What no file uses need not come home."""
        self._run("fstrim --all || :")

    def _halt(self) -> None:
        """Nothing is written any more, and each file system is whole: no service of it is to write its last words."""
        self._run(FROZEN)
        self._hang_up()
        self._maker.switch_off(self._machine)

    def _shown(self) -> str:
        """Where a picture of its screen lies, as a line; nothing where none can be had."""
        with suppress(VmgenError):
            self.picture(self._machines.picture)
            return f"its screen: {self._machines.picture}"
        return ""

    def _run(self, script: str) -> str:
        ran = self.communicator.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"in the machine: {ran.out.strip()}")
        return ran.out


def _address_towards(name: str) -> str:
    """This host's address as what lies that way sees it, with brackets where it is IPv6's. Nothing is sent (udp(7))."""
    for family, kind, protocol, _, address in socket.getaddrinfo(name, 9, type=socket.SOCK_DGRAM):
        with suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            own = str(probe.getsockname()[0]).partition("%")[0]
            return f"[{own}]" if ":" in own else own
    raise BuildError(f"there is no way from this host to {name}: look at its network")
