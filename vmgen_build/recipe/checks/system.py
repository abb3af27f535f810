"""The operating system, repositories, files, scripts, packages."""

from __future__ import annotations

import re

from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, place, shown
from vmgen_build.recipe.sections.config import Config


def check(draft: Draft, problems: Problems) -> None:
    system = draft.system
    if system is not None and not system.base:
        text = f"{system.name} can be checked and compiled, and is not built by this version"
        problems.warn(draft.hardware.at("os"), "[hardware] os", text, "not-built")
    _either(draft.config, problems)
    files = draft.config.files.values()
    path = ("config", "files")
    unique(
        ((f.dest, f.at("dest"), place((*path, f.name), "dest")) for f in files if f.dest and f.dest[-1] != "/"),
        "the destination",
        problems,
    )
    _package_names(draft, problems)


def _package_names(draft: Draft, problems: Problems) -> None:
    known = draft.system.family.package_names if draft.system else None
    if known is None:
        return
    for name in draft.config.packages:
        if not re.fullmatch(known.pattern, name):
            text = f"{shown(name)} is not {known.what}; write {known.write}"
            problems.error(draft.config.at("packages"), "[config] packages", text, "value")


def _either(config: Config, problems: Problems) -> None:
    """Exactly one of two options."""
    for kind, entries, one, other in (
        ("repos", config.repos.values(), "url", "line"),
        ("scripts", config.scripts.values(), "file", "run"),
    ):
        for entry in entries:
            given = [key for key in (one, other) if getattr(entry, key) is not None or key in entry.faulty]
            if len(given) == 1:
                continue
            what = f"has both {one} and {other}; keep one" if given else f"has neither {one} nor {other}; give one"
            problems.error(entry.where, place(("config", kind, entry.name)), what, "either")
