"""The recipe's own scripts, each a step of its own: batch by its name's end (.bat, .cmd), PowerShell's (.ps1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SCRIPT_FILE
from vmgen_build.plan.batch import WindowsWork, refused, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.plan.steps.scripts import is_private
from vmgen_build.recipe.sections.config import Script

ORDER = 350

ENDS = (".bat", ".cmd", ".ps1")


def steps(ctx: PlanContext) -> Iterator[Step]:
    for script in ctx.recipe.config.scripts.values():
        end, text = _read(ctx, script)
        work = WindowsWork(
            name=f"script-{script.name}",
            title=f"script {script.name}",
            template="script",
            values={"file": f"script{end}", "powershell": end == ".ps1"},
            files=(replace(StepFile.of(f"script{end}", text, 0o755), private=is_private(script)),),
            network=True,
            installs=True,
        )
        yield step_of(ctx, work)


def _read(ctx: PlanContext, script: Script) -> tuple[str, bytes]:
    """The end of its name, and its bytes. Lines that stand in the recipe are batch; their ends become those of
    Windows."""
    option = f"[config.scripts.{script.name}]"
    if script.file is None:
        lines = (script.run or "").strip("\n").splitlines()
        return ".bat", "".join(f"{line}\r\n" for line in ("@echo off", *lines)).encode()
    end = script.file.suffix.lower()
    if end not in ENDS:
        text = f"'{script.file.name}' is by its name no script of Windows; name a file that ends in {', '.join(ENDS)}"
        raise refused(script.at("file"), f"{option} file", text)
    if end == ".ps1" and ctx.system.nt < (6, 1):
        text = f"{ctx.system.title} has no PowerShell; name a batch file"
        raise refused(script.at("file"), f"{option} file", text)
    with reading(script.file, script.at("file"), f"{option} file"):
        return end, read_regular(script.file, SCRIPT_FILE)
