"""What PATH=VALUE, of which a part is written, can go on with: for completion in a shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vmgen_build import resources
from vmgen_build.errors import RecipeError
from vmgen_build.recipe import ini
from vmgen_build.recipe.ini import IniSection
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.reference import OptionDoc, SectionDoc, sections
from vmgen_build.recipe.source import read_text

_ANY = "NAME"
_CHOICE = "one of "
_LISTS = frozenset({"config.profiles"})


@dataclass(frozen=True, slots=True)
class Possible:
    """text: all of the word; it ends in "." or "=" where more must follow. doc: what it is, or ""."""

    text: str
    doc: str = ""


def settings(text: str, recipe: Path | None = None) -> list[Possible]:
    """All that begin as `text` does. recipe: its own names of subsections are known, where it can be read."""
    path, equals, value = text.partition("=")
    written = (Possible(f"{path}={one}") for one in values(path, value, recipe))
    return [one for one in (written if equals else _next(path, recipe)) if one.text.startswith(text)]


def values(path: str, value: str, recipe: Path | None = None) -> list[str]:
    """Those that an option can have, as far as they can be listed. value: what is written of it."""
    option = _option(path)
    if option is None:
        return ["1", "0"] if _takes_programs(path) else []
    kind = f"{option.section}.{option.name}"
    begun = value[: value.rfind(",") + 1] if kind in _LISTS else ""
    return [f"{begun}{one}" for one in _known(kind, option, recipe) if one not in begun.split(",")]


def profiles(folder: Path | None = None) -> list[str]:
    """Those that come with the tool, and those of profiles/ in the folder of a recipe."""
    folders = [resources.recipes_dir(), *([folder] if folder else [])]
    return sorted({file.stem for one in folders for file in (one / "profiles").glob("*.ini")})


def _known(kind: str, option: OptionDoc, recipe: Path | None) -> Iterable[str]:
    if kind == "hardware.os":
        from vmgen_build.systems.parse import known_systems

        return known_systems()
    if kind == "config.profiles":
        return profiles(recipe.parent if recipe else None)
    if kind in ("config.timezone", "config.locale"):
        from vmgen_build.catalogue import regions

        return sorted(regions.known_zones() if kind == "config.timezone" else regions.known_locales())
    if option.takes == "yes or no":
        return ("yes", "no")
    return option.takes.removeprefix(_CHOICE).split(", ") if option.takes.startswith(_CHOICE) else ()


def _option(path: str) -> OptionDoc | None:
    *parents, name = path.split(".")
    docs = [doc for doc in sections() if _fits(doc, parents) and len(doc.path) == len(parents)]
    return next((option for doc in docs for option in doc.options if option.name == name), None)


def _takes_programs(path: str) -> bool:
    head, _, name = path.partition(".")
    return "." not in name and any(doc.programs for doc in sections() if doc.path == (head,))


def _fits(doc: SectionDoc, parents: list[str]) -> bool:
    """Whether it is the section of these names, or one below it."""
    return len(doc.path) >= len(parents) and all(
        place in (name, _ANY) for place, name in zip(doc.path, parents, strict=False)
    )


def _next(path: str, recipe: Path | None) -> Iterator[Possible]:
    """One level on: sections first, then options, then programs."""
    *parents, _ = path.split(".")
    head = "".join(f"{name}." for name in parents)
    fitting = [doc for doc in sections() if _fits(doc, parents)]
    below = dict.fromkeys(doc.path[len(parents)] for doc in fitting if len(doc.path) > len(parents))
    docs = {doc.path[-1]: doc.doc for doc in fitting if len(doc.path) == len(parents) + 1}
    for name in below:
        for shown in _names(recipe, parents) if name == _ANY else [name]:
            yield Possible(f"{head}{shown}.", docs.get(name, ""))
    for doc in fitting:
        if len(doc.path) == len(parents):
            yield from (Possible(f"{head}{option.name}=", option.doc) for option in doc.options)
            yield from (Possible(f"{head}{name}=", "a program") for name in _programs(doc))


def _programs(doc: SectionDoc) -> list[str]:
    if not doc.programs:
        return []
    from vmgen_build.catalogue.catalogue import known_programs

    entries = known_programs().entries.values()
    return sorted(entry.name for entry in entries if entry.category == doc.path[0])


def _names(recipe: Path | None, parents: list[str]) -> list[str]:
    """Names of a recipe's own subsections."""
    section: IniSection | None = _root(recipe)
    for name in parents:
        section = section.sections.get(name) if section else None
    return [name for name in section.sections if "." not in name and " " not in name] if section else []


def _root(recipe: Path | None) -> IniSection | None:
    if recipe is None:
        return None
    try:
        return ini.parse(read_text(recipe, str(recipe)), str(recipe), Problems(str(recipe))).root
    except RecipeError:
        return None
