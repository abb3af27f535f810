"""The code of the shipped templates (vmgen_build.ahead), for setup.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmgen_build.ahead import SUFFIX, marked
from vmgen_build.plan.text.ahead import digest_of
from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.environment import environment_of
from vmgen_build.plan.text.inf import INF
from vmgen_build.plan.text.powershell import POWERSHELL
from vmgen_build.plan.text.quote import SH, TEXT

_DIALECTS = {
    ".sh.j2": SH,
    ".service.j2": SH,
    ".target.j2": SH,
    ".bat.j2": BATCH,
    ".ps1.j2": POWERSHELL,
    ".inf.j2": INF,
    ".sif.j2": INF,
}
"""How a template's name ends -> a dialect of the guard and the line end that it is rendered with; TEXT's for others."""


def code_of_templates(folder: Path) -> Iterator[tuple[Path, str]]:
    """Of each template below the folder: the file of its code, and its text. Raises TemplateSyntaxError, for what a
    guard refuses too."""
    for path in sorted(folder.rglob("*.j2")):
        dialect = next((one for end, one in _DIALECTS.items() if path.name.endswith(end)), TEXT)
        source, name = path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix()
        code = environment_of(dialect, dialect.quote).compile(source, name, str(path), raw=True)
        yield path.with_name(path.name + SUFFIX), marked(code, digest_of(source, dialect))
