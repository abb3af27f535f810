"""A plan's whole machine: each step goes there as a tar, is started, and asked for what it prints until it ends.

It needs of the guest what every communicator has: a script run, a file put there. A step may take hours, and no single
request does.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from io import UnsupportedOperation
from pathlib import Path
from typing import BinaryIO

from vmgen_build.bases.supply import Request, Supply
from vmgen_build.errors import BuildError
from vmgen_build.guests.delivery import Item, environment, items_of, packed, run_item
from vmgen_build.guests.machines.model import PATIENCE, RunningMachine
from vmgen_build.guests.model import Communicator, Guest, Output, repositories_after
from vmgen_build.host.inmemory import in_memory
from vmgen_build.host.lines import Lines
from vmgen_build.plan.minimal import WORK
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import HOME

WAIT = 2
"""Seconds that one question waits in the guest for the end of a step."""

PIECE = 1 << 16
"""Bytes of a step's output that one answer brings at most."""

RESOLV_CONF = "resolv.conf"
"""Among the settings: the name servers while a step uses the network, whatever the image will have."""

RESOLVER = """\
[ -e /etc/resolv.conf ] || : >/etc/resolv.conf
mount --bind {folder}/resolv.conf /etc/resolv.conf || :
"""
"""A step that uses the network has mounts of its own."""

INTERACTIVE = "if command -v bash >/dev/null; then exec bash -i; else exec sh -i; fi"

_ANSWER = re.compile(r"(-|[0-9]{1,3}) ([A-Za-z0-9+/=]*)\n?")


class MachineGuest(Guest):
    """after: ids of the layers that it is made of. kept: as of MachineWorkshop."""

    def __init__(
        self, machine: RunningMachine, plan: Plan, after: tuple[str, ...], kept: Callable[[str], Path]
    ) -> None:
        self.machine, self.plan, self.after, self._kept = machine, plan, after, kept
        self._folder = plan.system.family.step_folder
        self._renderer = Renderer(None)
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
            self.machine.snapshot(step)

    def keep_for_inspection(self, step: Step) -> str:
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", step.name)[:100]
        how = self.machine.keep(self._kept(f"{self.plan.name}-{name}"))
        return f"kept the machine of step '{step.name}'; {how}"

    def open_shell(self, step: Step) -> None:
        """With the step's folder, variables and network."""
        with self._delivered(step):
            tar, folder = f"{WORK}/step.tar", shlex.quote(self._folder)
            variables = environment(self.plan, self.supply) | {"TERM": os.environ.get("TERM", "dumb")}
            words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
            words += ["unshare", "--mount" if step.network else "--net", "sh", "-c", INTERACTIVE]
            self.machine.open_shell(f"tar -xpf {tar} -C {folder} && rm -f {tar} && cd && {shlex.join(words)}")

    def run_last(self, script: str) -> None:
        """A script after all steps. Raises BuildError."""
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
        self.machine.restart()

    def _execute(self, step: Step, output: Output) -> int | None:
        with self._delivered(step):
            self._order("start", network="yes" if step.network else "")
            return self._followed(step, Lines(output))

    def _followed(self, step: Step, lines: Lines) -> int | None:
        began, seen = time.monotonic(), 0
        while True:
            code, data = self._asked(seen)
            seen += len(data)
            lines.add(data, final=code is not None)
            if code is not None:
                return code
            if step.timeout is not None and time.monotonic() - began > step.timeout:
                return None

    def _asked(self, seen: int) -> tuple[int | None, bytes]:
        """The exit code once it has ended and all is read, and what it printed from this byte on."""
        text = self._order("follow", seen=seen, wait=WAIT, piece=PIECE)
        match = _ANSWER.fullmatch(text)
        try:
            if match is None:
                raise ValueError("it has another form")
            return None if match[1] == "-" else int(match[1]), base64.b64decode(match[2], validate=True)
        except ValueError as error:
            raise BuildError(f"the machine's answer is none to how the step goes: {text[:200]!r}: {error}") from error

    def _order(self, order: str, **values: object) -> str:
        """Run a script of ours there; what it prints. Raises BuildError where it fails."""
        script = self._renderer.sh(f"vm/step-{order}.sh.j2", work=WORK, folder=self._folder, **values)
        ran = self._there.run(script, PATIENCE + WAIT)
        if ran.code != 0:
            raise BuildError(f"in the machine ({order}): {ran.out.strip()}")
        return ran.out

    @contextmanager
    def _delivered(self, step: Step) -> Iterator[None]:
        """The step's folder in the guest, in memory, as long as the body runs."""
        self._order("begin", packages=f"{HOME}/{self.supply.package_folder}/partial")
        with packed(self._items(step)) as tar, _named(tar) as file:
            self._there.put(file, f"{WORK}/step.tar", 0o600)
        yield
        self._order("end")

    def _items(self, step: Step) -> tuple[Item, ...]:
        settings = self.machine.reached(self.supply.settings(self._folder, HOME)) if step.network else {}
        resolver = RESOLVER.format(folder=shlex.quote(self._folder)) if RESOLV_CONF in settings else ""
        run = run_item(self._folder, environment(self.plan, self.supply), resolver)
        return run, *items_of(step, settings, self.plan.epoch)


@contextmanager
def _named(tar: BinaryIO) -> Iterator[Path]:
    """A path of this process's own at which it can be read; on no disk where it is on none."""
    with ExitStack() as undo:
        try:
            fd = tar.fileno()
        except UnsupportedOperation:
            fd = undo.enter_context(in_memory(tar.read())).fileno()
        yield Path(f"/proc/self/fd/{fd}")
