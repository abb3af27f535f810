"""What formats want of a recipe: packages without which their image is of no use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmgen_build.errors import Problem
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems.model import WholeMachine


def missing_packages(recipe: Recipe, plan: Plan, wanted: Sequence[str], why: str) -> Iterator[Problem]:
    """One for those of them that no step installs. why: "--format cloud: clouds set the machine up by it". Of what a
    machine of the user's own holds nothing is known."""
    there = {package.partition("=")[0] for step in plan.steps for package in step.packages}
    lacking = [package for package in wanted if package not in there]
    if recipe.hardware.is_started or not lacking:
        return
    packages = ", ".join([*recipe.config.packages, *lacking])
    yield Problem(
        recipe.config.at("packages"), "[config] packages", f"{why}; write packages = {packages}", code="format"
    )


def whole_machine(recipe: Recipe, name: str) -> WholeMachine | Problem:
    """What the system's family knows of whole machines. name: of the format."""
    system = recipe.hardware.os
    if system.family.machine is not None and system.needs is None:
        return system.family.machine
    text = f"--format {name} is not made of {system.name}; write debian-12, or take --format qcow2"
    return Problem(recipe.hardware.at("os"), "[hardware] os", text, code="format")
