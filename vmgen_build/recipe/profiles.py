"""Profiles: partial recipes that others take in by [config] profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vmgen_build import resources
from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.host.owners import all_may_read
from vmgen_build.limits import RECIPE_FILES
from vmgen_build.recipe import ini, slips, tree
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.problems import Problems, did_you_mean, shown
from vmgen_build.recipe.shipped import profile_names
from vmgen_build.recipe.source import A_RECIPE, PROGRAMS, Kind, read_text

_OPTION = "[config] profiles"
_ENDING = ".ini"

SHIPPED = "profile "
"""Before the name of a shipped profile, where messages name its file."""


@dataclass
class Sources:
    """All files that make up one recipe. folders: file as positions name it -> where its relative paths start.
    exposed: those that every user of this host can read. count: of files that were read. texts: what stands in for a
    file's own text, by the file as positions name it.

    complete: false where an unclosed quote swallowed the rest of a file. lost: a section's head could not be read, so
    that what stands below it belongs nowhere.
    """

    problems: Problems
    folders: dict[str, Path] = field(default_factory=dict)
    exposed: set[str] = field(default_factory=set)
    texts: Mapping[str, str] = field(default_factory=dict)
    count: int = 0
    complete: bool = True
    lost: bool = False

    def read(self, path: Path, file: str) -> IniSection:
        """A recipe's or a profile's tree, its slips mended. Raises RecipeError where there is no text to read."""
        root = self._parsed(path, file, A_RECIPE)
        slips.mend(root, self.problems)
        return root

    def _parsed(self, path: Path, file: str, kind: Kind) -> IniSection:
        self.count += 1
        if self.count > RECIPE_FILES.amount:
            text = f"is one file too many: {RECIPE_FILES.exceeded}"
            raise RecipeError([Problem(Position(file, 0), "", text, code="limit")])
        text = self.texts[file] if file in self.texts else read_text(path, file, kind)
        self.folders[file] = path.parent
        if all_may_read(path):
            self.exposed.add(file)
        document = ini.parse(text, file, self.problems)
        self.complete = self.complete and document.complete
        self.lost = self.lost or document.lost
        return document.root

    def programs(self, value: Value, name: str, option: str) -> IniSection | None:
        """The tree of a file of programs, which a value names; None where it cannot be read, which is reported as a
        problem of the option."""
        path = self.folders.get(value.file, Path()) / Path(name)
        if not name.endswith(_ENDING) or not _is_file(path):
            text = f"there is no file {shown(str(path))}; name one that ends in {_ENDING}, relative to the recipe"
            self.problems.error(value.where, option, text, "file")
            return None
        try:
            return self._parsed(path, str(path), PROGRAMS)
        except RecipeError as error:
            self._report(error)
            return None

    def _report(self, error: RecipeError) -> None:
        for problem in error.problems:
            self.problems.error(problem.where, problem.path, problem.text, problem.code)

    def take_in(self, root: IniSection, folder: Path, chain: tuple[Path, ...]) -> None:
        """Merge the profiles that `root` names under it, and theirs under them. Among several the later wins."""
        config = root.sections.get("config")
        value = config.values.get("profiles") if config else None
        if value is None or value.broken:
            return
        for name in reversed(list(dict.fromkeys(item for item in value.items if item))):
            path, file = _find(name, self.folders.get(value.file, folder), folder)
            if path is None:
                where = value.item_where(value.items.index(name))
                self.problems.error(where, _OPTION, partial(_no_profile, name, folder), "profile")
            elif path.resolve() in chain:
                text = f"profile {shown(name)} takes in itself; take it out of one of the files"
                self.problems.error(value.item_where(value.items.index(name)), _OPTION, text, "profile")
            else:
                self._merge(root, path, file, chain)

    def _merge(self, root: IniSection, path: Path, file: str, chain: tuple[Path, ...]) -> None:
        try:
            profile = self.read(path, file)
        except RecipeError as error:
            self._report(error)
            return
        self.take_in(profile, path.parent, (*chain, path.resolve()))
        if "config" in profile.sections:
            profile.sections["config"].values.pop("profiles", None)
        tree.merge_under(root, profile)


def _find(name: str, near: Path, folder: Path) -> tuple[Path | None, str]:
    """A profile's file and its name for messages: an own path, then profiles/ beside the recipe, then a shipped one.

    Messages show a profile's options, so no other file is read as one, by its name or by a link.
    """
    own = (near / name,) if name.endswith(_ENDING) else ()
    for path in (*own, near / "profiles" / f"{name}.ini", folder / "profiles" / f"{name}.ini"):
        if _is_file(path):
            return path, str(path)
    shipped = resources.recipes_dir() / "profiles" / f"{name}.ini"
    return (shipped, f"{SHIPPED}{name}") if _is_file(shipped) else (None, "")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and path.resolve().suffix == _ENDING
    except OSError:
        return False


def _no_profile(name: str, folder: Path) -> str:
    if name.endswith(_ENDING):
        return f"there is no profile {shown(name)}; a path starts from the folder of the file that names it"
    if "/" in name:
        return f"there is no profile {shown(name)}; name one, or the path of a file that ends in {_ENDING}"
    return f"there is no profile {shown(name)}{_near_profiles(name, folder)}"


def _near_profiles(name: str, folder: Path) -> str:
    names = profile_names(folder)
    if not names:
        return "; name the path of one, relative to the recipe"
    return did_you_mean(name, names) or f"; there are {', '.join(names)}, or name the path of one"
