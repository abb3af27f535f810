"""Remote desktop, how Windows updates itself, and its power policy."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.batch import WindowsWork, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.plan.text.reg import Value, reg_file
from vmgen_build.recipe.sections.config import Config

ORDER = 335

TERMINAL_SERVER = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Terminal Server"
AUTOMATIC_UPDATES = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU"


def steps(ctx: PlanContext) -> Iterator[Step]:
    config = ctx.recipe.config
    keys = dict(_keys(config))
    if not keys and config.power is None:
        return
    work = WindowsWork(
        name="settings",
        title="remote desktop, updates, power",
        values={"registry": bool(keys), "remote_desktop": config.remote_desktop, "power": config.power or ""},
        files=(StepFile.of("settings.reg", reg_file(keys)),) if keys else (),
    )
    yield step_of(ctx, work)


def _keys(config: Config) -> Iterator[tuple[str, dict[str, Value]]]:
    """Of the registry: key -> its values."""
    if config.remote_desktop:
        yield TERMINAL_SERVER, {"fDenyTSConnections": 0}
    if config.updates == "off":
        yield AUTOMATIC_UPDATES, {"NoAutoUpdate": 1}
