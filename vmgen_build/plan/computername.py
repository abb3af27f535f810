"""The name of a Windows computer, which is a NetBIOS name."""

from __future__ import annotations

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.plan.context import host_name
from vmgen_build.recipe.recipe import Recipe

LONGEST = 15


def computer_name(recipe: Recipe) -> str:
    """Raises RecipeError for one that Windows does not take."""
    config = recipe.config
    name = host_name(recipe)
    if config.hostname is None:
        name = name[:LONGEST].rstrip("-")
    if len(name) > LONGEST or name.isdigit():
        text = (
            f"'{name}' is no name of a Windows computer; write up to {LONGEST} letters, digits and -, not digits alone"
        )
        raise RecipeError([Problem(config.at("hostname"), "[config] hostname", text, code="windows")])
    return name
