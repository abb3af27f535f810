"""The finished machine, kept on a vCenter: as a template in the folder of machines, or in a content library.

It is a machine of the build's own until all else is done, and gets its name at the end. So it is there whole or not at
all. Of what goes into a library the server makes a copy, by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import BuildError, UsageError
from vmgen_build.guests.vsphere.goal import Goal
from vmgen_build.guests.vsphere.inventory import Network
from vmgen_build.guests.vsphere.library import free_library, put_into
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.rest import logged_in
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite
from vmgen_build.guests.vsphere.specs import kept_config, marked
from vmgen_build.guests.vsphere.tags import TEMPLATE
from vmgen_build.plan.machine import Machine

PART = "template"
"""The end of the name that it has meanwhile."""


def check_goal(session: Session, site: ServerSite, goal: Goal) -> None:
    """Raises UsageError where it cannot be kept as that."""
    if session.about.kind != "vCenter":
        raise UsageError(
            f"--keep-as: {session.where} is an {session.about.kind}, which keeps no templates; name its vCenter by"
            " --host, or leave --keep-as out"
        )
    if goal.library:
        with logged_in(session) as rest:
            free_library(session, rest, goal)
    index: Any = session.content.searchIndex
    if session.read(f"looking for {goal.name}", lambda: index.FindChild(site.folder.ref, goal.name)) is not None:
        raise UsageError(
            f"--keep-as: '{goal.name}' is there already, in the folder '{site.folder.name}' of {session.where}: take"
            " another name, or rename or remove that one there"
        )


@dataclass(kw_only=True)
class Publisher:
    """machine: the recipe's, with all its adapters. networks: that those are connected to, in their order. key: of the
    machine's own settings, by which the build logs in."""

    maker: Maker
    goal: Goal
    machine: Machine
    networks: Sequence[Network]
    key: str

    _made: Any = None

    def take(self, built: Any) -> None:
        """built: vim.VirtualMachine, finished and off; it may go then. Raises HostError, BuildError."""
        maker, mark = self.maker, self.maker.mark(TEMPLATE, title=self.machine.name)
        snapshot = maker.snapshot(built, PART, self.goal.name) if self.goal.library else None
        self._made = maker.clone(built, snapshot, PART, marked(mark))
        config = kept_config(maker.session, self._made, self.machine, self.networks)
        config.annotation, config.extraConfig = mark.to_text(), _without(self.key)
        maker.configure(self._made, config)

    def finish(self) -> str:
        """Give it its name, or have the library copy it; where it is then, as a sentence. Raises HostError, BuildError,
        and UsageError where somebody else was quicker with a name in the library."""
        if self._made is None:
            raise BuildError("there is no finished machine to keep; build again")
        maker, made, name = self.maker, self._made, self.goal.name
        if self.goal.library:
            with logged_in(maker.session) as rest:
                library = free_library(maker.session, rest, self.goal)
                put_into(rest, library, self.goal, made, maker.site)
            return f"kept on {maker.session.where}: {name}, in the content library '{self.goal.library}'"
        maker.session.order(f"making {name} a template", made.MarkAsTemplate)
        maker.rename(made, name)
        return f"kept on {maker.session.where}: the template {name}, in the folder '{maker.site.folder.name}'"


def _without(key: str) -> list[Any]:
    """An empty value removes it (vim.vm.ConfigSpec.extraConfig)."""
    from pyVmomi import vim

    return [vim.option.OptionValue(key=key, value="")]
