"""Ways of writing settings, a module each: found by the name that a family has for the setting."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast

from vmgen_build import plugins
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.writers.model import (
    CLEAN_UP,
    FIREWALL,
    HOSTNAME,
    KEYBOARD,
    LOCALE,
    MAIL_NAME,
    NETWORK,
    REPOSITORIES,
    TIMEZONE,
    CleanUp,
    HostName,
    Locale,
    Output,
    Setting,
    Wanted,
    Writer,
)

__all__ = [
    "CLEAN_UP",
    "FIREWALL",
    "HOSTNAME",
    "KEYBOARD",
    "LOCALE",
    "MAIL_NAME",
    "NETWORK",
    "REPOSITORIES",
    "TIMEZONE",
    "CleanUp",
    "HostName",
    "Locale",
    "Output",
    "packages_for",
    "whole_script",
    "write",
    "writer_named",
]

GROUP = "vmgen_build.writers"


def write(setting: Setting[Wanted], wanted: Wanted, ctx: PlanContext) -> Output | LeftOut:
    """By the writer that the system's family names for the setting."""
    name = ctx.family.writers.get(setting.key, "")
    writer = writer_named(name) if name else None
    if writer is None:
        which = f"writer '{name}'" if name else "writer"
        reason = f"this version has no {which} for {setting.title} of {ctx.system.name}"
        return LeftOut(setting.section, setting.name, reason)
    return writer.write(wanted, ctx)


def packages_for(setting: Setting[Wanted], wanted: Wanted, ctx: PlanContext) -> tuple[str, ...]:
    """What must be installed for `write` to take effect; nothing where there is no writer."""
    output = write(setting, wanted, ctx)
    return output.packages if isinstance(output, Output) else ()


def whole_script(output: Output, ctx: PlanContext) -> str:
    """The script of a step that writes this setting alone."""
    return ctx.renderer.sh("linux/setting.sh.j2", script=output.script)


def writer_named(name: str) -> Writer[Any] | None:
    """None where this version has no such writer."""
    return cast("Writer[Any] | None", _own(name) or plugins.get(GROUP, name))


def _own(name: str) -> ModuleType | None:
    module = f"{__name__}.{name}"
    if not name.isidentifier() or find_spec(module) is None:
        return None
    found = import_module(module)
    return found if hasattr(found, "write") else None
