"""[greeting]: what the machine says to those who log in."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, option


@dataclass(frozen=True, kw_only=True)
class Greeting(Section):
    """A greeting for those who log in."""

    text: str | None = option(t.text, default=None, doc="What it says.", example="Salve")
    times: int = option(t.integer(1, 9), default=1, doc="How often it says so.")
