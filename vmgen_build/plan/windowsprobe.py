"""Probes of Windows: questions from templates/windows/GENERATION/probes, in batch or PowerShell, and the answers that a
recipe asked for.

A question prints values, a line each, never words that are others in another language. It holds where each line of what
is expected is among them, in letters of either case. All questions to a machine go there as one script
(plan.text.batchprobes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vmgen_build.plan.batch import by_powershell, needs_powershell, template_names
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe
from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.batchscript import checked
from vmgen_build.plan.text.powershell import POWERSHELL
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import System

MACHINE = "HKLM\\"

LETTERS = "-letters"
"""Ends the name of a template in PowerShell beside one in batch, for texts that batch does not carry."""

SETTLING = 600.0
"""Seconds for which a Windows that was started is asked whether its setup, or that after sysprep, has ended."""

SERVICE_START = 120.0
"""Seconds that a service may take to come up after the boot."""


@dataclass(frozen=True, kw_only=True)
class WindowsQuestion:
    """name, setting, retry: as of Probe. expected: the lines that must be among the answer's. template: without folder
    and end; values: its own."""

    name: str
    setting: str
    expected: tuple[str, ...]
    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    retry: float = 0.0


def probe_of(ctx: PlanContext, question: WindowsQuestion) -> Probe:
    """By PowerShell too where batch does not carry what it asks for. Raises RecipeError as the Renderer."""
    powershell = by_powershell(ctx, f"probes/{question.template}")
    texts = (*question.expected, *(value for value in question.values.values() if isinstance(value, str)))
    if not powershell and any(needs_powershell(ctx, text) for text in texts):
        question, powershell = replace(question, template=f"{question.template}{LETTERS}"), True
    return _probe(ctx.system, ctx.renderer.override, question, powershell)


def setup_probe(system: System) -> Probe:
    """Whether it is up: what is asked before all else."""
    values = {"key": f"{MACHINE}SYSTEM\\Setup", "value": "SystemSetupInProgress"}
    question = WindowsQuestion(
        name="system", setting="the system", expected=("0x0",), template="value", values=values, retry=SETTLING
    )
    return _probe(system, None, question, powershell=False)


def _probe(system: System, override: Path | None, question: WindowsQuestion, powershell: bool) -> Probe:
    end, dialect = ("ps1", POWERSHELL) if powershell else ("bat", BATCH)
    names = template_names(system, f"probes/{question.template}.{end}.j2")
    text = Renderer(override, dialect).render(names, **question.values)
    return Probe(
        name=question.name,
        setting=question.setting,
        script=text.removesuffix("\r\n") if powershell else checked(text),
        expected="\n".join(question.expected),
        kind=dialect.name,
        retry=question.retry,
    )
