"""The workshop of a node: one container for the whole plan, and OS templates in place of layers.

A layer is there where an OS template with its id lies in the node's cache: the base, and the one after the last step
that installs packages. All layers before one that is there count as there too: the container begins with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from vmgen_build.artifacts.result import Tree
from vmgen_build.bases.ostemplate import ARCHITECTURES
from vmgen_build.bases.supply import Request, Supply, supply_kind
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.complete import complete
from vmgen_build.guests.model import Guest, Output, Workshop
from vmgen_build.guests.node.clearing import PACKER
from vmgen_build.guests.node.driver import MARK, PACK, Driver, Setup
from vmgen_build.guests.node.guardian import Guardian
from vmgen_build.guests.node.guest import NodeGuest
from vmgen_build.guests.node.homecoming import take_in
from vmgen_build.guests.runners import Runner, answers
from vmgen_build.guests.runners.local import LocalRunner
from vmgen_build.host.programs import find_program
from vmgen_build.limits import NODE_FILE
from vmgen_build.plan.bases import Base, OsTemplate
from vmgen_build.plan.model import Plan, Step

PACKERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "zstd": ("zstd -q -1 -c", ("zstd", "-q", "-d", "-c")),
    "gzip": ("gzip -1 -c", ("gzip", "-d", "-c")),
    "": ("cat", ()),
}
"""What a root comes home by, and what takes it in here; "" on this host."""

_PACK = f'set -euo pipefail\n{PACK}pack "$1" | $2'

PushBase = Callable[[Base, Driver, str], None]
"""Puts the base's OS template of this name into the driver's cache."""


def layer_name(plan: Plan, layer_id: str) -> str:
    """vzctl finds its distribution scripts by the name: it takes parts away from the right until one is known."""
    if isinstance(plan.base, OsTemplate) and layer_id == plan.base.id:
        return plan.base.os_template
    arch = ARCHITECTURES.get(plan.arch, plan.arch)
    system = plan.os.removesuffix(f"-{plan.arch}")
    return f"{system}-{arch}-{MARK}-{layer_id[:16]}"


def _last_of_packages(steps: Sequence[Step]) -> str:
    """The id of the last step before what people change daily; "" where nothing is installed."""
    first = list(takewhile(lambda step: step.installs or step.name == "repositories", steps))
    return first[-1].id if first else ""


def last_kept_stage(plan: Plan, os_templates: Collection[str]) -> int:
    """The index of the last of the plan's stages that has an OS template; -1 for none."""
    return max((i for i, item in enumerate(plan.stages) if layer_name(plan, item.id) in os_templates), default=-1)


def node_supply(runner: Runner, plan: Plan) -> Supply:
    """What guests of the plan get on a node: packages come as the node fetches its own."""

    def ask(argv: Sequence[str]) -> bytes:
        with runner.read(["sh", "-c", '"$@" 2>/dev/null || :', "sh", *argv]) as stream:
            data = stream.read(NODE_FILE.amount + 1)
        if len(data) > NODE_FILE.amount:
            raise HostError(f"{runner.name}: what '{answers.shown(' '.join(argv))}' gives: {NODE_FILE.exceeded}")
        return data

    return supply_kind(plan.system).of_host(Request(plan.system, plan.mirror, plan.epoch), ask)


class NodeWorkshop(Workshop):
    """leased: folder of this host for the root that comes home. setup: of the container.

    push: brings the base to a node that lacks it; note: takes a sentence for the user.
    """

    def __init__(
        self, guardian: Guardian, plan: Plan, leased: Path, setup: Setup, *, push: PushBase, note: Callable[[str], None]
    ) -> None:
        self.driver, self.guardian, self.plan, self.leased = guardian.driver, guardian, plan, leased
        self.setup, self.push, self.note = setup, push, note
        self._guest: NodeGuest | None = None
        self._last_kept = last_kept_stage(plan, self.driver.os_templates())
        self._keep = _last_of_packages(plan.steps)

    @cached_property
    def supply(self) -> Supply:
        return node_supply(self.driver.runner, self.plan)

    def holds(self, layer_id: str) -> bool:
        return layer_id in [item.id for item in self.plan.stages[: self._last_kept + 1]]

    @contextmanager
    def claim(self, layer_id: str) -> Iterator[None]:
        """Two builds may make one OS template at the same time: each puts it in place whole."""
        yield

    def make_base(self, base: Base, plan: Plan, output: Output) -> None:
        self.push(base, self.driver, layer_name(plan, base.id))
        self._last_kept = 0

    @contextmanager
    def guest(self, plan: Plan, after: Sequence[str]) -> Iterator[Guest]:
        """The container lives on until the guardian's context ends."""
        if self._guest is None:
            self._guest = self._begin(after)
        if self._guest.after != tuple(after):
            raise BuildError("the container is not in the state that the next step begins with; build again")
        yield self._guest

    @contextmanager
    def result(self, layers: Sequence[str]) -> Iterator[Tree]:
        """The root, brought here; nothing runs in the container any more."""
        with self.guest(self.plan, layers):
            assert self._guest is not None
            guest, self._guest = self._guest, None
        guest.clean()
        home = self.leased / "home"
        home.mkdir(mode=0o700)
        folder = home / "rootfs"
        folder.mkdir()
        self.note(f"bringing the root home from {self.driver.where}")
        with self.driver.mounted(guest.ct) as root:
            _bring(self.driver, root, folder)
        yield Tree(folder)

    def keep(self, guest: NodeGuest, step: Step) -> None:
        """Called with each new state; that after the last packages becomes an OS template."""
        if step.id != self._keep:
            return
        guest.clean()
        self.driver.keep_as_os_template(guest.ct, layer_name(self.plan, step.id))
        self.driver.start(guest.ct)

    def _begin(self, after: Sequence[str]) -> NodeGuest:
        name = layer_name(self.plan, after[-1])
        self.driver.used(name)
        guest = NodeGuest(self.guardian, self.plan, self.supply, self.keep)
        guest.create(name, self.plan.name, self.setup, after)
        base = self.plan.base
        if len(after) == 1 and isinstance(base, OsTemplate):
            complete(guest, base.packages, self.plan.system, self.supply, lambda _line: None)
        return guest


def _bring(driver: Driver, root: str, folder: Path) -> None:
    """The node packs, this host unpacks, in constant memory. Raises BuildError, HostError, ConnectionLost."""
    there, here = PACKERS[_packer(driver)]
    words = ["env", f"{PACKER}={driver.tag}", "bash", "-c", _PACK, "bash", root, there]
    with driver.runner.read(words) as stream:
        take_in(stream, here, folder, driver.where)


def _packer(driver: Driver) -> str:
    """What both hosts have; gzip each has that builds."""
    if isinstance(driver.runner, LocalRunner):
        return ""
    return "zstd" if driver.has("zstd") and find_program("zstd") else "gzip"
