"""The last steps: what belongs to one machine, or to the build, goes; then sysprep makes the next boot a first one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PureWindowsPath

from vmgen_build.plan import setupmedia
from vmgen_build.plan.answers import generalise_files
from vmgen_build.plan.batch import WindowsWork, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.setup import answers_of
from vmgen_build.plan.windowsprobe import MACHINE, SETTLING, WindowsQuestion, probe_of
from vmgen_build.secret import Secret

ORDER = 900

TIMEOUT = 3 * 3600.0
"""Seconds that all of the free space may take to be written."""

SINCE_VISTA, SINCE_8 = (6, 0), (6, 2)

MEMORY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"

UNCLEARED = f'reg add "{MEMORY}" /v ClearPageFileAtShutdown /t REG_DWORD /d 0 /f'
"""What the image undoes as it first starts: its last shutdown alone clears the page file, which takes its time."""

SETUPS_OLD_ANSWERS = (r"C:\Windows\System32\$winnt$.inf",)
SETUPS_ANSWERS = (
    r"C:\Windows\Panther\unattend.xml",
    r"C:\Windows\Panther\Unattend\unattend.xml",
    r"C:\Windows\Panther\Unattend\autounattend.xml",
)
"""Where Setup keeps what it was answered. From Vista on sysprep would read these first ("Windows Setup Automation
Overview", implicit answer file search order)."""

CHUNK = 512 << 20
"""Bytes of a file of zeros, where free space is filled with such; less than that stays as it is."""

MOST_CHUNKS = 4096

OLD_ANSWERS = r"C:\sysprep\sysprep.inf"
ANSWERS = r"C:\Windows\System32\Sysprep\unattend.xml"
"""Where the step puts the answers: sysprep, or the setup after it, takes them away."""

STATE = f"{MACHINE}SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State"
"""Where Windows says how far it was set up ("Windows Setup States")."""


def steps(ctx: PlanContext) -> Iterator[Step]:
    if not ctx.recipe.config.generalise:
        return
    yield step_of(ctx, _cleaning(ctx))
    yield step_of(ctx, _sysprep(ctx))


def _cleaning(ctx: PlanContext) -> WindowsWork:
    values: dict[str, object] = {
        "answers": SETUPS_ANSWERS if ctx.system.nt >= SINCE_VISTA else SETUPS_OLD_ANSWERS,
        "own": [PureWindowsPath(path).name for path in (ctx.family.step_folder, setupmedia.STATE, setupmedia.LOG)],
        "memory": MEMORY,
        "uncleared": UNCLEARED,
        "components": ctx.system.nt >= SINCE_8,
        "chunk": CHUNK,
        "most": MOST_CHUNKS,
    }
    return WindowsWork(name="clean", title="clean-up", values=values, timeout=TIMEOUT)


def _sysprep(ctx: PlanContext) -> WindowsWork:
    answers = answers_of(ctx.recipe)
    if ctx.system.nt >= SINCE_VISTA:
        answers = replace(answers, commands=(f"cmd /c {UNCLEARED}",))
    [(name, text)] = generalise_files(answers, ctx.renderer.override).items()
    return WindowsWork(
        name="generalise",
        title="sysprep",
        values={"answers": name, "logs": ("Application", "Security", "System")},
        secrets={name: Secret(text.reveal())},
        probes=tuple(_probes(ctx)),
    )


def _probes(ctx: PlanContext) -> Iterator[Probe]:
    """That the first boot took the answers, and what is left of them."""
    old = ctx.system.nt < (6, 0)
    values = {"path": OLD_ANSWERS if old else ANSWERS}
    yield _probe(ctx, "answers-gone", "gone", "gone", values)
    if old:
        return
    yield _probe(ctx, "answers-kept", "no password", "answers", {})
    yield _probe(ctx, "image-state", "IMAGE_STATE_COMPLETE", "value", {"key": STATE, "value": "ImageState"})


def _probe(ctx: PlanContext, name: str, expected: str, template: str, values: Mapping[str, object]) -> Probe:
    question = WindowsQuestion(
        name=name,
        setting="first boot: what sysprep leaves",
        expected=(expected,),
        template=template,
        values=values,
        retry=SETTLING,
    )
    return probe_of(ctx, question)
