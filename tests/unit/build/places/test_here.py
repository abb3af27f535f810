"""This host as a place: what it refuses, and what it asks for, of other architectures."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.build.engine import plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places import here
from vmgen_build.build.places.here import HerePlace
from vmgen_build.build.places.model import Look
from vmgen_build.host.programs import Requirement
from vmgen_build.plan.context import Facts
from vmgen_build.recipe.load import load

QEMU = Requirement("qemu-aarch64-static", "qemu-user-static", "runs arm64 programs")


def problems(folder: Path, arch: str) -> tuple[list[str], tuple[Requirement, ...]]:
    path = folder / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-{arch}\n")
    recipe = load(path)
    place = HerePlace(BuildOptions(cache=folder / "cache", backends=("lxc",), offline=True))
    plan, look = plan_for(recipe, "lxc", place.options), Look(Facts())
    return [str(problem) for problem in place.problems(recipe, plan, look)], place.requirements(plan, look)


def test_a_kernel_that_cannot_is_a_problem_at_the_line_of_os(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(here, "why_not", lambda arch: "the kernel is too old" if arch == "arm64" else "")
    found, _ = problems(tmp_path, "arm64")
    assert found == [f"{tmp_path}/lab.ini:3: [hardware] os: the kernel is too old"]
    assert problems(tmp_path, "amd64")[0] == []


def test_qemu_is_asked_for_by_the_builds_that_need_it_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(here, "requirements_of", lambda arch: (QEMU,) if arch == "arm64" else ())
    assert QEMU in problems(tmp_path, "arm64")[1]
    assert QEMU not in problems(tmp_path, "amd64")[1]
