"""Files of the host, put into the guest. Owners and modes of Unix are left out."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.host.files import sha256_of
from vmgen_build.plan.batch import WindowsWork, carried, refused, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.steps.scripts import script_text
from vmgen_build.plan.windowsprobe import WindowsQuestion, probe_of
from vmgen_build.recipe.sections.config import CopiedFile
from vmgen_build.recipe.types.unix import is_windows_path

ORDER = 340

HASHES: tuple[int, int] = (6, 1)
"""The first version of Windows whose certutil tells a file's SHA-256: Windows 7, Server 2008 R2."""


@dataclass(frozen=True)
class _WindowsCopy:
    """name: among the step's files. dest, folder: in the guest."""

    name: str
    dest: str
    folder: str


def steps(ctx: PlanContext) -> Iterator[Step]:
    wanted = ctx.recipe.config.files.values()
    if not wanted:
        return
    copies = [_copy(ctx, file) for file in wanted]
    files = tuple(_file(file) for file in wanted)
    last = {copy.dest.lower(): (copy, file) for copy, file in zip(copies, files, strict=True)}
    probes = tuple(_probe(ctx, copy, file) for copy, file in last.values())
    work = WindowsWork(name="files", title="files", values={"copies": copies}, files=files, probes=probes)
    yield step_of(ctx, work)


def _probe(ctx: PlanContext, copy: _WindowsCopy, file: StepFile) -> Probe:
    """Content, by its digest where Windows itself reckons one, else by its size; of a file that a script of the recipe
    names, only that it is there."""
    scripts = b"".join(script_text(script) for script in ctx.recipe.config.scripts.values()).lower()
    if copy.dest.lower().encode() in scripts:
        template, expected = "there", "there"
    elif ctx.system.nt >= HASHES:
        template, expected = "digest", file.sha256
    else:
        assert file.source is not None
        template, expected = "size", str(file.source.stat().st_size)
    question = WindowsQuestion(
        name=f"file-{copy.name}",
        setting=f"[config.files.{copy.name}]",
        expected=(expected,),
        template=template,
        values={"path": copy.dest},
    )
    return probe_of(ctx, question)


def _copy(ctx: PlanContext, file: CopiedFile) -> _WindowsCopy:
    option = f"[config.files.{file.name}] dest"
    if not is_windows_path(file.dest):
        text = f"'{file.dest}' is no path of Windows; write one such as C:\\lab\\{file.source.name}"
        raise refused(file.at("dest"), option, text)
    dest = file.dest.replace("/", "\\")
    dest = dest + file.source.name if dest.endswith("\\") else dest
    dest = carried(ctx, "files", dest, file.at("dest"), option)
    return _WindowsCopy(file.name, dest, dest.rpartition("\\")[0] + "\\")


def _file(file: CopiedFile) -> StepFile:
    """By reference and digest. It is private where others may not read it here."""
    with reading(file.source, file.at("source"), f"[config.files.{file.name}] source"):
        private = not file.source.stat().st_mode & stat.S_IROTH
        return StepFile(file.name, sha256_of(file.source), 0o600, source=file.source, private=private)
