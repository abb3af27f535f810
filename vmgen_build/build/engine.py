"""From a recipe's path to artifacts: load, plan, build, pack, manifest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.artifacts.manifest import Package, StepRecord, manifest_path, write_manifest
from vmgen_build.backends.base import PackOptions
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.ostemplate import TemplateChoice
from vmgen_build.build.facts import facts_at_hand, facts_for
from vmgen_build.build.logfile import open_log
from vmgen_build.build.options import BuildOptions, BuildResult, StepState
from vmgen_build.errors import HostError, UsageError
from vmgen_build.events import ArtifactWritten, BuildFinished, BuildStarted, Bus, StepFinished
from vmgen_build.host.files import Written
from vmgen_build.host.programs import require_programs, require_root
from vmgen_build.installers import installer_for
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.planner import make_plan, refuse_unbuildable
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.layers import Store
from vmgen_build.store.lease import lease, reap
from vmgen_build.store.record import Record, RecordedFile, is_there, read_record, write_record

if TYPE_CHECKING:
    from vmgen_build.build.places.node import Seen
    from vmgen_build.build.worker import Job, Made
    from vmgen_build.host.namespaces import WorkerBus


def plan_for(recipe: Path, backend: str, options: BuildOptions) -> Plan:
    """The plan as a build would make it now, as far as the archive answers. Needs no root."""
    loaded = load(recipe, options.sets, options.strict)
    return _plan(loaded, backend, options, facts_at_hand(loaded, options.cache, offline=options.offline))


def dry_run(recipe: Path, options: BuildOptions) -> list[StepState]:
    """Each step of each backend's plan, and whether its layer is there. Needs no root."""
    loaded = load(recipe, options.sets, options.strict)
    refuse_unbuildable(loaded)
    facts = facts_at_hand(loaded, options.cache, offline=options.offline)
    store = Store(options.cache)
    states = []
    for backend in options.backends:
        seen = _look(loaded, backend, facts, options, Bus())
        plan = _plan(loaded, backend, options, seen.facts if seen else facts)
        held = options.use_cache
        for index, item in enumerate(plan.stages):
            held = held and (index < seen.held(plan) if seen else store.holds(item.id))
            states.append(StepState(backend, item.name, item.title, item.id, held))
        packed = held and _unchanged(plan, options) is not None
        states.append(StepState(backend, "pack", f"packing for {backend}", plan.id, packed))
    return states


def build(recipe: Path, options: BuildOptions, bus: Bus) -> tuple[BuildResult, ...]:
    """Build the recipe for each backend. Raises VmgenError, or KeyboardInterrupt once all is undone."""
    check_options(options)
    loaded = load(recipe, options.sets, options.strict)
    refuse_unbuildable(loaded)
    for warning in loaded.warnings:
        bus.note(str(warning), "warning")
    require_host(options.backends)
    _prepare(options, bus)
    facts = facts_for(loaded, options.cache, offline=options.offline)
    looks = {backend: _look(loaded, backend, facts, options, bus) for backend in options.backends}
    plans = [_plan(loaded, name, options, seen.facts if seen else facts) for name, seen in looks.items()]
    require_programs(r for plan in plans for r in backend_named(plan.backend).needs(plan))
    fresh: set[str] = set()
    return tuple(_build_plan(loaded, plan, options, bus, Context(fresh, looks[plan.backend])) for plan in plans)


@dataclass(frozen=True, slots=True)
class Context:
    """What the builds of one call share (fresh: as Job), and what the node looks like that --host names."""

    fresh: set[str]
    seen: Seen | None


def _look(recipe: Recipe, backend: str, facts: Facts, options: BuildOptions, bus: Bus) -> Seen | None:
    if not options.host:
        return None
    from vmgen_build.build.places.node import look

    return look(recipe, backend, facts, options, bus)


def require_host(backends: tuple[str, ...]) -> None:
    """Raises HostError saying all that a build needs and this host or user lacks."""
    require_programs(r for name in backends for r in backend_named(name).requirements)
    require_root(
        "a build needs root, for its containers and mounts",
        "check, compile, options, programs, cache ls and --dry-run need none",
    )


def _plan(recipe: Recipe, backend: str, options: BuildOptions, facts: Facts) -> Plan:
    part = backend_named(backend).part(recipe, options.templates, facts.epoch)
    return make_plan(recipe, backend, part, facts, options.templates)


def check_options(options: BuildOptions) -> None:
    """Raises UsageError where a backend does not make the format, or where what is for a node stands without one."""
    if not options.host:
        for_node = {
            "--build-address": options.build_address,
            "--accept-new-host-key": options.accept_new_host_key,
            "--ostemplate and --template-*": options.template not in (None, TemplateChoice()),
        }
        if alone := [name for name, given in for_node.items() if given]:
            raise UsageError(f"{alone[0]}: only for a build on a node, which --host names; leave it out, or add --host")
    for name in options.backends:
        formats = backend_named(name).formats
        if options.format and options.format not in formats:
            raise UsageError(f"--format {options.format}: backend {name} makes {' or '.join(formats)}")


def _packing(plan: Plan, options: BuildOptions) -> PackOptions:
    return PackOptions(options.compression, options.format or backend_named(plan.backend).formats[0])


def _prepare(options: BuildOptions, bus: Bus) -> None:
    """Make the folders, and clear away what a crashed run left."""
    for folder in (options.output, options.cache / "layers"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"cannot make the folder {folder}: {error.strerror}") from error
    for tag in reap(options.cache):
        bus.note(f"cleared away what a run that was killed left: {tag}")


def _build_plan(recipe: Recipe, plan: Plan, options: BuildOptions, bus: Bus, context: Context) -> BuildResult:
    start = time.monotonic()
    with open_log(options.cache / "logs", f"{plan.name}-{plan.backend}") as log:
        bus.add(log)
        try:
            started = BuildStarted(
                recipe=str(recipe.path), backend=plan.backend, steps=len(plan.steps) + 2, log=log.path
            )
            bus.emit(started)
            result = _result(recipe, plan, options, bus, context, log.path, start)
        except BaseException as error:
            outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            bus.emit(_finished(recipe, plan, outcome, start))
            raise
        else:
            bus.emit(_finished(recipe, plan, "unchanged" if result.unchanged else "built", start))
            return result
        finally:
            bus.remove(log)


def _finished(recipe: Recipe, plan: Plan, outcome: str, start: float) -> BuildFinished:
    skipped = tuple(f"[{section}] {program}: {reason}" for section, program, reason in plan.skipped)
    seconds = time.monotonic() - start
    return BuildFinished(
        recipe=str(recipe.path), backend=plan.backend, outcome=outcome, seconds=seconds, skipped=skipped
    )


def _result(
    recipe: Recipe, plan: Plan, options: BuildOptions, bus: Bus, context: Context, log: Path, start: float
) -> BuildResult:
    record = _unchanged(plan, options)
    if record is not None:
        return _take_as_it_is(recipe, plan, options, bus, record, start)
    from vmgen_build.build.worker import Job

    with lease(options.cache) as leased:
        job = Job(
            plan=plan,
            backend=backend_named(plan.backend),
            options=options,
            packing=_packing(plan, options),
            leased=leased,
            log=log,
            packages_step=_packages_step(recipe),
            fresh=context.fresh,
        )
        made = _made_here(job, bus) if context.seen is None else _made_on_node(job, recipe, context.seen, bus)
    return _publish(recipe, plan, options, bus, made, start)


def _made_here(job: Job, bus: Bus) -> Made:
    from vmgen_build.build.worker import Worker
    from vmgen_build.guests.lxc.workshop import LxcWorkshop
    from vmgen_build.host.namespaces import run_isolated

    def work(worker_bus: WorkerBus) -> tuple[Made, set[str]]:
        def waiting(layer_id: str) -> None:
            worker_bus.note(f"waiting for another build that is making layer {layer_id[:12]}")

        workshop = LxcWorkshop(Store(job.options.cache), job.leased, job.plan, waiting)
        return Worker(job, worker_bus, workshop).build(), job.fresh

    made, added = run_isolated(work, bus)
    job.fresh.update(added)
    return made


def _made_on_node(job: Job, recipe: Recipe, seen: Seen, bus: Bus) -> Made:
    from vmgen_build.build.places.node import build_on_node

    return build_on_node(job, recipe, seen, bus)


def _publish(recipe: Recipe, plan: Plan, options: BuildOptions, bus: Bus, made: Made, start: float) -> BuildResult:
    """Write the manifest, and remember what came out."""
    warnings = [str(warning) for warning in recipe.warnings]
    manifest = write_manifest(plan, made.packed, made.steps, made.packages, warnings)
    files = tuple(RecordedFile(f.path.name, f.size, f.sha256, f.path.stat().st_mtime_ns) for f in made.packed)
    packages = tuple((p.name, p.version, p.arch) for p in made.packages)
    write_record(options.cache, plan.id, str(_packing(plan, options)), Record(files, packages))
    for file in made.packed:
        bus.emit(ArtifactWritten(path=file.path, size=file.size, sha256=file.sha256))
    return BuildResult(plan, made.packed, manifest, time.monotonic() - start)


def _packages_step(recipe: Recipe) -> Step:
    """Lists the image's packages; run in a guest, so that any distribution answers in its own way."""
    command = installer_for(recipe.hardware.os).list_installed()
    script = f"#!/bin/sh\nset -eu\n{command}\n"
    return Step(name="list-packages", title="list of packages", script=script)


def _unchanged(plan: Plan, options: BuildOptions) -> Record | None:
    """The record of this plan's last build, if all that it made is still there and whole."""
    if not options.use_cache:
        return None
    record = read_record(options.cache, plan.id, str(_packing(plan, options)))
    whole = record is not None and all(is_there(options.output, made) for made in record.files)
    return record if whole else None


def _take_as_it_is(
    recipe: Recipe, plan: Plan, options: BuildOptions, bus: Bus, record: Record, start: float
) -> BuildResult:
    items = [(i.name, i.title, i.id) for i in plan.stages]
    items.append(("pack", f"packing for {plan.backend}", plan.id))
    for index, (name, title, layer_id) in enumerate(items, 1):
        bus.emit(
            StepFinished(
                step=name, title=title, id=layer_id, index=index, total=len(items), outcome="cached", seconds=0.0
            )
        )
    packed = tuple(Written(options.output / file.name, file.size, file.sha256) for file in record.files)
    manifest = manifest_path(packed[0].path)
    if not manifest.exists():
        steps = [StepRecord(name, title, layer_id, 0.0, "cached") for name, title, layer_id in items]
        write_manifest(plan, packed, steps, [Package(*p) for p in record.packages], map(str, recipe.warnings))
    for file in packed:
        bus.emit(ArtifactWritten(path=file.path, size=file.size, sha256=file.sha256, unchanged=True))
    return BuildResult(plan, packed, manifest, time.monotonic() - start, unchanged=True)
