"""A node as a place, this host's own vzctl or lxc or another host's by ssh; what comes home is packed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.bases.ostemplate import DEFAULT_URL, OsTemplateChoice, fetch, kept
from vmgen_build.bases.supply import base_maker
from vmgen_build.build.bases import make_base_here
from vmgen_build.build.choice import Emit, choose_base, os_template_choice
from vmgen_build.build.finding import Finding
from vmgen_build.build.job import Build
from vmgen_build.build.places.model import Look, Place, refuse_server
from vmgen_build.build.places.nodes.address import setup_of, without_address
from vmgen_build.build.places.nodes.drivers import drivers_on
from vmgen_build.build.places.nodes.push import push
from vmgen_build.build.requirements import base_needs, base_requirements
from vmgen_build.errors import BuildError, Problem, RecipeError, UsageError, VmgenError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Workshop
from vmgen_build.guests.node.driver import Driver, Setup
from vmgen_build.guests.node.guardian import guarded, reap
from vmgen_build.guests.node.workshop import NodeWorkshop, last_kept_stage
from vmgen_build.guests.runners import ConnectionLost, connect, parse_host
from vmgen_build.host.architectures import kernel_runs
from vmgen_build.host.files import sha256_of
from vmgen_build.host.needs import NAMESPACES, ROOT, Need, NeededProgram, Readiness, programs
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import OsTemplate
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe

HOMEWARD = (
    needed("bash", "takes in what comes from the node"),
    needed("tar", "unpacks what comes from the node"),
    needed("gzip", "packs a base for the node, and unpacks what comes from it"),
)


class NodePlace(Place):
    @staticmethod
    def check_host(text: str) -> None:
        parse_host(text)

    def check_options(self) -> None:
        refuse_server(self.options)
        if self.options.on_error == "shell":
            raise UsageError("--on-error shell works on this host alone; with --host, take: --on-error keep")

    def look(self, recipe: Recipe, backend: Backend, facts: Facts) -> Look:
        with self._driver(backend, "look") as driver:
            return self._look(recipe, driver, facts, None)

    def prepare(self, recipe: Recipe, backend: Backend, facts: Facts, bus: Bus) -> Look:
        with self._drivers(backend, "look") as drivers:
            for each in drivers:
                for tag in reap(each):
                    bus.note(f"cleared away on {each.where} what a build that was cut off left: {tag}")
            return self._look(recipe, drivers[0], facts, bus.emit)

    def kept_stages(self, plan: Plan, look: Look) -> int:
        return last_kept_stage(plan, look.there) + 1

    def problems(self, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
        if not look.needs_address or setup_of(recipe, self.options.build_address).addresses:
            return []
        kept = self.kept_stages(plan, look) if self.options.use_cache else 0
        return without_address(recipe, plan, plan.steps[max(0, kept - 1) :])

    def requirements(self, plan: Plan, look: Look) -> tuple[Requirement, ...]:
        return (*HOMEWARD, *(base_requirements(plan) if self._base_is_made_here(plan, look) else ()))

    @classmethod
    def needs(cls, backend: Backend, form: Format) -> tuple[Need, ...] | None:
        """A base of packages is made here where the node lacks it; a node with OS templates needs none."""
        if form.as_exported:
            return None
        making = (need for need in base_needs() if isinstance(need, NeededProgram))
        bases = (replace(need, without=Readiness.DEGRADED) for need in making)
        return (ROOT, NAMESPACES, *programs(*HOMEWARD), *bases)

    @contextmanager
    def workshop(self, build: Build) -> Iterator[Workshop]:
        """Where the node lacks a base of ours, it is made here first, before the node is asked for anything."""
        if self._base_is_made_here(build.plan, build.look):
            make_base_here(build)
        try:
            with self._driver(build.backend, build.leased.name) as driver, guarded(driver) as guardian:
                yield NodeWorkshop(
                    guardian,
                    build.plan,
                    build.leased,
                    self._setup(build.recipe),
                    push=lambda base, node, name: push(build, base, node, name),
                    note=lambda text: build.bus.note(text, verbose=True),
                )
        except ConnectionLost as error:
            raise ConnectionLost(f"{error}\n{self._clear_after_loss(build)}") from error

    def doctor(self) -> list[Finding]:
        from vmgen_build.build.places.nodes.doctor import look_at

        return look_at(self.options.host, accept_new=self.options.accept_new_host_key)

    @contextmanager
    def _driver(self, backend: Backend, tag: str) -> Iterator[Driver]:
        """The one that makes the backend's containers, connected. Raises HostError, UsageError."""
        with self._drivers(backend, tag) as drivers:
            yield drivers[0]

    @contextmanager
    def _drivers(self, backend: Backend, tag: str) -> Iterator[list[Driver]]:
        """All that the node can be driven by, the backend's first, connected."""
        with connect(parse_host(self.options.host), accept_new=self.options.accept_new_host_key) as runner:
            drivers = drivers_on(runner, tag, backend.prefers)
            drivers[0].check()
            yield drivers

    def _base_is_made_here(self, plan: Plan, look: Look) -> bool:
        """Whether the node will be sent a base of ours that this host's cache lacks."""
        wanted = not self.options.use_cache or self.kept_stages(plan, look) == 0
        return wanted and not isinstance(plan.base, OsTemplate) and not self.options.store().holds(plan.base.id)

    def _setup(self, recipe: Recipe) -> Setup:
        """A container of OpenVZ without an address reaches nothing."""
        setup = setup_of(recipe, self.options.build_address)
        return replace(setup, addresses=()) if self.options.offline else setup

    def _look(self, recipe: Recipe, driver: Driver, facts: Facts, emit: Emit | None) -> Look:
        """The base is what the recipe names, else the node's own OS template of the system, or one that the user names
        the source of; else ours. emit: as in `choose_base`."""
        _refuse_foreign(recipe, driver)
        look = Look(facts, driver.os_templates(), needs_address=driver.needs_address)
        choice, source = os_template_choice(recipe, self.options), recipe.hardware.base
        if not driver.foreign_os_templates or (source is not None and source.kind != "template"):
            return self._made_here(recipe, driver, look, emit)
        name = choice.name_for(recipe.hardware.os)
        if name in look.there:
            digest = self._digest_there(driver, name, choice)
            return replace(look, facts=replace(facts, os_template=name, os_template_digest=digest))
        if not choice.name and choice.url == DEFAULT_URL:
            note = f"{driver.where} has no OS template {name}: a base made here takes its place"
            return self._made_here(recipe, driver, replace(look, note=note), emit)
        digest = self._digest_at_hand(name, choice, emit)
        unknown = "" if digest else f"the OS template {name} is not downloaded yet"
        return replace(look, facts=replace(facts, os_template=name, os_template_digest=digest), unknown=unknown)

    def _made_here(self, recipe: Recipe, driver: Driver, look: Look, emit: Emit | None) -> Look:
        scripts = driver.guest_scripts if driver.foreign_os_templates else ""
        facts = replace(look.facts, node=scripts)
        if recipe.hardware.base is None and base_maker(recipe.hardware.os) is not None:
            return replace(look, facts=facts)
        chosen = choose_base(recipe, facts, self.options, emit)
        note = "; ".join(filter(None, (look.note, chosen.note)))
        return replace(look, facts=chosen.facts, note=note, unknown=chosen.unknown)

    def _digest_there(self, driver: Driver, name: str, choice: OsTemplateChoice) -> str:
        """Of an OS template of the node. Raises BuildError where the user asks for another."""
        digest, wanted = driver.os_template_digest(name), choice.sha256.lower()
        if wanted and digest != wanted:
            raise BuildError(
                f"OS template {name} on {driver.where} has the sha256 {digest}, not {wanted}:"
                f" remove it from {driver.cache} there, or give --ostemplate-sha256 of the right one"
            )
        return digest

    def _digest_at_hand(self, name: str, choice: OsTemplateChoice, emit: Emit | None) -> str:
        """Of an OS template that the node lacks, "" where it cannot be known without a download."""
        options = self.options
        if emit is not None:
            return sha256_of(fetch(choice, name, options.cache, emit, offline=options.offline))
        if choice.sha256:
            return choice.sha256.lower()
        path = kept(choice, name, options.cache)
        return sha256_of(path) if path else ""

    def _clear_after_loss(self, build: Build) -> str:
        """Look whether the node's guardian has cleared up, and do it where it is gone. What to tell the user."""
        build.bus.note(f"the connection to {self.options.host} was lost; connecting again to clear up", "warning")
        try:
            with self._driver(build.backend, build.leased.name) as driver:
                reap(driver, build.leased.name)
        except VmgenError as error:
            return f"what the build left there goes with the next build on that node; clearing up now failed: {error}"
        return "nothing of the build is left there; build again when the node is well"


def _refuse_foreign(recipe: Recipe, driver: Driver) -> None:
    """Raises RecipeError where the node's kernel does not run the system's programs. Every node runs amd64."""
    hardware = recipe.hardware
    if hardware.os.arch == "amd64":
        return
    machine = driver.runner.run(["uname", "-m"]).out.strip()
    if not kernel_runs(machine, hardware.os.arch):
        text = f"{driver.where} runs no {hardware.os.arch} programs, its kernel is of {machine}; leave --host out"
        raise RecipeError([Problem(hardware.at("os"), "[hardware] os", text, code="no-architecture")])
