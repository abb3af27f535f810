"""The examples of the documentation: recipes that pass check, commands that the command line takes, files of CI."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from vmgen_build.cli.main import door, run
from vmgen_build.cli.vmgctl import vmgctl
from vmgen_build.errors import RecipeError, VmgenError
from vmgen_build.recipe.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
SHELL = ("sh", "console")
PLACES = re.compile(r"<[a-z]+>|\bURL\b")
MADE_UP = ("tinydeb", "nearby:visits")
"""What docs/extending.md adds; tests/integration/test_extending.py builds with it."""

MENTIONED = "mentioned"
"""In prose a command may stand without its arguments."""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^( *)```(\w+)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
            if match[2] in languages:
                line = text.count("\n", 0, match.start()) + 2
                found.append(Block(page.name, line, match[2], match[3]))
    return found


def with_head(text: str) -> str:
    """A recipe of what may be a part of one. Its places to fill in are filled in."""
    text = text.replace("= …", "= " + "0" * 64)
    head = {"vm_id": "lab", "os": "debian-12"}
    lacking = [name for name in head if not re.search(rf"^ *{name} =", text, re.MULTILINE)]
    lines = "".join(f"    {name} = {head[name]}\n" for name in lacking)
    if "[hardware]\n" in text:
        return text.replace("[hardware]\n", f"[hardware]\n{lines}", 1)
    return f"[hardware]\n{lines}{text}"


class AnyVariable(dict[str, str]):
    """Every password that a recipe takes from the environment."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return "A1B2C-D3E4F-G5H6J-K7L8M-N9P0Q" if name == "WINDOWS_KEY" else "correct-horse-42"


@pytest.mark.parametrize("block", [b for b in blocks("ini") if MADE_UP[0] not in b.text], ids=str)
def test_recipes_pass_check(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with --strict. Files that they name are not there."""
    monkeypatch.chdir(tmp_path)
    Path("lab.ini").write_text(with_head(block.text))
    try:
        load(Path("lab.ini"), strict=True, environ=AnyVariable())
    except RecipeError as error:
        assert [str(p) for p in error.problems if "there is no file" not in p.text] == []


def lines_of(block: Block) -> Iterator[str]:
    """Command lines without comments: those after a prompt, or all. A backslash or an open quote joins lines."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        yield from (line[2:] for line in text.splitlines() if line.startswith(("# ", "$ ")))
        return
    begun = ""
    for line in re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE).splitlines():
        begun += line + "\n"
        if begun.count("'") % 2 == 0 and begun.count('"') % 2 == 0:
            yield begun
            begun = ""


def words_of(line: str) -> Iterator[list[str]]:
    """The words of each command of vmgen-build and vmgctl in a line of sh, its options and arguments."""
    lexer = shlex.shlex(PLACES.sub("lab", line), posix=True, punctuation_chars=";&|()<>")
    lexer.commenters = ""
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word == "#" or set(word) <= set(";&|()<>"):
            yield from of_ours(command)
            command = []
            if word == "#":
                return
        else:
            command.append(word)


def of_ours(command: Sequence[str]) -> Iterator[list[str]]:
    for number, word in enumerate(command):
        if word.rpartition("/")[2] in ("vmgen-build", "vmgctl"):
            before = command[:number]
            if all(re.fullmatch(r"sudo|nohup|-E|time|nice|if|then|\S+=\S*", other) for other in before):
                yield [word.rpartition("/")[2], *command[number + 1 :]]
            return


def commands() -> list[tuple[str, list[str]]]:
    """Where it stands, and its words: of blocks of commands, of CI's files, and of `inline code`."""
    found = [(str(b), words) for b in blocks(*SHELL) for line in lines_of(b) for words in words_of(line)]
    for block in blocks("yaml"):
        for script in scripts(yaml.safe_load(block.text)):
            lines = lines_of(Block(block.page, block.line, "sh", script))
            found += [(str(block), words) for line in lines for words in words_of(line)]
    for page in PAGES:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            for code in re.findall(r"`((?:vmgen-build|vmgctl) [^`]+)`", line):
                found += [(f"{page.name}:{number} {MENTIONED}", words) for words in words_of(code)]
    return found


def scripts(node: object, name: str = "") -> Iterator[str]:
    """What jobs of GitHub (run:) and GitLab (script:) run."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from scripts(value, str(key))
    elif isinstance(node, list):
        for value in node:
            yield from scripts(value, name)
    elif name in ("run", "script", "before_script", "after_script"):
        yield str(node)


def problem(words: Sequence[str]) -> str:
    """What is wrong with a command line, empty if nothing is. That a file is not there is nothing wrong."""
    program, *args = words
    try:
        if program == "vmgctl":
            vmgctl.make_context(program, list(args))
            return ""
        with door.make_context(program, list(args)) as context:
            name, command, rest = door.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            command.make_context(name, rest, parent=context)
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
        return ""
    except (click.ClickException, VmgenError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return "" if "does not exist" in text else text
    return ""


def test_commands_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = commands()
    whole = [(where, words) for where, words in found if not any(w.endswith("...") or w in MADE_UP for w in words)]
    wrong = {f"{where}: {shlex.join(words)}": text for where, words in whole if (text := problem(words))}
    bare = re.compile("Missing argument|requires an argument")
    assert {key: text for key, text in wrong.items() if not (MENTIONED in key and bare.search(text))} == {}
    assert len(found) > 150


@pytest.mark.parametrize("line", ["vmgen-build lab.ini --nosuch", "x && vmgen-build chekc lab.ini -q --strict=1"])
def test_a_wrong_command_is_found(line: str) -> None:
    (words,) = words_of(line)
    assert problem(words)


def every_command() -> list[str]:
    """With those of groups, such as `cache ls`."""
    found = []
    with door.make_context("vmgen-build", ["check", "x"]) as context:
        for name in door.list_commands(context):
            command = door.get_command(context, name)
            inner = list(command.commands) if isinstance(command, click.Group) else []
            found += [f"{name} {other}" for other in inner] or [name]
    return found


@pytest.mark.parametrize("name", ["", *every_command()])
def test_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, after which two spaces and what it is for may follow."""
    assert run([*name.split(), "--help"]) == 0
    lines = [re.sub("^ +(bash|zsh|fish) +", "", line).strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line.split("  ")[0].rstrip(" \\") for line in lines if re.match("vmgen-build [^ ]", line)]
    assert len(examples) >= 1
    assert {line: text for line in examples for words in words_of(line) if (text := problem(words))} == {}


def test_help_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("", *every_command()):
        run([*name.split(), "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []
