"""Machines of one build on a server: made under its own names, and destroyed whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.vsphere.discs import remove_discs
from vmgen_build.guests.vsphere.faults import has_kind
from vmgen_build.guests.vsphere.properties import id_of, values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.guests.vsphere.specs import clone_spec
from vmgen_build.guests.vsphere.tags import LAYER, Mark, build_name, mark_of, new_mark
from vmgen_build.guests.vsphere.tasks import wait_for

PARTS = ("", "base", "layer", "template")
"""Ends of the names that a build gives to its machines (tags.build_name)."""

LATE = 120.0
"""Seconds that a task which the build does not want any more is waited for."""


@dataclass
class Maker:
    """owner, tag: as in tags. Its machines are called by `name`."""

    session: Session
    site: ServerSite
    owner: str
    tag: str
    _pending: list[Any] = field(default_factory=list)

    @property
    def clones(self) -> bool:
        """Whether the server makes a machine of another one: an ESXi alone does not."""
        return str(self.session.content.about.apiType) == "VirtualCenter"

    def name(self, part: str = "") -> str:
        return build_name(self.owner, self.tag, part)

    def mark(self, kind: str, **more: Any) -> Mark:
        """more: fields of the mark."""
        return replace(new_mark(kind, self.owner, self.tag), **more)

    def done(self, what: str, order: Callable[[], Any], check: Callable[[], None] = lambda: None) -> Any:
        """Have a task done to its end; its result. what: as the message's words. check: as of `wait_for`."""
        task = self.session.order(what, order)
        self._pending.append(task)
        result = wait_for(self.session, task, what, check=check)
        self._pending.remove(task)
        return result

    def clone(self, source: Any, snapshot: object, part: str, config: Any, *, copied: bool = False) -> Any:
        """A linked clone of a snapshot, or a copy, as clone_spec has it; off. config: vim.vm.ConfigSpec, which it has
        as soon as it is there."""
        name, folder = self.name(part), self.site.folder.ref
        spec = clone_spec(self.session, self.site, source, snapshot, copied=copied)
        spec.config = config
        made = self.done(f"cloning {name}", lambda: source.CloneVM_Task(folder=folder, name=name, spec=spec))
        if self.annotation(made) != config.annotation:
            self.configure(made, config)
        return made

    def configure(self, machine: Any, config: Any) -> None:
        self.done("setting the machine's hardware", lambda: machine.ReconfigVM_Task(config))

    def snapshot(self, machine: Any, name: str, description: str) -> Any:
        """vim.vm.Snapshot of its disks alone."""
        return self.done(
            "keeping the machine's disks",
            lambda: machine.CreateSnapshot_Task(name=name, description=description, memory=False, quiesce=False),
        )

    def rename(self, machine: Any, name: str) -> None:
        self.done(f"naming it {name}", lambda: machine.Rename_Task(name))

    def annotation(self, machine: Any) -> str:
        path = "config.annotation"
        return str(values_of(self.session, "looking at the machine", machine, [path]).get(path, ""))

    def find(self, name: str) -> Any:
        """vim.VirtualMachine of this name in the folder, None for none."""
        index: Any = self.session.content.searchIndex
        return self.session.read(f"looking for {name}", lambda: index.FindChild(self.site.folder.ref, name))

    def switch_off(self, machine: Any) -> None:
        path = "runtime.powerState"
        state = values_of(self.session, "looking at the machine", machine, [path]).get(path)
        if str(state) != "poweredOff":
            self.done("switching the machine off", machine.PowerOffVM_Task)

    def shut_down(self, machine: Any, patience: float) -> None:
        """By its own services, which VMware Tools end; by its switch after `patience` seconds."""
        if not self.went_off(machine, patience):
            self.switch_off(machine)

    def went_off(self, machine: Any, patience: float) -> bool:
        """Whether its own services, which VMware Tools end, have switched it off in `patience` seconds."""
        self.session.order("shutting the machine down", machine.ShutdownGuest)
        began, path = time.monotonic(), "runtime.powerState"
        while time.monotonic() - began < patience:
            values = values_of(self.session, "waiting for the machine to go off", machine, [path])
            if str(values.get(path)) == "poweredOff":
                return True
            time.sleep(1)
        return False

    def destroy(self, machine: Any) -> None:
        """With its disks, but for those that others stand on. One that is gone is none to destroy."""
        with suppress_gone():
            self.switch_off(machine)
            remove_discs(self.session, machine, self.site.datacenter.ref)
            self.done(f"removing {id_of(machine)}", machine.Destroy_Task)

    def clear(self) -> None:
        """Nothing of the build's own is left there. Raises BuildError that names what is."""
        for task in list(self._pending):
            self._end(task)
        left = [name for name in map(self.name, PARTS) if not self._cleared(name)]
        if left:
            raise BuildError(
                f"{self.session.where}: cannot remove {', '.join(left)}: the next build of this host tries again; or"
                " remove them there by hand"
            )

    def owns(self, machine: Any) -> bool:
        """Whether its annotation says so, or is still that of the layer that it was cloned from."""
        mark = mark_of(self.annotation(machine))
        return mark is None or mark.owner == self.owner or mark.kind == LAYER

    def _cleared(self, name: str) -> bool:
        try:
            machine = self.find(name)
            if machine is not None and self.owns(machine):
                self.destroy(machine)
        except VmgenError:
            return False
        return True

    def _end(self, task: Any) -> None:
        """One that was begun, and whose end nobody has waited for."""
        with suppress(VmgenError):
            self.session.order("canceling a task", task.CancelTask)
        with suppress(VmgenError):
            wait_for(self.session, task, "waiting for a canceled task", silence=LATE)
        self._pending.remove(task)


def is_gone(error: BaseException) -> bool:
    """Whether it says that the object is not there any more."""
    return has_kind(error, "ManagedObjectNotFound")


@contextmanager
def suppress_gone() -> Iterator[None]:
    """An object that is not there any more ends the body, and is no error."""
    try:
        yield
    except VmgenError as error:
        if not is_gone(error):
            raise
