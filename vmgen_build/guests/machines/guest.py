"""A plan's whole machine. It needs of the guest what every communicator has: a script run, a file put there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from vmgen_build.bases.supply import Request, Supply
from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.delivery import environment, items_of
from vmgen_build.guests.machines.model import PATIENCE, RunningMachine
from vmgen_build.guests.machines.steps import Delivery, Steps
from vmgen_build.guests.model import Communicator, Guest, Output, repositories_after
from vmgen_build.host.lines import Lines
from vmgen_build.plan.model import Plan, Step
from vmgen_build.systems.model import HOME

RESOLV_CONF = "resolv.conf"
"""Among the settings: the name servers while a step uses the network, whatever the image will have."""

RESOLVER = """\
[ -e /etc/resolv.conf ] || : >/etc/resolv.conf
mount --bind {folder}/resolv.conf /etc/resolv.conf || :
"""
"""A step that uses the network has mounts of its own."""

INTERACTIVE = "if command -v bash >/dev/null; then exec bash -i; else exec sh -i; fi"


class MachineGuest(Guest):
    """after: ids of the layers that it is made of. kept: as of MachineWorkshop."""

    def __init__(
        self, machine: RunningMachine, plan: Plan, after: tuple[str, ...], kept: Callable[[str], Path]
    ) -> None:
        self.machine, self.plan, self.after, self._kept = machine, plan, after, kept
        self._folder = plan.system.family.step_folder
        self._steps = Steps(self._folder)
        self._indexes = "" if machine.has_indexes and self._fetches_as_here() else None

    @cached_property
    def supply(self) -> Supply:
        return self.machine.supply(Request(self.plan.system, self.plan.mirror, self.plan.epoch))

    def _fetches_as_here(self) -> bool:
        """Whether its sources have the addresses that they have for this host: indexes bear their names."""
        settings = self.supply.settings(self._folder, HOME)
        there = self.machine.reached(settings)
        return all(there[name] == content for name, content in settings.items())

    @property
    def _there(self) -> Communicator:
        return self.machine.communicator

    def keep_layer(self, step: Step) -> None:
        self.after = (*self.after, step.id)
        if step.installs:
            self._put_away()
            self.machine.snapshot(step)

    def keep_for_inspection(self, step: Step) -> str:
        """Whatever the step has done to it."""
        with suppress(VmgenError):
            self._put_away()
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", step.name)[:100]
        how = self.machine.keep(self._kept(f"{self.plan.name}-{name}"))
        return f"kept the machine of step '{step.name}'; {how}"

    def open_shell(self, step: Step) -> None:
        """With the step's folder, variables and network."""
        with self._steps.delivered(self._there, self._delivery(step)):
            variables = environment(self.plan, self.supply) | {"TERM": os.environ.get("TERM", "dumb")}
            words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
            words += ["unshare", "--mount" if step.network else "--net", "sh", "-c", INTERACTIVE]
            self.machine.open_shell(f"cd && {shlex.join(words)}")

    def run_last(self, script: str) -> None:
        """A script after all steps. Raises BuildError."""
        self._put_away()
        ran = self._there.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"what the build left in the machine cannot be removed: {ran.out.strip()}")

    def _fetch_indexes(self, output: Output) -> None:
        """Once for a machine, and again after its repositories became others."""
        repositories = repositories_after(self.plan, self.after)
        if self._indexes != repositories:
            self._run_fetching(self.supply.fetch_indexes(HOME), output)
            self._indexes = repositories

    def _restart(self) -> None:
        self._put_away()
        self.machine.restart()

    def _put_away(self) -> None:
        self._steps.put_away(self._there)

    def _execute(self, step: Step, output: Output) -> int | None:
        return self._steps.run(self._there, self._delivery(step), Lines(output))

    def _delivery(self, step: Step) -> Delivery:
        settings = self.machine.reached(self.supply.settings(self._folder, HOME)) if step.network else {}
        return Delivery(
            items=items_of(step, settings, self.plan.epoch),
            variables=environment(self.plan, self.supply),
            network=step.network,
            before=RESOLVER.format(folder=shlex.quote(self._folder)) if RESOLV_CONF in settings else "",
            packages=f"{HOME}/{self.supply.package_folder}/partial" if step.network else "",
            private=any(file.private for file in step.files),
            timeout=step.timeout,
        )
