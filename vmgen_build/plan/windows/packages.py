"""Programs: packages of Chocolatey, features and capabilities of Windows itself, and installers beside the recipe.

A word of the catalogue's packages.windows is a package of Chocolatey, or "feature:NAME" or "capability:NAME", as dism
calls them; a unit is "service:NAME", as sc does. Chocolatey comes from its own package beside the recipe (packages =
./chocolatey.2.4.1.nupkg), or is there. [config] packages may also name one of winget's, as winget:ID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmgen_build.catalogue.programs import Program
from vmgen_build.installers.windows import SILENT, SINCE, WINGET, kind_of
from vmgen_build.plan.batch import WindowsWork, refused, step_of
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.hostfiles import reading
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.setup import has_setup
from vmgen_build.plan.steps.packages import TITLES, package_file
from vmgen_build.plan.windowsprobe import MACHINE, WindowsQuestion, probe_of
from vmgen_build.recipe.sections.programs import PROGRAM_SECTIONS

ORDER = 200

CHOCOLATEY: tuple[int, int] = (6, 1)
"""The first version of Windows that it runs on: Windows 7, Server 2008 R2."""

FEATURES, DISM, DISM_ALL = (6, 0), (6, 1), (6, 2)
"""The first versions whose features a command adds, that have dism for it, and whose dism finds what they need."""

SERVICES = f"{MACHINE}SYSTEM\\CurrentControlSet\\Services"
AT_BOOT = "0x2"
"""Of a service's value Start: SERVICE_AUTO_START (CreateServiceW)."""

_WINGET, _SERVICE = "winget:", "service:"
_OWN = re.compile(r"chocolatey\.\d[0-9A-Za-z.-]*\.nupkg", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]*")


@dataclass(frozen=True)
class _Package:
    """version: "" for the newest. parameters: words for its own script."""

    name: str
    version: str = ""
    parameters: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Of Chocolatey, to install it."""
        pinned = [f"--version={self.version}"] if self.version else []
        own = [f"--package-parameters={' '.join(self.parameters)}"] if self.parameters else []
        return [self.name, *pinned, *own]


def _name_and_version(ctx: PlanContext, word: str, manager: str) -> tuple[str, str]:
    """version: "" for the newest. Raises RecipeError for one that the manager cannot be asked for."""
    name, equals, version = word.partition("=")
    where = ctx.recipe.config.at("packages")
    if not _NAME.fullmatch(name):
        text = f"'{name}' is no package of {manager}; write letters, digits, + . _ and -"
        raise refused(where, "[config] packages", text)
    if equals and not _VERSION.fullmatch(version):
        text = f"'{word}': {manager} installs a whole version alone; write one such as {name}=1.22.3"
        raise refused(where, "[config] packages", text)
    return name, version


def _winget_package(ctx: PlanContext, word: str) -> _Package:
    """Raises RecipeError where there is no winget, or where it cannot run."""
    system, where = ctx.system, ctx.recipe.config.at("packages")
    if system.version not in WINGET:
        raise refused(where, "[config] packages", f"{system.title} has no winget; name one of Chocolatey's")
    if has_setup(ctx.recipe):
        text = f"'{word}': steps behind Setup's restart run as SYSTEM, for which winget is not there; name one of"
        text += " Chocolatey's, or write [hardware] base = vm:NAME"
        raise refused(where, "[config] packages", text)
    return _Package(*_name_and_version(ctx, word.removeprefix(_WINGET), "winget"))


def _winget_step(ctx: PlanContext, packages: Sequence[_Package]) -> Step:
    work = WindowsWork(
        name="packages-winget",
        title="packages of winget",
        template="winget",
        values={"packages": packages},
        network=True,
        installs=True,
    )
    return step_of(ctx, work)


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
    yield from _further(ctx, [name for name in named if not name.startswith(_WINGET)], rest)
    if packages := [_winget_package(ctx, name) for name in named if name.startswith(_WINGET)]:
        yield _winget_step(ctx, packages)


@dataclass(frozen=True)
class _WindowsWishes:
    """words: as the catalogue has them, and as [config] packages has them. parameters: package -> words for its script.
    services: to run at boot. setup: lines of batch. installers: among the step's files. removed, pinned: packages."""

    words: Sequence[str] = ()
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: Sequence[str] = ()
    setup: Sequence[str] = ()
    installers: Sequence[_Installer] = ()
    removed: Sequence[str] = ()
    pinned: Sequence[str] = ()


def _section(ctx: PlanContext, section: str) -> Iterator[Step | LeftOut]:
    programs: dict[str, Program] = {}
    for wish, program in ctx.programs:
        if wish.section != section:
            continue
        if reason := _unmet(ctx, program):
            yield LeftOut(section, wish.choice or wish.name, reason)
        else:
            programs[program.name] = program
    if programs:
        wishes = _WindowsWishes(
            words=[word for program in programs.values() for word in program.packages],
            parameters={word: program.parameters for program in programs.values() for word in program.packages},
            services=sorted({name for program in programs.values() for name in _services(program)}),
            setup=[line for _, program in sorted(programs.items()) for line in program.setup],
        )
        yield _install(ctx, f"packages-{section}", TITLES[section], wishes)


def _unmet(ctx: PlanContext, program: Program) -> str:
    """Why the system cannot have it, and what to do; "" where it can."""
    if not all(_is_own(word) for word in program.packages):
        reason = f"{_no_chocolatey(ctx)}: bring its installer, [config] packages = ./NAME.msi"
        return reason if ctx.system.nt < CHOCOLATEY else ""
    reason = f"no command adds features to {ctx.system.title}: do it by hand, from its medium"
    return reason if ctx.system.nt < FEATURES else ""


def _is_own(word: str) -> bool:
    """Whether it is a part of Windows itself."""
    return word.startswith(("feature:", "capability:"))


def _services(program: Program) -> Iterator[str]:
    """Its units of Windows; others are systemd's."""
    return (unit.removeprefix(_SERVICE) for unit in program.units if unit.startswith(_SERVICE))


def _further(ctx: PlanContext, named: Sequence[str], paths: Sequence[str]) -> Iterator[Step | LeftOut]:
    """What [config] packages, packages_remove and packages_hold name. paths: of installers on this host."""
    config = ctx.recipe.config
    _refuse_changes(ctx)
    if named and ctx.system.nt < CHOCOLATEY:
        yield from (LeftOut("config", name, _no_chocolatey(ctx)) for name in named)
        named = ()
    wishes = _WindowsWishes(
        words=tuple(named),
        installers=tuple(_installer(ctx, path) for path in paths),
        removed=config.packages_remove if ctx.system.nt >= CHOCOLATEY else (),
        pinned=config.packages_hold if ctx.system.nt >= CHOCOLATEY else (),
    )
    if wishes != _WindowsWishes():
        yield _install(ctx, "packages-config", "further packages", wishes, tuple(package_file(ctx, p) for p in paths))


def _refuse_changes(ctx: PlanContext) -> None:
    """What Chocolatey cannot remove, or hold, as it did not install it."""
    config = ctx.recipe.config
    for option in ("packages_remove", "packages_hold"):
        for name in getattr(config, option):
            if not _NAME.fullmatch(name):
                text = f"'{name}' is no package of Chocolatey, whose alone can be removed or held; take it out"
                raise refused(config.at(option), f"[config] {option}", text)


def _no_chocolatey(ctx: PlanContext) -> str:
    return f"{ctx.system.title} has no Chocolatey"


def _install(ctx: PlanContext, name: str, title: str, wishes: _WindowsWishes, files: tuple[StepFile, ...] = ()) -> Step:
    names = sorted({word for word in wishes.words if not _is_own(word)})
    values: dict[str, Any] = {
        **_parts(ctx, [word.removeprefix("feature:") for word in wishes.words if word.startswith("feature:")]),
        "capabilities": sorted({w.partition(":")[2] for w in wishes.words if w.startswith("capability:")}),
        "packages": [_package(ctx, word, wishes.parameters.get(word, ())) for word in names],
        "services": wishes.services,
        "setup": wishes.setup,
        "installers": wishes.installers,
        "removed": wishes.removed,
        "pinned": wishes.pinned,
    }
    work = WindowsWork(
        name=name,
        title=title,
        template="packages",
        values=values,
        files=files,
        network=True,
        installs=True,
        probes=tuple(_probes(ctx, name.removeprefix("packages-"), values)),
    )
    return step_of(ctx, work)


def _parts(ctx: PlanContext, features: Sequence[str]) -> dict[str, object]:
    """Features in the order of the catalogue, for one comes after what it stands under; and arguments for the program
    that adds them."""
    names = list(dict.fromkeys(features))
    if ctx.system.nt < DISM:
        return {"features": names, "dism": (), "pkgmgr": f"/iu:{';'.join(names)}" if names else ""}
    with_all = ["/all"] if ctx.system.nt >= DISM_ALL else []
    return {"features": names, "dism": [*(f"/featurename:{name}" for name in names), *with_all], "pkgmgr": ""}


def _package(ctx: PlanContext, word: str, parameters: tuple[str, ...]) -> _Package:
    return _Package(*_name_and_version(ctx, word, "Chocolatey"), parameters)


def _probes(ctx: PlanContext, section: str, values: Mapping[str, Any]) -> Iterator[Probe]:
    """Of what an installer beside the recipe, or winget, has installed, nothing is known to ask for."""
    at = f"[{section}]"
    for package in values["packages"]:
        asked = {"name": package.name, "version": package.version}
        yield _probe(ctx, f"package-{package.name}", at, "installed", "package", asked)
    for name in values["features"] if ctx.system.nt >= DISM else ():
        yield _probe(ctx, f"feature-{name}", at, "enabled", "feature", {"name": name})
    for name in values["capabilities"]:
        yield _probe(ctx, f"capability-{name}", at, "installed", "capability", {"name": name})
    for name in values["services"]:
        asked = {"key": f"{SERVICES}\\{name}", "value": "Start"}
        yield _probe(ctx, f"service-{name}", at, AT_BOOT, "value", asked)
    for name in values["removed"]:
        yield _probe(ctx, f"removed-{name}", f"{at} packages_remove", "not installed", "removed", {"name": name})
    for name in values["pinned"]:
        yield _probe(ctx, f"held-{name}", f"{at} packages_hold", name, "pinned", {})


def _probe(
    ctx: PlanContext, name: str, setting: str, expected: str, template: str, values: Mapping[str, object]
) -> Probe:
    question = WindowsQuestion(name=name, setting=setting, expected=(expected,), template=template, values=values)
    return probe_of(ctx, question)


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
