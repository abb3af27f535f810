"""What a build leaves in the output folder: artifacts, manifest, checksums; and the cache's record of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from vmgen_build.artifacts.manifest import (
    Package,
    StepRecord,
    manifest_of,
    manifest_path,
    manifest_there,
    put_manifest,
)
from vmgen_build.artifacts.sums import NAME as SUMS
from vmgen_build.artifacts.sums import locked
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.describing import describe
from vmgen_build.build.job import Build, Made
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.signed import sign_each, withdraw_signed
from vmgen_build.errors import VmgenError
from vmgen_build.host.files import Written
from vmgen_build.plan.model import Plan
from vmgen_build.store.record import Record, RecordedFile, is_there, read_record, write_record
from vmgen_build.text import without_passwords


def found_again(plan: Plan, options: BuildOptions) -> dict[PackOptions, Record]:
    """The record of each of this plan's artifacts that was made before, if all of it is still there and whole. A
    machine that is to be kept elsewhere too is made anew."""
    if not options.use_cache or options.keep_as:
        return {}
    records = {one: read_record(options.cache, plan.id, str(one)) for one in options.packings(plan.backend)}
    return {
        one: record
        for one, record in records.items()
        if record is not None and all(is_there(options.output, made) for made in record.files)
    }


def is_unchanged(plan: Plan, options: BuildOptions) -> bool:
    """Whether all that is asked for is there."""
    return len(found_again(plan, options)) == len(options.packings(plan.backend))


def publish(build: Build, made: Made, began: int) -> None:
    """Write what describes each artifact, and remember what came out. began: epoch seconds. Raises HostError; then no
    artifact stays without its manifest."""
    ended = max(began, int(time.time()))
    try:
        for packing, packed in made.packed.items():
            record = Record(tuple(RecordedFile.of(f) for f in packed), made.packages, began, ended)
            _describe(build, packing, packed, made.steps, record)
            write_record(build.options.cache, build.plan.id, str(packing), record)
    except BaseException:
        for packed in made.packed.values():
            with suppress(VmgenError, OSError):
                withdraw_signed(packed)
        raise


def take_again(build: Build, packing: PackOptions, record: Record) -> tuple[Written, ...]:
    """The files of the last build, whose manifest becomes that of the recipe at hand where it is not. Raises HostError.

    What the manifest says of seconds and outcomes stays: it is about how the files were made.
    """
    packed = tuple(file.inside(build.options.output) for file in record.files)
    past = _outcomes(manifest_there(packed[0].path))
    steps = [StepRecord(s.name, s.title, s.id, *past.get(s.id, (0.0, "cached"))) for s in build.stages]
    _describe(build, packing, packed, steps, record)
    return packed


def _describe(
    build: Build,
    packing: PackOptions,
    packed: Sequence[Written],
    steps: Sequence[StepRecord],
    record: Record,
) -> None:
    packages = [Package(one.name, one.version, one.arch) for one in record.packages]
    warnings = [without_passwords(str(warning)) for warning in build.recipe.warnings]
    data = manifest_of(build.plan, packed, steps, packages, warnings, packing.format)
    manifest = manifest_path(packed[0].path)
    sums = manifest.with_name(SUMS)
    before = {path: path.read_bytes() if path.is_file() else None for path in (manifest, sums)}
    beside = describe(build, packing, packed, record)
    put_manifest(manifest, data, beside.written, beside.gone)
    with locked(manifest.parent):
        sign_each((manifest, sums), build.options.sign, before)


def _outcomes(manifest: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Id of a stage -> its seconds and outcome, as far as a manifest says so."""
    steps = manifest.get("steps")
    found = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return {
        str(step.get("id")): (float(step["seconds"]), str(step["outcome"]))
        for step in found
        if isinstance(step.get("seconds"), int | float) and isinstance(step.get("outcome"), str)
    }
