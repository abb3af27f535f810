"""Files of the host, put into the guest. Owners and modes of Unix are left out."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.host.files import sha256_of
from vmgen_build.plan.batch import WindowsWork, carried, refused, step_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.recipe.sections.config import CopiedFile
from vmgen_build.recipe.types.unix import is_windows_path

ORDER = 340


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
    yield step_of(ctx, WindowsWork(name="files", title="files", values={"copies": copies}, files=files))


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
