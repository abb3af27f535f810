r"""The media that make a Windows: the answers of Setup, and what runs at the first logon. By hand, in any hypervisor,
that is all steps of a recipe; in a build it is what puts the hypervisor's tools in, and steps follow by these.

In the root of the CD, or of a floppy for XP and 2003, lie the answers; their command at the first logon looks for the
drive that has \vmgen\run.bat. That runs the steps in order, and goes on behind restarts. All of it may hold passwords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.catalogue.windows import VISTA
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.answers import Answers, answer_files
from vmgen_build.plan.batch import RESTART, WindowsWork, refused, step_of, template_names
from vmgen_build.plan.context import Facts, PlanContext, guest_renderer
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Plan, Step, StepFile
from vmgen_build.plan.setup import answers_of, answers_of_build
from vmgen_build.plan.text.batchscript import checked, whole_script
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.secret import Secret

FOLDER = "vmgen"
"""Of the CD, with run.bat and the steps in it."""

STATE, LOG = r"C:\Windows\Temp\vmgen-setup", r"C:\Windows\Temp\vmgen.log"
"""Where run.bat keeps what it must know behind a restart, and what it leaves where a step failed."""

PORT, SAYS = "COM1", "vmgen-build: step "
"""Where run.bat of a build says that a step has failed, and how that line begins: the first serial port."""

FURTHER_RESTARTS = 5
"""How often the machine may start again by itself, beyond once for each step."""

_LETTERS = "D E F G H I J K L M N O P Q R S T U V W X Y Z"
_SEARCH = rf"cmd /d /c for %d in ({_LETTERS}) do if exist %d:\{FOLDER}\run.bat call %d:\{FOLDER}\run.bat"
_START = "start.bat"
_FROM_FLOPPY = rf"cmd /d /c A:\{_START}"

_INSTALLERS = (".msi", ".exe")
_CD = ".iso"


@dataclass(frozen=True)
class SetupMedia:
    """Path on a medium, with / between its parts -> content, or the file of this host that has it. floppy: {} where the
    CD holds the answers. run: the text of run.bat."""

    cd: Mapping[str, bytes | Path]
    floppy: Mapping[str, bytes]
    run: str


@dataclass(frozen=True)
class _Row:
    """A step as run.bat has it. restart: "1" where one always follows, else "0"."""

    number: int
    folder: str
    accepts: bool
    restart: str
    last: bool

    @property
    def following(self) -> int:
        return self.number + 1


def setup_media(recipe: Recipe, plan: Plan, templates: Path | None) -> SetupMedia:
    """Of a recipe that has_setup. plan: its own. Pure but for reading the tools that the recipe names. templates: as in
    planner.make_plan.

    Raises RecipeError, at the recipe's line, for what no answer file can say, and for tools that nobody can install
    silently.
    """
    ctx = PlanContext(recipe, recipe.hardware.os, Facts(), (), guest_renderer(recipe, templates))
    tools = tuple(_tools(ctx, vmware=plan.backend == "vmware"))
    work = _FirstLogon(tools, plan.steps, generalised=recipe.config.generalise)
    return _media(ctx, answers_of(recipe, _first_logon(ctx)), work)


def media_of_build(ctx: PlanContext, password: Secret, *, vmware: bool) -> SetupMedia:
    """The same for a build, whose steps follow when Setup has switched the machine off. password: as of
    setup.answers_of_build. vmware: whether the tools are VMware's. Raises RecipeError."""
    work = _FirstLogon(tuple(_tools(ctx, vmware=vmware)), (), generalised=False, port=PORT)
    return _media(ctx, answers_of_build(ctx.recipe, _first_logon(ctx), password), work)


@dataclass(frozen=True)
class _FirstLogon:
    """What run.bat does. generalised: whether sysprep is the last step. port: where it says what failed, beside its
    log; "" for nowhere."""

    tools: Sequence[Step]
    steps: Sequence[Step]
    generalised: bool
    port: str = ""


def _first_logon(ctx: PlanContext) -> tuple[str, ...]:
    return (_FROM_FLOPPY if ctx.system.nt < VISTA else _SEARCH,)


def _media(ctx: PlanContext, answers: Answers, work: _FirstLogon) -> SetupMedia:
    root = {name: text.reveal().encode() for name, text in answer_files(answers, ctx.renderer.override).items()}
    try:
        run, batch = _batch(ctx, work)
    except ValueError as error:
        raise RecipeError([Problem(Position(str(ctx.recipe.path), 0), "", str(error), code="media")]) from error
    if ctx.system.nt >= VISTA:
        return SetupMedia({**root, **batch}, {}, run)
    start = whole_script(ctx.renderer, template_names(ctx.system, f"{_START}.j2"), _START, log=LOG)
    return SetupMedia(batch, {**root, _START: start.encode()}, run)


def _batch(ctx: PlanContext, work: _FirstLogon) -> tuple[str, dict[str, bytes | Path]]:
    """run.bat, and what lies in FOLDER. Raises ValueError for what cannot be put there."""
    steps = [*work.tools, *work.steps]
    folders = [_folder(number, step.name) for number, step in enumerate(steps, 1 - len(work.tools))]
    rows = [
        _Row(number, folder, RESTART in step.success, "1" if step.reboot else "0", number == len(steps))
        for number, (folder, step) in enumerate(zip(folders, steps, strict=True), 1)
    ]
    body = ctx.renderer.fragment(
        template_names(ctx.system, "run.bat.j2"),
        steps=rows,
        most=len(steps) + FURTHER_RESTARTS,
        state=STATE,
        log=LOG,
        generalised=work.generalised,
    )
    values = {"body": Trusted(checked(body)), "log": LOG, "port": work.port}
    run = whole_script(ctx.renderer, "windows/run.bat.j2", "run.bat", **values)
    found: dict[str, bytes | Path] = {f"{FOLDER}/run.bat": run.encode()}
    for folder, step in zip(folders, steps, strict=True):
        found |= {f"{FOLDER}/{folder}/{name}": content for name, content in _content(step)}
    return run, found


def _folder(number: int, name: str) -> str:
    """Of a step, in letters that mean nothing to cmd.exe."""
    return f"{number:02d}-{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:40]}"


def _content(step: Step) -> Iterator[tuple[str, bytes | Path]]:
    """As a build puts it into the step's folder."""
    yield "script.bat", step.script.encode("ascii")
    for file in step.files:
        content = file.content if file.source is None else file.source
        if content is None:
            raise ValueError(f"'{file.name}' of the step {step.name} is not here before a build downloads it")
        yield f"files/{file.name}", content
    for name, secret in step.secrets.items():
        yield f"secrets/{name}", secret.reveal().encode()


def _tools(ctx: PlanContext, *, vmware: bool) -> Iterator[Step]:
    """What the hypervisor's tools are put in by, before all steps: a machine whose drivers they bring needs them."""
    path = ctx.recipe.hardware.tools
    if path is None:
        return
    where, end = ctx.recipe.hardware.at("tools"), path.suffix.lower()
    if end not in (*_INSTALLERS, _CD):
        text = f"how '{path.name}' is installed silently is not known; name an {_CD}, {' or '.join(_INSTALLERS)}"
        raise refused(where, "[hardware] tools", text)
    files: tuple[StepFile, ...] = ()
    if end != _CD:
        with reading(path, where, "[hardware] tools"):
            open_regular(path).close()
        files = (StepFile(path.name, "", source=path),)
    values = {
        "file": "" if end == _CD else path.name,
        "msi": end == ".msi",
        "vmware": vmware,
        "wide": ctx.system.arch == "amd64",
    }
    work = WindowsWork(name="tools", title="tools", values=values, files=files, installs=True, reboot=True)
    yield step_of(ctx, work)
