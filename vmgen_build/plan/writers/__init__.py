"""Ways of writing settings, a module each: found by the name that a family has for the setting."""

from __future__ import annotations

from typing import Any

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
from vmgen_build.plugins import Group, own_module

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


def _writes(thing: object) -> bool:
    return callable(getattr(thing, "write", None))


GROUP = Group[Writer[Any]]("vmgen_build.writers", "an object with a function `write`", _writes)


def write(setting: Setting[Wanted], wanted: Wanted, ctx: PlanContext) -> Output | LeftOut:
    """By the writer that the family names for the setting of this system."""
    name = ctx.system.writers.get(setting.key, "")
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
    """None where this version has no such writer. Raises PluginError."""
    return _own(name) or GROUP.get(name)


def _own(name: str) -> Writer[Any] | None:
    found: Any = own_module(__name__, name)
    return found if _writes(found) else None
