"""Steps of Windows: batch files from the templates of a generation, or a script of PowerShell's where it has one.

A step named NAME takes templates/windows/GENERATION/NAME.ps1.j2, which a batch file starts, or NAME.bat.j2; of its own
generation, or of the nearest before it that has one. Windows that come without PowerShell take NAME.bat.j2 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.text.batch import argument
from vmgen_build.plan.text.batchscript import step_script
from vmgen_build.plan.text.powershell import (
    POWERSHELL,
    as_file,
    encoded_command,
    file_command,
    powershell_script,
    powershell_word,
)
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.plan.text.render import Renderer
from vmgen_build.secret import Secret
from vmgen_build.systems.model import System

HAS_POWERSHELL = (6, 1)
"""The first version of Windows' kernel that comes with PowerShell: Windows 7, Server 2008 R2."""

RESTART = 3010
"""ERROR_SUCCESS_REBOOT_REQUIRED: what a step's script ends with where a restart is due."""

_ACCEPTED = f":: accept {RESTART}\n"


@dataclass(frozen=True, kw_only=True)
class WindowsWork:
    """What a step of Windows does. name: of the step, and of its template unless `template` names another.
    values: of the template. installs: whether its installers may ask for a restart; the others as in Step."""

    name: str
    title: str
    values: Mapping[str, object]
    template: str = ""
    files: tuple[StepFile, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    network: bool = False
    installs: bool = False
    reboot: bool = False
    timeout: float | None = None


def step_of(ctx: PlanContext, work: WindowsWork) -> Step:
    """Raises RecipeError as the Renderer, and for a script that no batch file can hold."""
    name = work.template or work.name
    files = work.files
    if by_powershell(ctx, name):
        script = f"{name}.ps1"
        files = (StepFile.of(script, as_file(_powershell(ctx, name, work.values))), *files)
        body = _ACCEPTED * work.installs + file_command(script)
    else:
        body = ctx.renderer.fragment(template_names(ctx.system, f"{name}.bat.j2"), **work.values)
    return Step(
        name=work.name,
        title=work.title,
        script=step_script(ctx.renderer, work.name, body),
        dialect=ctx.family.dialect,
        files=files,
        secrets=work.secrets,
        network=work.network,
        installs=work.installs,
        reboot=work.reboot,
        timeout=work.timeout,
        success=(0, RESTART) if work.installs else (0,),
        probes=work.probes,
    )


def _powershell(ctx: PlanContext, name: str, values: Mapping[str, object]) -> str:
    renderer = Renderer(ctx.renderer.override, POWERSHELL, step_folder=ctx.family.step_folder)
    return powershell_script(renderer, renderer.render(template_names(ctx.system, f"{name}.ps1.j2"), **values))


def powershell_line(ctx: PlanContext, name: str, values: Mapping[str, object]) -> Trusted:
    """The line of a step's batch file that runs the script of a template, for values that no batch file carries. Raises
    ValueError where it gets too long."""
    return encoded_command(_powershell(ctx, name, values))


def by_powershell(ctx: PlanContext, name: str) -> bool:
    """Whether a step of this name is a script of PowerShell's on the plan's system."""
    if ctx.system.nt < HAS_POWERSHELL:
        return False
    has = ctx.renderer.has
    return next((has(own) for own, batch in _pairs(ctx.system, name) if has(own) or has(batch)), False)


def carried(ctx: PlanContext, template: str, text: str, where: Position, option: str) -> str:
    """The text, which the step's script can carry. Raises RecipeError at the recipe's line where it cannot."""
    word: Callable[[str], str] = powershell_word if by_powershell(ctx, template) else argument
    if problem := _problem(word, text):
        raise RecipeError([Problem(where, option, problem, code="value")])
    return text


def needs_powershell(ctx: PlanContext, text: str) -> bool:
    """Whether PowerShell carries a text that batch does not, on a system that has it."""
    return ctx.system.nt >= HAS_POWERSHELL and bool(_problem(argument, text)) and not _problem(powershell_word, text)


def _problem(word: Callable[[str], str], text: str) -> str:
    try:
        word(text)
    except ValueError as error:
        return str(error)
    return ""


def secret_text(ctx: PlanContext, template: str, secret: Secret, where: Position, option: str) -> Secret:
    """What the file of a secret holds: the text itself for PowerShell, else the argument that `set /p` takes up, as a
    line.

    Raises RecipeError at the recipe's line for what the script cannot carry; the message never shows it.
    """
    clear = secret.reveal()
    if by_powershell(ctx, template):
        return secret
    try:
        return Secret(argument(clear) + "\r\n")
    except ValueError as error:
        text = (
            f"{ctx.system.title} takes this password from a batch file, which carries printable ASCII without double"
            " quotes, of up to 1000 characters; choose another one"
        )
        raise RecipeError([Problem(where, option, text, code="value")]) from error


def refused(where: Position, option: str, text: str) -> RecipeError:
    """An error at the recipe's line."""
    return RecipeError([Problem(where, option, text, code="windows")])


def template_names(system: System, name: str) -> tuple[str, ...]:
    """Of a template, its own generation's first."""
    generations = system.family.generations
    known = generations[: generations.index(system.generation) + 1]
    return tuple(f"{system.family.templates}/{generation}/{name}" for generation in reversed(known))


def _pairs(system: System, name: str) -> list[tuple[str, str]]:
    """PowerShell's template and batch's, of each generation."""
    return list(zip(template_names(system, f"{name}.ps1.j2"), template_names(system, f"{name}.bat.j2"), strict=True))
