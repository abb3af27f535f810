"""A plan's whole machine. It needs of the guest what every communicator has: a script run, a file put there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from vmgen_build.bases.identity import wrong_release
from vmgen_build.bases.supply import Request, Supply
from vmgen_build.errors import BuildError
from vmgen_build.guests.delivery import environment, items_of
from vmgen_build.guests.machines.model import PATIENCE, RunningMachine
from vmgen_build.guests.machines.steps import Delivery, Steps
from vmgen_build.guests.machines.whole import WholeGuest
from vmgen_build.guests.model import Output, repositories_after
from vmgen_build.host.lines import Lines
from vmgen_build.plan.bases import MinimalMachine
from vmgen_build.plan.minimal import clearing, removal
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import HOME

RESOLV_CONF = "resolv.conf"
"""Among the settings: the name servers while a step uses the network, whatever the image will have."""

RESOLVER = """\
[ -e /etc/resolv.conf ] || : >/etc/resolv.conf
mount --bind {folder}/resolv.conf /etc/resolv.conf || :
"""
"""A step that uses the network has mounts of its own."""

BETWEEN = "\n==\n"

RELEASE = """\
cat /etc/os-release 2>/dev/null | head -c 16384
printf '\\n==\\n'
cat /etc/debian_version 2>/dev/null | head -c 100
"""

INTERACTIVE = "if command -v bash >/dev/null; then exec bash -i; else exec sh -i; fi"


class MachineGuest(WholeGuest):
    """Of a Linux."""

    def __init__(
        self, machine: RunningMachine, plan: Plan, after: tuple[str, ...], kept: Callable[[str], Path]
    ) -> None:
        super().__init__(machine, plan, after, kept)
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

    def open_shell(self, step: Step) -> None:
        """With the step's folder, variables and network."""
        with self._steps.delivered(self._there, self._delivery(step)):
            variables = environment(self.plan, self.supply) | {"TERM": os.environ.get("TERM", "dumb")}
            words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
            words += ["unshare", "--mount" if self.plan.reaches(step) else "--net", "sh", "-c", INTERACTIVE]
            self.machine.open_shell(f"cd && {shlex.join(words)}")

    def check_system(self) -> None:
        asked = self._there.run(RELEASE, PATIENCE)
        release, _, debian = asked.out.partition(BETWEEN)
        if wrong := wrong_release(release, debian, self.plan.system):
            raise BuildError(f"{self.plan.base.title} {wrong}")

    def end(self) -> None:
        self._put_away()
        base, renderer = self.plan.base, Renderer(None)
        script = removal(base, renderer) if isinstance(base, MinimalMachine) else clearing(renderer)
        ran = self._there.run(script, PATIENCE)
        if ran.code != 0:
            raise BuildError(f"what the build left in the machine cannot be removed: {ran.out.strip()}")

    def _fetch_indexes(self, output: Output) -> None:
        """Once for a machine, and again after its repositories became others."""
        repositories = repositories_after(self.plan, self.after)
        if self._indexes != repositories:
            self._run_fetching(self.supply.fetch_indexes(HOME), output)
            self._indexes = repositories

    def _put_away(self) -> None:
        self._steps.put_away(self._there)

    def _execute(self, step: Step, output: Output) -> int | None:
        return self._steps.run(self._there, self._delivery(step), Lines(output))

    def _delivery(self, step: Step) -> Delivery:
        reaches = self.plan.reaches(step)
        settings = self.machine.reached(self.supply.settings(self._folder, HOME)) if step.network else {}
        return Delivery(
            items=items_of(step, settings, self.plan.epoch),
            variables=environment(self.plan, self.supply),
            network=reaches,
            before=RESOLVER.format(folder=shlex.quote(self._folder)) if reaches and RESOLV_CONF in settings else "",
            packages=f"{HOME}/{self.supply.package_folder}/partial" if step.network else "",
            private=any(file.private for file in step.files),
            timeout=step.timeout,
        )
