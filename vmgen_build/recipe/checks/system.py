"""The operating system, repositories, files, scripts, packages."""

from __future__ import annotations

import re

from vmgen_build.host.regular import read_regular
from vmgen_build.limits import KEY_FILE
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.openpgp import wrong_keys
from vmgen_build.recipe.problems import Problems, place, shown
from vmgen_build.recipe.sections.config import Config
from vmgen_build.systems.model import Family


def check(draft: Draft, problems: Problems) -> None:
    system = draft.system
    if system is not None and (system.kind != "linux" or system.unbuilt) and "base" not in draft.hardware.places:
        text = f"{system.name} can be checked and compiled, and is not built by this version"
        if system.kind == "windows":
            text = (
                f"{system.name} is built from its medium, or a machine that has it: write base = iso:FILE, vm:NAME or a"
                " disk image; so it can be compiled alone"
            )
        problems.warn(draft.hardware.at("os"), "[hardware] os", text, "not-built")
    _either(draft.config, problems)
    _keys(draft.config, problems, apt=system is None or system.installer == "apt")
    files = draft.config.files.values()
    path = ("config", "files")
    unique(
        ((f.dest, f.at("dest"), place((*path, f.name), "dest")) for f in files if f.dest and f.dest[-1] != "/"),
        "the destination",
        problems,
    )
    _package_names(draft, problems)


def _package_names(draft: Draft, problems: Problems) -> None:
    if draft.system is None:
        return
    for option in ("packages", "packages_remove", "packages_hold"):
        for name in getattr(draft.config, option):
            if text := _wrong_package(name, draft.system.family):
                problems.error(draft.config.at(option), f"[config] {option}", text, "value")


def _wrong_package(name: str, family: Family) -> str:
    """What is wrong with a package's name, or with the path of its file; "" where nothing is."""
    known = family.package_names
    if name.startswith("/"):
        right = re.search(family.package_file or "$", name)
        return "" if right else f"{shown(name)} is by its name no package file of this system"
    if known is None or re.fullmatch(known.pattern, name):
        return ""
    return f"{shown(name)} is not {known.what}; write {known.write}"


def _either(config: Config, problems: Problems) -> None:
    """Exactly one of some options."""
    for kind, entries, options in (
        ("repos", config.repos.values(), ("url", "line", "file")),
        ("scripts", config.scripts.values(), ("file", "run")),
    ):
        for entry in entries:
            given = [key for key in options if getattr(entry, key) is not None or key in entry.faulty]
            if len(given) == 1:
                continue
            both = f"has {' and '.join(given)}; keep one"
            none = f"has none of {', '.join(options)}; give one"
            problems.error(entry.where, place(("config", kind, entry.name)), both if given else none, "either")


def _keys(config: Config, problems: Problems, *, apt: bool) -> None:
    """Each key that a file holds has one of the fingerprints that the recipe names. apt: takes nothing unchecked."""
    for repo in config.repos.values():
        if repo.url is not None and repo.key is None and "key" not in repo.faulty and not apt:
            text = "nothing says who signs it, so that its packages are not checked; name its key"
            problems.warn(repo.where, place(("config", "repos", repo.name)), text, "no-key")
        if not repo.fingerprint or repo.faulty & {"key", "fingerprint"}:
            continue
        text = "names fingerprints, and no key: give key = FILE"
        if repo.key is not None:
            text = wrong_keys(read_regular(repo.key, KEY_FILE), repo.fingerprint)
        if text:
            problems.error(repo.at("fingerprint"), place(("config", "repos", repo.name), "fingerprint"), text, "value")
