"""Files of the host, put into the guest."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.host.files import sha256_of
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.steps.scripts import script_text
from vmgen_build.recipe.sections.config import CopiedFile

ORDER = 340


@dataclass(frozen=True)
class _Copy:
    """One file as the template takes it: name among the step's files; owner as chown(1) takes it; mode octal."""

    name: str
    dest: str
    owner: str
    mode: str


def steps(ctx: PlanContext) -> Iterator[Step]:
    wanted = ctx.recipe.config.files.values()
    if not wanted:
        return
    carried = [_carried(file) for file in wanted]
    copies = [
        _Copy(carry.name, destination(file), chown_owner(file.owner), f"{file.mode:04o}")
        for carry, file in zip(carried, wanted, strict=True)
    ]
    scripts = b"".join(script_text(script) for script in ctx.recipe.config.scripts.values())
    last = {copy.dest: (file, copy, carry) for file, copy, carry in zip(wanted, copies, carried, strict=True)}
    yield Step(
        name="files",
        title="files",
        script=ctx.renderer.sh("linux/files.sh.j2", copies=copies),
        files=tuple(carried),
        probes=tuple(
            _probe(ctx, file, copy, carry.sha256, whole=copy.dest.encode() not in scripts)
            for file, copy, carry in last.values()
        ),
    )


def destination(file: CopiedFile) -> str:
    """A destination that ends in / keeps the source's name."""
    return file.dest + file.source.name if file.dest.endswith("/") else file.dest


def chown_owner(owner: str) -> str:
    """user, user:group or numbers, as chown(1) takes them: a named user alone brings its login group."""
    return owner if ":" in owner or owner.isdigit() else f"{owner}:"


def _carried(file: CopiedFile) -> StepFile:
    """By reference and digest: a big file is not kept in memory.

    It is private where others may not read it: here, or in the guest.
    """
    with reading(file.source, file.at("source"), f"[config.files.{file.name}] source"):
        digest = sha256_of(file.source)
        private = not file.source.stat().st_mode & file.mode & stat.S_IROTH
    return StepFile(file.name, digest, 0o600, source=file.source, private=private)


def _probe(ctx: PlanContext, file: CopiedFile, copy: _Copy, sha256: str, whole: bool) -> Probe:
    """Content, owner and mode (`whole`); of a file that a script of the recipe names, only that it is there."""
    want = f"{file.owner.rstrip(':')} {file.mode:o} {sha256}"
    script = ctx.renderer.sh(
        "linux/probes/file.sh.j2", dest=copy.dest, whole=whole, shape=_stat_format(file.owner), want=want
    )
    return Probe(f"file-{copy.name}", f"[config.files.{file.name}]", script, expected=want if whole else "there")


def _stat_format(owner: str) -> str:
    """What stat(1) prints owner and mode by: numbers where the owner is given in numbers."""
    user, _, group = owner.partition(":")
    words = ["%u" if user.isdigit() else "%U"]
    if group:
        words.append("%g" if group.isdigit() else "%G")
    return f"{':'.join(words)} %a"
