"""Programs: packages of Chocolatey, features and capabilities of Windows itself, and installers beside the recipe.

A word of the catalogue's packages.windows is a package of Chocolatey, or "feature:NAME" or "capability:NAME", as dism
calls them. Chocolatey comes from its own package beside the recipe (packages = ./chocolatey.2.4.1.nupkg), or is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.installers.windows import SILENT, SINCE, kind_of
from vmgen_build.plan.batch import WindowsWork, refused, step_of
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Step, StepFile
from vmgen_build.plan.steps.packages import TITLES, package_file
from vmgen_build.recipe.sections.programs import PROGRAM_SECTIONS

ORDER = 200

CHOCOLATEY: tuple[int, int] = (6, 1)
"""The first version of Windows that it runs on: Windows 7, Server 2008 R2."""

_OWN = re.compile(r"chocolatey\.\d[0-9A-Za-z.-]*\.nupkg", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")


@dataclass(frozen=True)
class _Package:
    """version: "" for the newest."""

    name: str
    version: str = ""


@dataclass(frozen=True)
class _Installer:
    """A file among the step's. kind, words: as in installers.windows."""

    file: str
    kind: str
    words: tuple[str, ...]


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    files = [path for path in ctx.recipe.config.packages if path.startswith("/")]
    own = [path for path in files if _OWN.fullmatch(Path(path).name)]
    chocolatey = ctx.system.nt >= CHOCOLATEY
    if own and chocolatey:
        yield _chocolatey_step(ctx, own[0])
    for section in PROGRAM_SECTIONS:
        yield from _section(ctx, section)
    named = [name for name in ctx.recipe.config.packages if not name.startswith("/")]
    rest = [path for path in files if path not in own]
    yield from _further(ctx, named, rest)


def _section(ctx: PlanContext, section: str) -> Iterator[Step | LeftOut]:
    wanted: list[str] = []
    for wish, program in ctx.programs:
        if wish.section != section:
            continue
        if ctx.system.nt < CHOCOLATEY:
            reason = f"{_no_chocolatey(ctx)}: bring its installer, [config] packages = ./NAME.msi"
            yield LeftOut(section, wish.choice or wish.name, reason)
        else:
            wanted += program.packages
    if wanted:
        yield _install(ctx, f"packages-{section}", TITLES[section], wanted)


def _further(ctx: PlanContext, named: Sequence[str], paths: Sequence[str]) -> Iterator[Step | LeftOut]:
    """What [config] packages, packages_remove and packages_hold name. paths: of installers on this host."""
    config = ctx.recipe.config
    if named and ctx.system.nt < CHOCOLATEY:
        yield from (LeftOut("config", name, _no_chocolatey(ctx)) for name in named)
        named = ()
    installers = [_installer(ctx, path) for path in paths]
    removed = [*config.packages_remove] if ctx.system.nt >= CHOCOLATEY else []
    pinned = [*config.packages_hold] if ctx.system.nt >= CHOCOLATEY else []
    if named or installers or removed or pinned:
        values = {"installers": installers, "removed": removed, "pinned": pinned}
        files = tuple(package_file(ctx, path) for path in paths)
        yield _install(ctx, "packages-config", "further packages", named, values, files)


def _no_chocolatey(ctx: PlanContext) -> str:
    return f"{ctx.system.title} has no Chocolatey"


def _install(
    ctx: PlanContext,
    name: str,
    title: str,
    words: Iterable[str],
    values: dict[str, object] | None = None,
    files: tuple[StepFile, ...] = (),
) -> Step:
    every = sorted(set(words))
    packages = [_package(ctx, word) for word in every if ":" not in word]
    own = {
        "features": [word.partition(":")[2] for word in every if word.startswith("feature:")],
        "capabilities": [word.partition(":")[2] for word in every if word.startswith("capability:")],
        "packages": packages,
    }
    work = WindowsWork(
        name=name,
        title=title,
        template="packages",
        values={"installers": [], "removed": [], "pinned": [], **own, **(values or {})},
        files=files,
        network=True,
        installs=True,
    )
    return step_of(ctx, work)


def _package(ctx: PlanContext, word: str) -> _Package:
    """Raises RecipeError for one that Chocolatey cannot be asked for."""
    name, equals, version = word.partition("=")
    where = ctx.recipe.config.at("packages")
    if not _NAME.fullmatch(name):
        text = f"'{name}' is no package of Chocolatey; write letters, digits, dots, _ and -"
        raise refused(where, "[config] packages", text)
    if equals and not _VERSION.fullmatch(version):
        text = f"'{word}': Chocolatey installs a whole version alone; write one such as {name}=1.22.3"
        raise refused(where, "[config] packages", text)
    return _Package(name, version)


def _installer(ctx: PlanContext, path: str) -> _Installer:
    where = ctx.recipe.config.at("packages")
    name = Path(path).name
    with reading(Path(path), where, "[config] packages"):
        kind = kind_of(Path(path))
    if not kind:
        text = f"how '{name}' is installed silently is not known; run it by a script, [config] [[scripts]]"
        raise refused(where, "[config] packages", text)
    if ctx.system.nt < SINCE.get(kind, (0, 0)):
        text = f"{ctx.system.title} does not install '{name}'; name an .msi, or an .exe of Inno Setup or NSIS"
        raise refused(where, "[config] packages", text)
    return _Installer(name, kind, SILENT.get(kind, ()))


def _chocolatey_step(ctx: PlanContext, path: str) -> Step:
    work = WindowsWork(
        name="chocolatey",
        title="Chocolatey",
        values={"file": Path(path).name},
        files=(package_file(ctx, path),),
        installs=True,
    )
    return step_of(ctx, work)
