"""What `diff` is given: recipes, manifests or artifacts, each known by what it holds, in one form to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.contents import FileEntry
from vmgen_build.artifacts.diskcontents import ON_DISKS
from vmgen_build.artifacts.kinds import kind_of
from vmgen_build.build.engine import plan_for
from vmgen_build.build.holdings import of_root
from vmgen_build.build.inspection import Inspection, inspect, is_manifest
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import UsageError
from vmgen_build.host.bounds import bounded
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import CHECK_MEMORY, CHECK_TIME
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.flat import Value, flat
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret
from vmgen_build.text import without_passwords

RECIPE, MANIFEST, ARTIFACT = "recipe", "manifest", "artifact"

_HEAD = 4096


@dataclass(frozen=True)
class Side:
    """One of two. None where nothing is known of such things.

    image: what it is: "system" -> "debian-12 amd64". settings: by the recipe's option. packages: (name, architecture)
    -> version; of a recipe (name, "") -> "asked for". texts: of the backend's own files. steps: title -> id, in order.
    file: size and sha256. files: of its root. unread: what of the root is not there, and why, as sentences.
    """

    path: Path
    what: str
    image: Mapping[str, str]
    settings: Mapping[str, Value] | None = None
    packages: Mapping[tuple[str, str], str] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] | None = None
    file: tuple[int, str] | None = None
    files: Mapping[str, FileEntry] | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Read:
    """recipe: where it is one; else what inspect found."""

    path: Path
    recipe: Recipe | None = None
    found: Inspection | None = None


def two_sides(paths: tuple[Path, Path], options: BuildOptions, *, files: bool) -> tuple[Side, Side]:
    """options: how recipes are planned; its backend is that of two recipes. files: whether those of two artifacts are
    compared.

    Raises UsageError for what is none of the three, or has no files to compare; RecipeError, HostError, BuildError.
    """
    opened = [_opened(path, options, files=files) for path in paths]
    if all(one.found is not None for one in opened) and any(_lacks_manifest(one) for one in opened):
        opened = [_by_content(one) for one in opened]
    recipes = all(one.recipe is not None for one in opened)
    backend = next((one.found.manifest["backend"] for one in opened if one.found and one.found.manifest), "")
    plans = {one.path: _plan(one.recipe, backend, options) for one in opened if one.recipe is not None}
    sides = [replace(_side(one, plans.get(one.path), both=recipes), unread=_unread(one)) for one in opened]
    a, b = sides if files else [replace(side, files=None) for side in sides]
    return a, b


def _opened(path: Path, options: BuildOptions, *, files: bool) -> _Read:
    if not path.is_file():
        raise UsageError(f"there is no file {path}; name two recipes, manifests or artifacts")
    if not is_manifest(path) and _is_text(path) and kind_of(path) is None:
        if files:
            raise UsageError(f"--files: {path} is a recipe, and has none; name two artifacts")
        with bounded(str(path), CHECK_TIME, CHECK_MEMORY):
            return _Read(path, load(path, options.sets))
    found = inspect(path, files=files, digests=files)
    if files and (found.content is None or found.unread):
        why = found.unread or f"{path} is no image"
        raise UsageError(f"--files: {why}; name two images whose root file systems are read")
    return _Read(path, found=found)


def _is_text(path: Path) -> bool:
    with open_regular(path) as file:
        head = file.read(_HEAD)
    try:
        return b"\0" not in head and bool(head[: _HEAD - 4].decode())
    except UnicodeDecodeError as error:
        return error.start >= _HEAD - 8


def _lacks_manifest(one: _Read) -> bool:
    return one.found is not None and not one.found.manifest


def _by_content(one: _Read) -> _Read:
    """The same by what its root holds alone, so that both sides are of one kind; as it is where there is none."""
    assert one.found is not None
    found = one.found
    if found.kind is None or not (found.kind.has_root or found.kind.name in ON_DISKS):
        return one
    if found.content is None:
        found = inspect(one.path, files=True)
    return replace(one, found=replace(found, manifest={}))


def _plan(recipe: Recipe, backend: str, options: BuildOptions) -> Plan:
    with bounded(str(recipe.path), CHECK_TIME, CHECK_MEMORY):
        return plan_for(recipe, backend or options.backends[0], options)


def _side(one: _Read, plan: Plan | None, *, both: bool) -> Side:
    """both: whether both are recipes."""
    if one.recipe is not None:
        assert plan is not None
        return _of_recipe(one.recipe, plan) if both else _of_plan(one.path, plan)
    assert one.found is not None
    return _of_manifest(one.found) if one.found.manifest else _of_root(one.found)


def _unread(one: _Read) -> tuple[str, ...]:
    if one.found is None:
        return ()
    if one.found.unread:
        return (one.found.unread,)
    return tuple(f"of {one.path.name} is not read: {text}" for text in one.found.not_read)


def _of_recipe(recipe: Recipe, plan: Plan) -> Side:
    return Side(recipe.path, RECIPE, {}, {**flat(recipe), **_carried(plan)}, _asked(plan))


def _carried(plan: Plan) -> dict[str, Value]:
    """The content of the files and scripts that the recipe names, as digests; not shown of those that are private."""
    files = [
        (step, file) for step in plan.steps for file in step.files if file.source or step.name.startswith("script")
    ]
    return {
        f"content of {step.title}: {file.name}": Secret(file.sha256) if file.private else f"sha256 {file.sha256[:12]}"
        for step, file in files
    }


def _of_plan(path: Path, plan: Plan) -> Side:
    base = plan.base.origin()
    data = {"name": plan.name, "os": plan.os, "arch": plan.arch, "backend": plan.backend, "base": base}
    steps = {stage.title: stage.id for stage in plan.stages}
    settings = _settings([probe.as_dict() for probe in plan.all_probes()])
    return Side(path, RECIPE, _image(data), settings, _asked(plan), dict(plan.build_recipe), steps)


def _asked(plan: Plan) -> dict[tuple[str, str], str]:
    return {(name.partition("=")[0], ""): "asked for" for step in plan.steps for name in step.packages}


def _of_manifest(found: Inspection) -> Side:
    data = found.manifest
    files = data["files"]
    file = (found.written.size, found.written.sha256) if found.written is not None else None
    if file is None and files:
        file = (files[0]["size"], files[0]["sha256"])
    tool = " ".join(filter(None, (data["tool"]["name"], data["tool"]["version"])))
    return Side(
        path=found.path,
        what=MANIFEST if found.kind is None else ARTIFACT,
        image={**_image(data), "packed as": data["packed_as"], "made by": tool},
        settings=_settings(data["probes"]),
        packages=_packages(found),
        texts=data["build_recipe"],
        steps={step["title"]: step["id"] for step in data["steps"] if step["name"] != "pack"},
        file=file,
        files=found.content.files if found.content is not None else None,
    )


def _of_root(found: Inspection) -> Side:
    assert found.written is not None and found.kind is not None
    image = {"format": found.kind.title}
    if found.content is not None:
        image |= {word: "; ".join(values) for word, values in of_root(found.content) if any(values)}
    return Side(
        path=found.path,
        what=ARTIFACT,
        image=image,
        packages=_packages(found),
        texts={name: text.decode("utf-8", "replace") for name, text in found.content.outer.items()}
        if found.content is not None
        else {},
        file=(found.written.size, found.written.sha256),
        files=found.content.files if found.content is not None else None,
    )


def _packages(found: Inspection) -> dict[tuple[str, str], str] | None:
    listed = found.packages
    return None if listed is None else {(package.name, package.arch): package.version for package in listed}


def _image(data: Mapping[str, Any]) -> dict[str, str]:
    """data: the keys of a manifest."""
    base = " ".join(filter(None, (data["base"]["method"], data["base"]["source"])))
    return {"name": data["name"], "system": f"{data['os']} {data['arch']}", "backend": data["backend"], "base": base}


def _settings(probes: list[dict[str, Any]]) -> dict[str, Value]:
    """What each probe expects; several about one option are told apart by their names."""
    found: dict[str, Value] = {}
    for probe in probes:
        kind, _, rest = probe["name"].partition("-")
        many = kind in ("firewall", "port", "unit", "package", "held", "removed", "volume", "venet", "repository")
        name = f"{probe['setting']}: {kind} {rest}" if many else probe["setting"]
        found[name] = without_passwords(probe["expected"])
    return found
