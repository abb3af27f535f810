"""What can stand for each argument and value of an option, by its name: for completion in a shell.

A command of any module gets it by calling its parameters as others do (RECIPE, ARTIFACT, DIR, `--os OS`): the tables
at the end. click's own types (a choice, a path) know theirs, and a parameter's own `shell_complete` comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Item = CompletionItem
Source = Callable[[click.Context, str], Iterable[Item]]
"""Of what is written of the word. The context's `obj` has the words before it: click knows no values of a line that
ends with an option's name."""

RECIPES = ("ini",)
COMPRESSIONS = ("zstd", "gzip", "xz", "none")


def file_item(*endings: str, with_folders: bool = True) -> Item:
    """Files whose names end so, without dots at their beginnings, and folders; all where none is named."""
    return CompletionItem("", type="file", endings=endings, with_folders=with_folders)


def folder_item() -> Item:
    return CompletionItem("", type="dir")


def plain_items(words: Iterable[str], begun: str) -> list[Item]:
    return [CompletionItem(word) for word in words if word.startswith(begun)]


def listed_items(words: Iterable[str], begun: str) -> list[Item]:
    """Of a list with commas: the last of them is completed."""
    before = begun[: begun.rfind(",") + 1]
    return plain_items((before + word for word in words if word not in before.split(",")), begun)


def recipe_files(_context: click.Context, _begun: str) -> list[Item]:
    return [file_item(*RECIPES)]


def artifact_files(_context: click.Context, _begun: str) -> list[Item]:
    return [file_item(*_names()["endings"])]


def either_files(_context: click.Context, _begun: str) -> list[Item]:
    return [file_item(*RECIPES, "json", *_names()["endings"])]


def any_files(_context: click.Context, _begun: str) -> list[Item]:
    return [file_item()]


def folders(_context: click.Context, _begun: str) -> list[Item]:
    return [folder_item()]


def backends(_context: click.Context, begun: str) -> list[Item]:
    return plain_items(_names()["backends"], begun)


def formats(context: click.Context, begun: str) -> list[Item]:
    """Of the backends that are named, where some are."""
    names = _names()
    chosen = _given(context, "-b", "--backend")
    wanted = [name for one in chosen for name in names.get(f"formats of {one}", ())] or names["formats"]
    return plain_items(dict.fromkeys(wanted), begun)


def compressions(_context: click.Context, begun: str) -> list[Item]:
    return plain_items(COMPRESSIONS, begun)


def hosts(_context: click.Context, begun: str) -> list[Item]:
    return plain_items(("local", "qemu:", "ssh://", "vsphere://"), begun)


def systems(_context: click.Context, begun: str) -> list[Item]:
    from vmgen_build.systems.parse import known_systems

    return plain_items(known_systems(), begun)


def programs(_context: click.Context, begun: str) -> list[Item]:
    from vmgen_build.catalogue.catalogue import known_programs

    return plain_items(sorted(entry.name for entry in known_programs().entries.values()), begun)


def profiles(_context: click.Context, begun: str) -> list[Item]:
    """Those that ship, and those beside a recipe of this folder."""
    from vmgen_build.recipe.shipped import profile_names

    return listed_items(profile_names(Path()), begun)


def steps(context: click.Context, begun: str) -> list[Item]:
    """Of the recipe in the line, where it is right; none is fetched for it."""
    from vmgen_build.build.engine import plan_for
    from vmgen_build.build.options import BuildOptions
    from vmgen_build.build.using.layers import BASE
    from vmgen_build.cli.common import default_cache
    from vmgen_build.errors import VmgenError
    from vmgen_build.recipe.load import load

    recipes, backend = _recipes(context), [*_given(context, "-b", "--backend"), "lxc"][0]
    if not recipes:
        return []
    try:
        recipe = load(recipes[-1], tuple(_given(context, "--set")))
        plan = plan_for(recipe, backend, BuildOptions(cache=default_cache(), backends=(backend,), offline=True))
    except VmgenError:
        return []
    titles = {BASE: plan.base.title} | {step.name: step.title for step in plan.steps}
    return [CompletionItem(name, help=title) for name, title in titles.items() if name.startswith(begun)]


def option_names(_context: click.Context, begun: str) -> list[Item]:
    """As `vmgen-build options` takes them."""
    from vmgen_build.recipe.reference import options

    return [CompletionItem(one.path, help=one.doc) for one in options() if one.path.startswith(begun)]


def settings(context: click.Context, begun: str) -> list[Item]:
    """PATH=VALUE, a level at a time. Of the items of a list the last is completed."""
    from vmgen_build.recipe.completing import complete_path

    recipes = _recipes(context)
    path, comma, _ = begun.rpartition(",") if "=" in begun else ("", "", "")
    asked = f"{path.partition('=')[0]}={begun[len(path + comma) :]}" if comma else begun
    head = path + comma
    found = complete_path(asked, recipes[-1] if recipes else None)
    items = [CompletionItem(one.text if one.text.endswith(".") else _open(one.text), help=one.about) for one in found]
    return [CompletionItem(head + str(item.value).partition("=")[2]) for item in items] if comma else items


def _open(path: str) -> str:
    return path if "=" in path else f"{path}="


def targets(_context: click.Context, begun: str) -> list[Item]:
    return plain_items(("incus", "libvirt", "lxc", "openvz", "proxmox"), begun)


def _recipes(context: click.Context) -> list[Path]:
    return [Path(word).expanduser() for word in context.obj or () if word.endswith(".ini")]


def _given(context: click.Context, *options: str) -> list[str]:
    """The values of an option in the words before."""
    line: Sequence[str] = context.obj or ()
    return [word for option, word in pairwise(line) if option in options]


def _names() -> Mapping[str, Sequence[str]]:
    """Lists for which every backend and format is imported."""
    from vmgen_build.store.wordlists import word_lists

    return word_lists(_found_names)


def _found_names() -> dict[str, Sequence[str]]:
    from vmgen_build.backends.registry import all_backends, formats_of

    of_each = {name: formats_of(backend) for name, backend in all_backends().items()}
    every = [one for formats in of_each.values() for one in formats]
    endings = {ending.removeprefix(".") for one in every for ending in one.endings}
    return {
        "backends": list(of_each),
        "formats": list(dict.fromkeys(one.name for one in every)),
        "endings": sorted(endings),
        **{f"formats of {name}": [one.name for one in formats] for name, formats in of_each.items()},
    }


OF_COMMANDS: Mapping[tuple[str, str], Source] = {
    ("options", "words"): option_names,
    ("profiles", "name"): profiles,
    ("programs", "name"): programs,
    ("shell", "step"): steps,
    ("systems", "name"): systems,
}
"""By the names of a command and of its parameter."""

OF_NAMES: Mapping[str, Source] = {
    "backend": backends,
    "backends": backends,
    "compression": compressions,
    "formats": formats,
    "host": hosts,
    "profile": profiles,
    "profiles": profiles,
    "sets": settings,
}
"""By the parameter's name."""

OF_METAVARS: Mapping[str, Source] = {
    "A": either_files,
    "ARTIFACT": artifact_files,
    "ARTIFACT...": artifact_files,
    "B": either_files,
    "DIR": folders,
    "FILE": any_files,
    "FORMAT": formats,
    "OS": systems,
    "PATH=VALUE": settings,
    "RECIPE": recipe_files,
    "RECIPE...": recipe_files,
    "RECIPE|ARTIFACT": either_files,
    "TARGET[://HOST]": targets,
}
"""By what stands for it in --help."""


def source_of(command: str, parameter: click.Parameter) -> Source | None:
    """None where click's own type knows what there is, or nobody does."""
    found = OF_COMMANDS.get((command, parameter.name or "")) or OF_NAMES.get(parameter.name or "")
    return found or OF_METAVARS.get(parameter.metavar or "")
