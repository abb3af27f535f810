"""A plan that runs on a node, this host's own vzctl or another host by ssh; what comes home is packed here."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vmgen_build.artifacts.manifest import Package, StepRecord
from vmgen_build.artifacts.result import Result
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.ostemplate import DEFAULT_URL, SUFFIXES, TemplateChoice, fetch
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.worker import Job, Made, Worker
from vmgen_build.errors import BuildError, UsageError, VmgenError
from vmgen_build.events import Bus, StepOutput
from vmgen_build.guests.lxc.workshop import LxcWorkshop
from vmgen_build.guests.node.driver import TAR, Driver, Setup
from vmgen_build.guests.node.guardian import guarded, reap
from vmgen_build.guests.node.workshop import NodeWorkshop, held_stages
from vmgen_build.guests.runners import ConnectionLost, connect, parse_host
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.host.namespaces import STOP_SIGNALS, WorkerBus, interrupt_once, run_isolated
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Base, Plan
from vmgen_build.plan.network import links
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.layers import Store


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the node gave: its templates, and the facts that a plan is made from."""

    templates: frozenset[str]
    facts: Facts

    def held(self, plan: Plan) -> int:
        """How many of the plan's stages need not be made there."""
        return held_stages(plan, self.templates) + 1


@contextmanager
def driver_for(options: BuildOptions, backend: str, tag: str) -> Iterator[Driver]:
    """Connected. Raises HostError, UsageError."""
    kind = backend_named(backend).node_driver
    with connect(parse_host(options.host), accept_new=options.accept_new_host_key) as runner:
        driver = kind(runner, tag)
        driver.check()
        yield driver


def look(recipe: Recipe, backend: str, facts: Facts, options: BuildOptions, bus: Bus) -> Seen:
    """Clear away what killed builds left on the node, and find the base that containers there start from."""
    if options.on_error == "shell":
        raise UsageError("--on-error shell works on this host alone; with --host, take: --on-error keep")
    with driver_for(options, backend, "look") as driver:
        for tag in reap(driver):
            bus.note(f"cleared away on {driver.where} what a build that was cut off left: {tag}")
        templates = driver.templates()
        if not driver.foreign_templates:
            return Seen(templates, facts)
        return Seen(templates, _with_template(recipe, facts, driver, templates, options, bus))


def _with_template(
    recipe: Recipe, facts: Facts, driver: Driver, templates: frozenset[str], options: BuildOptions, bus: Bus
) -> Facts:
    """The node's own template of the system, or one that the user names the source of; else a base of ours serves."""
    choice = options.template or TemplateChoice()
    name = choice.name_for(recipe.hardware.os)
    if name in templates:
        digest = driver.template_digest(name)
        if choice.sha256 and digest != choice.sha256.lower():
            raise BuildError(
                f"template {name} on {driver.where} has the sha256 {digest}, not {choice.sha256.lower()}:"
                f" remove it from {driver.cache} there, or give --template-sha256 of the right one"
            )
    elif choice.name or choice.url != DEFAULT_URL:
        digest = sha256_of(fetch(choice, name, options.cache, bus.emit, offline=options.offline))
    else:
        bus.note(f"{driver.where} has no template {name}: a base made here takes its place")
        return facts
    return replace(facts, template=name, template_digest=digest)


def build_on_node(job: Job, recipe: Recipe, seen: Seen, bus: Bus) -> Made:
    """Raises VmgenError, or KeyboardInterrupt once all is undone; the node is clear again in either case."""
    _make_base_here(job, seen, bus)
    with _interrupted_once():
        try:
            worker, packages, result = _steps(job, recipe, bus)
        except ConnectionLost as error:
            raise ConnectionLost(f"{error}\n{_clear_after_loss(job, bus)}") from error

    def work(worker_bus: WorkerBus) -> tuple[tuple[Written, ...], list[StepRecord]]:
        worker.bus = worker_bus
        return worker.pack(result), worker.records

    packed, records = run_isolated(work, bus)
    return Made(packed, tuple(records), packages)


def setup_of(recipe: Recipe, address: str) -> Setup:
    """address: for the time of the build; else those that the recipe gives its venet adapters."""
    hardware = recipe.hardware
    venets = {name for name, adapter in hardware.eths.items() if adapter.type == "venet"}
    own = [str(a.ip) for link in links(recipe) if link.name in venets for a in link.addresses]
    first = next(iter(hardware.hdds.values()), None)
    return Setup(
        cpus=hardware.num_cpu or 0,
        ram=hardware.ram or 0,
        disk=(first.size if first else None) or 0,
        addresses=(address,) if address else tuple(own),
    )


def _steps(job: Job, recipe: Recipe, bus: Bus) -> tuple[Worker, tuple[Package, ...], Result]:
    """All that happens on the node. The root file system lies on this host then, and the container is gone."""
    plan, options = job.plan, job.options
    with driver_for(options, plan.backend, job.leased.name) as driver, guarded(driver) as guardian:
        workshop = NodeWorkshop(
            driver,
            guardian,
            plan,
            job.leased,
            setup_of(recipe, options.build_address),
            plan.name,
            push=lambda base, node, name, output: _push(job, base, node, name, bus),
            tell=lambda text: bus.note(text, verbose=True),
        )
        worker = Worker(job, bus, workshop)
        with worker.steps_done():
            packages = worker.packages()
            with workshop.result(worker.done) as result:
                return worker, packages, result


def _make_base_here(job: Job, seen: Seen, bus: Bus) -> None:
    """Before the node is asked for anything: the base of ours, where the node will need it and the cache lacks it."""
    plan = job.plan
    store = Store(job.options.cache)
    needed = not job.options.use_cache or seen.held(plan) == 0
    if plan.base.template or not needed or store.holds(plan.base.id):
        return
    bus.note("making the base system here", verbose=True)

    def work(worker_bus: WorkerBus) -> None:
        workshop = LxcWorkshop(store, job.leased, plan, lambda _id: None)
        with workshop.claim(plan.base.id):
            if not store.holds(plan.base.id):
                workshop.make_base(plan.base, plan, lambda line: worker_bus.emit(StepOutput(step="base", line=line)))

    run_isolated(work, bus)


def _push(job: Job, base: Base, driver: Driver, name: str, bus: Bus) -> None:
    """Bring the base to the node, where it is not there yet."""
    if name in driver.templates():
        return
    cache = job.options.cache
    if base.template:
        choice = job.options.template or TemplateChoice()
        with Store(cache).in_use(["ostemplates"]):
            path = fetch(choice, name, cache, bus.emit, offline=job.options.offline)
            suffix = next(s for s in SUFFIXES if path.name.endswith(s))
            with path.open("rb") as file:
                driver.put_template(name, file, suffix)
        return
    store = Store(cache)
    pack = f'set -euo pipefail\n{TAR}tar $options -C "$1" -cf - . | gzip -1'
    with store.in_use([base.id]):
        words = ["bash", "-c", pack, "bash", str(store.tree(base.id))]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as tar:
            assert tar.stdout is not None
            driver.put_template(name, tar.stdout)  # type: ignore[arg-type]
        if tar.returncode != 0:
            raise BuildError(f"cannot pack the base system (tar ended with {tar.returncode})")


def _clear_after_loss(job: Job, bus: Bus) -> str:
    """Look whether the node's guardian has cleared up, and do it where it is gone. What to tell the user."""
    bus.note(f"the connection to {job.options.host} was lost; connecting again to clear up", "warning")
    try:
        with driver_for(job.options, job.plan.backend, job.leased.name) as driver:
            reap(driver, job.leased.name)
    except VmgenError as error:
        return f"what the build left there goes with the next build on that node; clearing up now failed: {error}"
    return "nothing of the build is left there; build again when the node is well"


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """The first signal interrupts; the undoing that follows is left in peace."""

    before = {number: signal.signal(number, interrupt_once) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
