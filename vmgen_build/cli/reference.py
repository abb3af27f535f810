"""vmgen-build options and programs: what can stand in a recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmgen_build.cli import common
from vmgen_build.errors import UsageError
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.catalogue.catalogue import Catalogue
    from vmgen_build.catalogue.programs import Hole, Program
    from vmgen_build.recipe.reference import OptionDoc
    from vmgen_build.systems.model import System


@click.command("options", context_settings=common.CONTEXT, short_help="Print what can stand in a recipe.")
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Print the whole reference as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def options_command(name: str | None, markdown: bool, as_json: bool) -> None:
    """Print what can stand in a recipe, or only the options that NAME points to.

    NAME is a word of the option's path, or several: hostname, network, users.passwd, network.eths.eth0.address.
    """
    from vmgen_build.recipe import reference

    if markdown:
        click.echo(reference.as_markdown(), nl=False)
        return
    if name is None and not as_json:
        click.echo(reference.as_text(), nl=False)
        return
    found = [option for option in reference.options() if name is None or _points_to(name, option.path)]
    if not found:
        raise UsageError(f"no option is like '{name}'; 'vmgen-build options' lists all")
    for option in found:
        if as_json:
            common.show(json.dumps({"path": option.path} | dataclasses.asdict(option)))
        else:
            _show_option(option)


def _points_to(name: str, path: str) -> bool:
    """Whether the words of `name` are in those of `path`, in order; NAME in the path is any word but the last."""
    words = name.lower().split(".")
    for place in path.split("."):
        if words and (words[0] in place.lower() or (place == "NAME" and len(words) > 1)):
            words = words[1:]
    return not words


def _show_option(option: OptionDoc) -> None:
    common.show(option.path, bold=True)
    common.show(f"    {option.doc}")
    default = f"default: {option.default}" if option.default else ""
    default = "required" if option.required else default
    example = f"example: {option.name} = {option.example}" if option.example else ""
    common.show("    " + "; ".join(part for part in (f"takes {option.takes}", default, example) if part))


@click.command("programs", context_settings=common.CONTEXT, short_help="Print the programs that a recipe can ask for.")
@click.argument("name", required=False)
@click.option("--os", "system", metavar="OS", help="The operating system; debian-12 by default.")
@click.option("--recipe", type=common.recipe_path, metavar="RECIPE", help="With its own programs, and for its system.")
@click.option("--missing", is_flag=True, help="Print what the catalogue lacks for the system, and what to do.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def programs_command(name: str | None, system: str | None, recipe: Path | None, missing: bool, as_json: bool) -> None:
    """Print the programs that a recipe can ask for, or only those whose name, alias or package holds NAME.

    Columns: name, section of the recipe, when its names were compared with an index of the system's packages (or that
    they were not), packages. With --missing: name, section, what is missing (packages, the units of a service, or the
    commands that prove a program to be there), what to do.
    """
    known, meant = _catalogue(recipe, system)
    if missing:
        _show_holes([hole for hole in known.holes(meant) if name is None or name.lower() in hole.name], as_json)
        return
    found = [p for p in known.all_programs(meant) if name is None or _matches(p, name.lower())]
    if not found:
        like = f" is like '{name}'" if name else " is known"
        raise UsageError(f"no program of {meant.name}{like}; 'vmgen-build programs' lists those of Debian 12")
    if as_json:
        for program in found:
            common.show(json.dumps(_as_dict(program)))
        return
    for program, line in zip(found, table([_row(p) for p in found]), strict=True):
        common.show(line)
        if name and program.notes:
            common.show(f"    {program.notes}", dim=True)


def _catalogue(recipe: Path | None, system: str | None) -> tuple[Catalogue, System]:
    """What is known, and the system that is meant. Raises RecipeError for a recipe that is wrong."""
    if recipe is None:
        from vmgen_build.catalogue.catalogue import known_programs

        return known_programs(), _system(system or "debian-12")
    from vmgen_build.host.bounds import bounded
    from vmgen_build.limits import CHECK_MEMORY, CHECK_TIME
    from vmgen_build.recipe.load import load

    with bounded(str(recipe), CHECK_TIME, CHECK_MEMORY):
        found = load(recipe)
    return found.catalogue, _system(system) if system else found.hardware.os


def _system(text: str) -> System:
    from vmgen_build.systems.parse import parse_system

    try:
        return parse_system(text)
    except ValueError as error:
        raise UsageError(f"--os {text}: {error}") from error


def _show_holes(holes: Sequence[Hole], as_json: bool) -> None:
    if as_json:
        lines = [json.dumps(dataclasses.asdict(hole)) for hole in holes]
    else:
        lines = table([(hole.name, hole.category, hole.lacks, hole.advice) for hole in holes])
    for line in lines:
        common.show(line)


def _matches(program: Program, part: str) -> bool:
    return any(part in text.lower() for text in (program.name, *program.aliases, *program.packages))


def _row(program: Program) -> tuple[str, str, str, str]:
    choices = sorted({chosen for _, chosen in program.choices} - {program.name})
    also = [f"also: {', '.join(program.aliases)}"] if program.aliases else []
    also += [f"choices: {', '.join(choices)}"] if choices else []
    also += ["from its source"] if program.source else []
    notes = [f"({'; '.join(also)})"] if also else []
    if program.repository:
        notes.append(f"from {program.repository.url or program.repository.line}")
    return program.name, program.category, program.checked or "unchecked", " ".join([*program.packages, *notes])


def _as_dict(program: Program) -> dict[str, object]:
    fields = dataclasses.asdict(program)
    fields["ports"] = [f"{port.number}/{port.proto}" for port in program.ports]
    fields["choices"] = dict(program.choices)
    return fields
