"""The recipe's own scripts, each a step of its own: a changed one runs again, and those after it."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import replace

from vmgen_build.errors import Problem, RecipeError
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SCRIPT_FILE
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.recipe.sections.config import Script

ORDER = 350

_SHEBANG = re.compile(rb"#![ \t]*([^ \t\n\0]+)[ \t]*([^\n\0]*?)[ \t]*(?:\n|\Z)")
"""Interpreter and its one optional argument; execve(2), "Interpreter scripts"."""


def steps(ctx: PlanContext) -> Iterator[Step]:
    for script in ctx.recipe.config.scripts.values():
        text = script_text(script)
        yield Step(
            name=f"script-{script.name}",
            title=f"script {script.name}",
            script=ctx.renderer.sh("linux/script.sh.j2", interpreter=_interpreter(script, text)),
            files=(replace(StepFile.of("script", text, 0o755), private=is_private(script)),),
            network=True,
        )


def is_private(script: Script) -> bool:
    """Whether others may not read its file on this host."""
    return script.file is not None and not script.file.stat().st_mode & stat.S_IROTH


def script_text(script: Script) -> bytes:
    """The script as it is run: never rendered, never changed but for a missing last line end."""
    if script.file is None:
        return ((script.run or "").rstrip("\n") + "\n").encode()
    with reading(script.file, script.at("file"), f"[config.scripts.{script.name}] file"):
        return read_regular(script.file, SCRIPT_FILE)


def _interpreter(script: Script, text: bytes) -> list[str]:
    """The words before the script's path. By the #! line, as the kernel reads it; else sh, stopping at an error."""
    found = _SHEBANG.match(text)
    if not found:
        return ["/bin/sh", "-eu"]
    words = [word.decode(errors="surrogateescape") for word in found.groups() if word]
    if words[-1].endswith("\r"):
        option = "file" if script.file is not None else "run"
        what = "the #! line ends in a carriage return, which no system runs; save the script with Unix line ends"
        setting = f"[config.scripts.{script.name}] {option}"
        raise RecipeError([Problem(script.at(option), setting, what, code="value")])
    return words
