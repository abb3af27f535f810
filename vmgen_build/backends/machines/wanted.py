"""What formats want of a recipe: packages that their image needs; and what of a recipe they leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmgen_build.errors import Problem
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems.model import WholeMachine


def missing_packages(
    recipe: Recipe, plan: Plan, wanted: Sequence[str], why: str, severity: str = "error"
) -> Iterator[Problem]:
    """One for those of them that no step installs. why: "--format cloud: clouds set the machine up by it". severity: of
    the Problem. Of what a machine of the user's own holds nothing is known."""
    there = {package.partition("=")[0] for step in plan.steps for package in step.packages}
    lacking = [package for package in wanted if package not in there]
    if recipe.hardware.is_started or not lacking:
        return
    packages = ", ".join([*recipe.config.packages, *lacking])
    where = recipe.config.at("packages")
    yield Problem(where, "[config] packages", f"{why}; write packages = {packages}", severity, "format")


def unused_cds(recipe: Recipe, why: str) -> Iterator[Problem]:
    """A warning for each CD drive. why: "--format cloud: a cloud gives the drives"."""
    for name, cd in recipe.hardware.cds.items():
        text = f"{why}, so that this one is left out"
        yield Problem(cd.where, f"[hardware] [[cds]] [[[{name}]]]", text, "warning", "format")


def whole_machine(recipe: Recipe, name: str) -> WholeMachine | Problem:
    """What the system's family knows of whole machines. name: of the format."""
    system = recipe.hardware.os
    if system.family.machine is not None and system.needs is None:
        return system.family.machine
    text = f"--format {name} is not made of {system.name}; write debian-12, or take --format qcow2"
    return Problem(recipe.hardware.at("os"), "[hardware] os", text, code="format")
