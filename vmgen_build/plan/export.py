"""A plan written out to be read: what `vmgen-build compile` leaves."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.plan.model import Plan, StepFile

SUFFIXES = {"sh": ".sh", "batch": ".bat"}
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def export(plan: Plan, out: Path) -> list[Path]:
    """Write the plan into a folder; the paths written, in order.

    NN-STEP.sh               each step's script
    files/NN-STEP/NAME       what it carries into the guest; secrets are named in plan.json, their values nowhere
    NAME                     the backend's own files (lxc: config, metadata.yaml)
    plan.json                the plan as data

    What an earlier export left there for steps that are no more is removed; nothing else is touched.
    Raises HostError where the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _remove_earlier(out)
        return [*_steps(plan, out), *_build_recipe(plan, out), _write(out / "plan.json", plan.to_json())]
    except OSError as error:
        place = error.filename or out
        raise HostError(f"cannot write '{place}': {error.strerror}; choose another folder with --output") from error


def step_file_name(index: int, name: str, dialect: str) -> str:
    return f"{index:02d}-{name}{SUFFIXES[dialect]}"


def _steps(plan: Plan, out: Path) -> Iterator[Path]:
    for index, step in enumerate(plan.steps, 1):
        yield _write(out / step_file_name(index, step.name, step.dialect), step.script, 0o755)
        for file in step.files:
            yield _carried(file, out / "files" / f"{index:02d}-{step.name}")


def _carried(file: StepFile, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    if file.content is not None:
        path.write_bytes(file.content)
    elif file.source is not None:
        shutil.copyfile(file.source, path)
    path.chmod(file.mode)
    return path


def _build_recipe(plan: Plan, out: Path) -> Iterator[Path]:
    for name, text in sorted(plan.build_recipe.items()):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        yield _write(out / name, text)


def _write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    path.chmod(mode)
    return path


def _remove_earlier(out: Path) -> None:
    """By the plan.json of the earlier export, which says what it wrote; a foreign file of that name is left alone."""
    try:
        steps = json.loads((out / "plan.json").read_text(encoding="utf-8"))["steps"]
        names = [(str(step["name"]), str(step["dialect"])) for step in steps]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for index, (name, dialect) in enumerate(names, 1):
        if _SAFE.fullmatch(name) and dialect in SUFFIXES:
            (out / step_file_name(index, name, dialect)).unlink(missing_ok=True)
            shutil.rmtree(out / "files" / f"{index:02d}-{name}", ignore_errors=True)
