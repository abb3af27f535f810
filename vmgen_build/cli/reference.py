"""vmgen-build options and programs: what can stand in a recipe."""

from __future__ import annotations

import dataclasses
import itertools
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
    from vmgen_build.nearness import Match
    from vmgen_build.recipe.reference import OptionDoc
    from vmgen_build.systems.model import System


@click.command("options", context_settings=common.CONTEXT, short_help="Print what can stand in a recipe.")
@click.argument("words", nargs=-1, metavar="[NAME]")
@click.option("--markdown", is_flag=True, help="Print the whole reference as Markdown.")
@click.option("--schema", is_flag=True, help="Print a JSON Schema of the recipe, for programs that write recipes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def options_command(words: tuple[str, ...], markdown: bool, schema: bool, as_json: bool) -> None:
    """Print what can stand in a recipe, or only the options that NAME means.

    NAME is a word of the option's path, or several: hostname, network, users.passwd, network.eths.eth0.address. Where
    no path has it, it may be another word for an option (mac, ssh key, memory), a slip in one (hw_adr), or a word of
    its description.

    \b
      vmgen-build options
      vmgen-build options network
      vmgen-build options network.eths.eth0
    """
    from vmgen_build.recipe import reference

    if markdown + schema + bool(words or as_json) > 1:
        raise UsageError("--markdown and --schema print the whole; leave all else out")
    if markdown:
        click.echo(reference.as_markdown(), nl=False)
    elif schema:
        from vmgen_build.recipe.jsonschema import json_schema

        click.echo(json.dumps(json_schema(), indent=2))
    elif words:
        _show_hits(" ".join(words), as_json)
    elif as_json:
        for option in reference.options():
            common.show(json.dumps({"path": option.path} | dataclasses.asdict(option)))
    else:
        click.echo(reference.as_text(), nl=False)


def _show_hits(name: str, as_json: bool) -> None:
    """The options that it means, in groups by how they were found."""
    from vmgen_build.recipe.search import nearest_options, search

    hits = search(name)
    if not hits:
        raise UsageError(_program_of(name) or _nothing("option", name, nearest_options(name)))
    for kind, group in itertools.groupby(hits, key=lambda hit: hit.match):
        if not as_json:
            _say_how("option", name, kind)
        for hit in group:
            if as_json:
                fields = {"path": hit.option.path, "match": kind.word} | dataclasses.asdict(hit.option)
                common.show(json.dumps(fields))
            else:
                _show_option(hit.option)


def _program_of(name: str) -> str:
    """What to write for a program that was taken for an option; "" for anything else."""
    from vmgen_build.catalogue.catalogue import known_programs

    program = known_programs().find(name.rpartition(".")[2])
    return f"'{name}' is no option, but a program: write {program.name} = 1 in [{program.category}]" if program else ""


def _nothing(thing: str, name: str, nearest: Sequence[str]) -> str:
    near = f"; the nearest are {', '.join(nearest)}" if nearest else ""
    return f"no {thing} is like '{name}'{near}; 'vmgen-build {thing.partition(' ')[0]}s' lists all"


def _say_how(thing: str, name: str, kind: Match) -> None:
    """Before those that were not found by their names. On standard error, so that the results stay alone."""
    heads = {
        "also": f"Another word for '{name}' is:",
        "near": f"Near '{name}':",
        "text": f"No {thing} is called '{name}'; these tell of it:",
    }
    if head := heads.get(kind.word):
        common.complain(head, dim=True)


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
    """Print the programs that a recipe can ask for, or only those that NAME means: whose name, alias or package holds
    it; where none does, those of which it is a slip (pythn), or that tell of it.

    Columns: name, section of the recipe, when its names were compared with an index of the system's packages (or that
    they were not), packages. With --missing: name, section, what is missing (packages, the units of a service, or the
    commands that prove a program to be there), what to do.

    \b
      vmgen-build programs
      vmgen-build programs firefox --os fedora-42
      vmgen-build programs --missing --os debian-13
    """
    from vmgen_build.catalogue.programs import Unavailable

    known, meant = _catalogue(recipe, system)
    if missing:
        _show_holes([hole for hole in known.holes(meant) if name is None or name.lower() in hole.name], as_json)
        return
    programs = known.all_programs(meant)
    if name is None:
        _show_programs(programs, as_json)
        return
    from vmgen_build.catalogue.search import nearest_programs, search

    hits = search(name, programs)
    if not hits:
        gone = known.resolve(name, None, meant) if known.is_known(name) else None
        why = gone.reason if isinstance(gone, Unavailable) else ""
        raise UsageError(why or _nothing(f"program of {meant.name}", name, nearest_programs(name, programs)))
    for kind, group in itertools.groupby(hits, key=lambda hit: hit[0]):
        if not as_json:
            _say_how("program", name, kind)
        _show_programs([program for _, program in group], as_json, kind)


def _show_programs(found: Sequence[Program], as_json: bool, kind: Match | None = None) -> None:
    """kind: how those were found that were looked for."""
    if as_json:
        for program in found:
            how = {} if kind is None else {"match": kind.word}
            common.show(json.dumps(_as_dict(program) | how))
        return
    for program, line in zip(found, table([_row(p) for p in found]), strict=True):
        common.show(line)
        if kind is not None and program.notes:
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
