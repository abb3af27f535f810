"""From a recipe to artifacts: plan, build, pack, manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from vmgen_build.artifacts.beside import describing
from vmgen_build.artifacts.manifest import StepRecord, manifest_path
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format, PackOptions
from vmgen_build.backends.registry import all_backends, backend_named, format_of, formats_of
from vmgen_build.build.choice import Chosen, choose_base
from vmgen_build.build.facts import archive_is_known, facts_at_hand, facts_for
from vmgen_build.build.inputs import remembered
from vmgen_build.build.job import Build, packing_title
from vmgen_build.build.logfile import open_log
from vmgen_build.build.offline import require_at_hand
from vmgen_build.build.options import BuildOptions, BuildResult, StepState
from vmgen_build.build.places.model import Look, Place
from vmgen_build.build.places.registry import place_at
from vmgen_build.build.results import found_again, is_unchanged, publish, take_again
from vmgen_build.build.room import require_room
from vmgen_build.build.sbom.table import require_sbom
from vmgen_build.build.signers.table import require_keys
from vmgen_build.errors import HostError, Problem, RecipeError, UsageError, VmgenError
from vmgen_build.events import ArtifactWritten, BuildFinished, BuildStarted, Bus, RecipeBus, StepFinished
from vmgen_build.host.files import Written, reap_parts, require_own_output
from vmgen_build.host.programs import require_programs, require_root
from vmgen_build.plan.bases import SetUp
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan, refuse_unbuildable
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.cachedir import READABLE, check_cache, own_folder
from vmgen_build.store.lease import lease, reap

_ALL = "every step counts as one to run"

NOT_STARTED = (
    "[hardware] login and communicator are not used here, and the base is taken for what it holds; --host qemu: and"
    " vsphere: start it as it is"
)

NOT_HERE = "a machine with this system is started in QEMU or on a server; add --host qemu:, or vsphere://SERVER"

NO_SETUP = (
    "Setup of Windows runs in a whole machine: add --host qemu:, or vsphere://SERVER; 'vmgen-build compile' writes what"
    " makes one by hand"
)


def plan_for(recipe: Recipe, backend: str, options: BuildOptions) -> Plan:
    """The plan as a build would make it now, as far as the archive answers. Needs no root."""
    return plan_and_base(recipe, backend, options)[0]


def plan_and_base(recipe: Recipe, backend: str, options: BuildOptions) -> tuple[Plan, Chosen]:
    """The same, and which base it starts from, as a build on this host would choose it. No image server is asked."""
    facts = facts_at_hand(recipe, options.cache, offline=options.offline)
    chosen = choose_base(recipe, facts, replace(options, offline=True), None)
    return _plan(recipe, backend, options, chosen.facts), chosen


def dry_run(recipe: Recipe, options: BuildOptions, bus: Bus) -> list[StepState]:
    """Each step of each backend's plan, and whether its layer is there. Changes nothing, and needs no root here."""
    place = place_of(recipe, options)
    facts = facts_at_hand(recipe, options.cache, offline=options.offline)
    if not archive_is_known(recipe, facts):
        bus.note(f"what the package archive holds could not be asked: {_ALL}", "warning")
    return [state for _, states in plans_at_hand(recipe, place, bus, facts) for state in states]


def place_of(recipe: Recipe, options: BuildOptions) -> Place:
    """Where a build of the recipe would run. Raises UsageError as _checked_place, RecipeError for what is not built."""
    place = _checked_place(options)
    refuse_unbuildable(recipe)
    return place


def plans_at_hand(recipe: Recipe, place: Place, bus: Bus, facts: Facts) -> list[tuple[Plan, list[StepState]]]:
    """Each backend's plan, and which of its steps are there. facts: of the archive. Changes nothing; no root here."""
    found, options = [], place.options
    for name in options.backends:
        look = place.look(recipe, backend_named(name), facts)
        if look.note:
            bus.note(look.note)
        if look.unknown:
            bus.note(f"{look.unknown}: {_ALL}", "warning")
        plan = _plan(recipe, name, options, look.facts)
        if not is_unchanged(plan, options):
            _refuse(_problems(place, recipe, plan, look), bus)
        found.append((plan, _states(plan, look, place)))
    return found


def build(recipe: Recipe, options: BuildOptions, bus: Bus) -> tuple[BuildResult, ...]:
    """Build the recipe for each backend. Raises VmgenError, or KeyboardInterrupt once all is undone."""
    bus = RecipeBus(str(recipe.path), bus)
    call = _Call(recipe, options, _checked_place(options), bus)
    refuse_unbuildable(recipe)
    for warning in recipe.warnings:
        bus.note(str(warning), "warning")
    require_root_to_build()
    require_keys(options.sign)
    require_sbom(options.sbom)
    _prepare(options, bus)
    facts = facts_for(recipe, options.cache, offline=options.offline)
    planned = [call.planned(name, facts) for name in options.backends]
    new = [(plan, look) for plan, look in planned if not is_unchanged(plan, options)]
    call.require(new)
    for plan, look in new:
        require_at_hand(call.place, plan, look)
    require_room(recipe, call.place, new, bus)
    results: list[BuildResult] = []
    for plan, look in planned:
        fresh = frozenset(s.id for result in results for s in result.steps if s.outcome == "built")
        results.append(call.build(plan, look, fresh))
    return tuple(results)


def require_root_to_build() -> None:
    """Raises HostError."""
    require_root(
        "a build needs root, for its containers and mounts",
        "check, compile, options, programs, cache ls and --dry-run need none",
    )


def planned(recipe: Recipe, options: BuildOptions, bus: Bus) -> tuple[Place, Plan, Look]:
    """The plan for the first backend, as it would run now in its place, which has all that running it needs. Raises
    VmgenError."""
    call = _Call(recipe, options, _checked_place(options), bus)
    refuse_unbuildable(recipe)
    require_root("steps run in containers, which needs root")
    own_folder(options.cache, "layers", READABLE)
    reap(options.cache)
    facts = facts_for(recipe, options.cache, offline=options.offline)
    plan, look = call.planned(options.backends[0], facts)
    _refuse(call.place.problems(recipe, plan, look), bus)
    require_programs(list(call.place.requirements(plan, look)))
    return call.place, plan, look


@contextmanager
def _no_part_stays(folder: Path) -> Iterator[None]:
    """A worker that was killed leaves part files, which its parent removes."""
    try:
        yield
    except VmgenError:
        reap_parts(folder)
        raise


@dataclass(frozen=True, slots=True)
class _Call:
    """The builds of one call of `build`."""

    recipe: Recipe
    options: BuildOptions
    place: Place
    bus: Bus

    def planned(self, backend: str, facts: Facts) -> tuple[Plan, Look]:
        look = self.place.prepare(self.recipe, backend_named(backend), facts, self.bus)
        if look.note:
            self.bus.note(look.note)
        hardware = self.recipe.hardware
        if hardware.is_started and hardware.os.needs is None and not look.facts.started:
            self.bus.note(NOT_STARTED, "warning")
        return _plan(self.recipe, backend, self.options, look.facts), look

    def require(self, planned: Sequence[tuple[Plan, Look]]) -> None:
        """Raises RecipeError for a plan that cannot run in its place, and HostError naming every program of this host
        that one of these builds needs and that is not there."""
        needed = []
        for plan, look in planned:
            _refuse(_problems(self.place, self.recipe, plan, look), self.bus)
            backend = backend_named(plan.backend)
            formats = [format_of(backend, one.format) for one in self.options.packings(plan.backend)]
            needed += [*backend.needs(plan), *(requirement for one in formats for requirement in one.requirements)]
            needed += self.place.requirements(plan, look)
        require_programs(needed)

    def build(self, plan: Plan, look: Look, fresh: frozenset[str]) -> BuildResult:
        start = time.monotonic()
        with self._logged(plan, start) as log:
            with lease(self.options.cache) as leased, _no_part_stays(self.options.output):
                build = Build(
                    recipe=self.recipe,
                    plan=plan,
                    backend=backend_named(plan.backend),
                    place=self.place,
                    look=look,
                    bus=self.bus,
                    log=log,
                    leased=leased,
                    fresh=fresh,
                    packings=self.options.packings(plan.backend),
                )
                with remembered(self.recipe, plan, self.options):
                    result = _run(build)
            self.bus.emit(self._finished(plan, "unchanged" if result.unchanged else "built", start))
        return result

    @contextmanager
    def _logged(self, plan: Plan, start: float) -> Iterator[Path]:
        """A log that listens, from the event that the build has begun to the one that it has failed, if it does."""
        with open_log(own_folder(self.options.cache, "logs"), f"{plan.name}-{plan.backend}") as log:
            self.bus.add(log)
            try:
                titles = (*(stage.title for stage in plan.stages), packing_title(plan.backend))
                self.bus.emit(BuildStarted(backend=plan.backend, steps=len(titles), log=log.path, titles=titles))
                yield log.path
            except BaseException as error:
                outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                self.bus.emit(self._finished(plan, outcome, start))
                raise
            finally:
                self.bus.remove(log)

    def _finished(self, plan: Plan, outcome: str, start: float) -> BuildFinished:
        skipped = tuple(f"[{section}] {program}: {reason}" for section, program, reason in plan.skipped)
        seconds = time.monotonic() - start
        return BuildFinished(backend=plan.backend, outcome=outcome, seconds=seconds, skipped=skipped)


def _run(build: Build) -> BuildResult:
    start, began = time.monotonic(), int(time.time())
    found = found_again(build.plan, build.options)
    steps: tuple[StepRecord, ...] = ()
    new: Mapping[PackOptions, tuple[Written, ...]] = {}
    if missing := tuple(one for one in build.packings if one not in found):
        from vmgen_build.build.sources import with_sources
        from vmgen_build.build.steps import make

        with with_sources(replace(build, packings=missing)) as whole:
            made = make(whole)
        publish(build, made, began)
        new, steps = made.packed, made.steps
    else:
        _emit_cached(build)
    packed = [new[one] if one in new else take_again(build, one, found[one]) for one in build.packings]
    for packing, files in zip(build.packings, packed, strict=True):
        for file in files:
            build.bus.emit(
                ArtifactWritten(path=file.path, size=file.size, sha256=file.sha256, unchanged=packing in found)
            )
    return BuildResult(
        name=build.plan.name,
        backend=build.plan.backend,
        artifacts=tuple(file for files in packed for file in files),
        manifests=tuple(manifest_path(files[0].path) for files in packed),
        seconds=time.monotonic() - start,
        steps=steps,
        unchanged=not missing,
        skipped=build.plan.skipped,
        described=tuple(path for files in packed for path in describing(files[0].path)),
        uses=_uses(build, packed),
    )


def _uses(build: Build, packed: Sequence[Sequence[Written]]) -> tuple[str, ...]:
    formats = [format_of(build.backend, packing.format) for packing in build.packings]
    given = zip(formats, packed, strict=True)
    return tuple(line for one, files in given for line in one.use(build.plan.name, [file.path for file in files]))


def _emit_cached(build: Build) -> None:
    total = len(build.stages)
    for s in build.stages:
        build.bus.emit(
            StepFinished(step=s.name, title=s.title, id=s.id, index=s.index, total=total, outcome="cached", seconds=0.0)
        )


def _states(plan: Plan, look: Look, place: Place) -> list[StepState]:
    kept = place.kept_stages(plan, look) if place.options.use_cache else 0
    states = [StepState(plan.backend, s.name, s.title, s.id, i < kept) for i, s in enumerate(plan.stages)]
    packed = kept == len(plan.stages) and is_unchanged(plan, place.options)
    return [*states, StepState(plan.backend, "pack", packing_title(plan.backend), plan.id, packed)]


def _problems(place: Place, recipe: Recipe, plan: Plan, look: Look) -> list[Problem]:
    """What keeps the plan from running in this place, or its formats from being packed; warnings among it."""
    if isinstance(plan.base, SetUp):
        text = NO_SETUP if recipe.hardware.is_installed else NOT_HERE
        return [Problem(recipe.hardware.at("base"), "[hardware] base", text, code="base")]
    backend = backend_named(plan.backend)
    formats = [format_of(backend, one.format) for one in place.options.packings(plan.backend)]
    found = [problem for one in formats for problem in one.problems(recipe, plan)]
    return [*place.problems(recipe, plan, look), *found]


def _refuse(problems: Sequence[Problem], bus: Bus) -> None:
    """Raises RecipeError where there are errors among them; else warnings are shown."""
    warnings = [problem for problem in problems if problem.severity == "warning"]
    if errors := [problem for problem in problems if problem not in warnings]:
        raise RecipeError(errors, warnings)
    for warning in warnings:
        bus.note(str(warning), "warning")


def _plan(recipe: Recipe, backend: str, options: BuildOptions, facts: Facts) -> Plan:
    named = backend_named(backend)
    if facts.started:
        part = named.part_of_own(recipe, options.templates)
    else:
        part = named.part(recipe, options.templates, facts.epoch)
    plan = make_plan(recipe, backend, part, facts, options.templates)
    return replace(plan, offline=options.offline)


def _checked_place(options: BuildOptions) -> Place:
    """Where --host says. Raises UsageError where nothing is built there, for an option that means nothing there, and
    for a format of no backend."""
    place = place_at(options)
    place.check_options()
    place.check_building()
    _check_formats([backend_named(name) for name in options.backends], options, place)
    return place


def _check_formats(backends: Sequence[Backend], options: BuildOptions, place: Place) -> None:
    """Each named format is made by a backend, and each backend makes one. Raises UsageError."""
    made = [(backend, one) for backend in backends for one in formats_of(backend)]
    for name in options.formats:
        if all(one.name != name for _, one in made):
            _refuse_format(name, backends)
    for backend in backends:
        chosen = [format_of(backend, one.format) for one in options.packings(backend.name)]
        if not chosen:
            format_of(backend, options.formats[0])
        for one in chosen:
            if one.as_exported and not place.exports:
                raise UsageError(
                    f"--format {one.name}: it holds the disks as a server sent them, and none is named: take"
                    " --host vsphere://NAME, or --format ova"
                )
        _refuse_one_name(backend, chosen)


def _refuse_one_name(backend: Backend, chosen: Sequence[Format]) -> None:
    """Raises UsageError for two formats whose files would bear one name."""
    for ending in {ending for one in chosen for ending in one.endings}:
        same = [one.name for one in chosen if ending in one.endings and one in backend.formats]
        if len(same) > 1:
            raise UsageError(f"--format {' and '.join(same)}: their files bear the same name; build them one by one")


def _refuse_format(name: str, backends: Sequence[Backend]) -> NoReturn:
    """Raises UsageError: says who makes it, else what the backends make."""
    others = [one.name for one in all_backends().values() if any(form.name == name for form in formats_of(one))]
    if others:
        ours = " nor ".join(backend.name for backend in backends)
        raise UsageError(f"--format {name}: it is made by -b {' or -b '.join(others)}, and not by {ours}")
    format_of(backends[0], name)
    raise AssertionError


def _prepare(options: BuildOptions, bus: Bus) -> None:
    """Make the folders, and clear away what a crashed run left on this host."""
    check_cache(options.cache, shared=options.shared_cache)
    own_folder(options.cache, "layers", READABLE)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the folder {options.output}: {error.strerror}") from error
    require_own_output(options.output)
    for tag in reap(options.cache):
        bus.note(f"cleared away what a run that was killed left: {tag}")
