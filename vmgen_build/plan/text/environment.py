"""What Jinja makes scripts with: its sandbox, and a dialect's own filters and guard."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, pass_eval_context
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vmgen_build.plan.text.quote import Dialect, Trusted, Verbatim

SETTINGS: dict[str, Any] = {
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
    "autoescape": False,
    "auto_reload": False,
}

_GUARDS = {"sh": "guard:ShellGuard", "batch": "batchguard:BatchGuard", "powershell": "powershellguard:PowerShellGuard"}
"""Dialect -> module and class of its guard."""


def environment_of(
    dialect: Dialect, finalize: Callable[[object], str], loader: BaseLoader | None = None
) -> Environment:
    """finalize: what a value becomes; it is asked when a template is rendered, and never when one is compiled. So a
    template's code is the same for all dialects that have one guard, or none, and one line end."""
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        finalize=pass_eval_context(lambda _context, value: finalize(value)),
        extensions=_guards(dialect),
        newline_sequence="\r\n" if dialect.newline == "\r\n" else "\n",
        **SETTINGS,
    )
    environment.filters.update(dialect.filters)
    environment.filters["trusted"] = _trusted
    environment.filters["verbatim"] = lambda text: Verbatim(_trusted(text))
    return environment


def _guards(dialect: Dialect) -> list[type[Extension]]:
    if not dialect.guarded:
        return []
    module, _, name = _GUARDS[dialect.name].partition(":")
    guard: type[Extension] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
    return [guard]


def _trusted(text: object) -> Trusted:
    if not isinstance(text, str):
        raise TypeError(f"a {type(text).__name__} is no text to be trusted")
    return Trusted(text)
