"""Remote desktop, how Windows updates itself, and its power policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vmgen_build.plan.batch import WindowsWork, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.text.reg import Value, reg_file
from vmgen_build.plan.windowsprobe import WindowsQuestion, probe_of
from vmgen_build.recipe.sections.config import Config

ORDER = 335

TERMINAL_SERVER = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Terminal Server"
AUTOMATIC_UPDATES = r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU"


OPTIONS = {TERMINAL_SERVER: "[config] remote_desktop", AUTOMATIC_UPDATES: "[config] updates"}
"""Key -> whose it is."""


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
        probes=tuple(_probes(ctx, keys)),
    )
    yield step_of(ctx, work)


def _probes(ctx: PlanContext, keys: Mapping[str, Mapping[str, Value]]) -> Iterator[Probe]:
    for key, values in keys.items():
        for name, value in values.items():
            question = WindowsQuestion(
                name=f"registry-{name}",
                setting=OPTIONS[key],
                expected=(f"{value:#x}" if isinstance(value, int) else str(value),),
                template="value",
                values={"key": key, "value": name},
            )
            yield probe_of(ctx, question)


def _keys(config: Config) -> Iterator[tuple[str, dict[str, Value]]]:
    """Of the registry: key -> its values."""
    if config.remote_desktop:
        yield TERMINAL_SERVER, {"fDenyTSConnections": 0}
    if config.updates == "off":
        yield AUTOMATIC_UPDATES, {"NoAutoUpdate": 1}
