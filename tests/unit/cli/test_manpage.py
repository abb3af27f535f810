"""The manual pages: groff and mandoc take them, and all that there is stands in them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from vmgen_build.cli import main, manpage, vmgctl
from vmgen_build.codes import EXIT_CODES
from vmgen_build.host.environment import SECRETS

PACKAGE = Path(manpage.__file__).parents[1]
NAMES = list(manpage.pages())
INTERNAL = {"TERM", "SUDO_GID", "SUDO_UID", "XDG_RUNTIME_DIR"}
"""What the system sets, and nobody sets for us."""


def output(*argv: object) -> str:
    environ = os.environ | {"MANWIDTH": "78", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(params=NAMES)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / f"{request.param}.1"
    file.write_text(manpage.pages()[request.param])
    return file


def test_groff_and_mandoc_take_it(page: Path) -> None:
    assert output("mandoc", "-T", "lint", "-W", "warning", page) == ""
    text = output("man", "--warnings", "-l", page)
    heads = (
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    )
    assert [line for line in text.splitlines() if line in heads] == list(heads)
    assert max(map(len, text.splitlines())) <= 88


def test_nothing_of_this_machine_stands_in_it(page: Path) -> None:
    text = page.read_text()
    assert str(PACKAGE.parent) not in text and str(Path.home() / ".cache") not in text
    assert text.isascii()


def test_the_day_is_that_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert " 1970-01-02 " in manpage.pages()["vmgen-build"].splitlines()[0]


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_option_of_every_command_stands_in_it(name: str) -> None:
    text = manpage.pages()["vmgen-build"].replace("\\-", "-")
    with click.Context(main.door) as context:
        command = main.door.get_command(context, name)
    assert command is not None
    inner = command.commands.values() if isinstance(command, click.Group) else [command]
    for one in inner:
        assert f"\\fBvmgen-build {name}" in text
        options = [opt for param in one.params if isinstance(param, click.Option) for opt in param.opts]
        assert [opt for opt in options if f"\\fB{opt}\\fR" not in text] == []


@pytest.mark.parametrize(("name", "epilog"), [("vmgen-build", main.EPILOG), ("vmgctl", vmgctl.EPILOG)])
def test_examples_and_exit_codes_are_those_of_the_help(name: str, epilog: str) -> None:
    text = manpage.pages()[name].replace("\\-", "-").replace("\\&", "").replace("\\(aq", "'")
    examples = re.findall(rf"(?m)^  ({name} .*?)(?:  |$)", epilog)
    assert len(examples) > 5 and [line for line in examples if f"\\fB{line}\\fR" not in text] == []
    codes = re.findall(r"(?m)^\.TP\n\\fB(\d+)\\fR$", text)
    assert codes == [str(code) for code in EXIT_CODES] if name == "vmgen-build" else ["0", "1", "2"]


def test_every_variable_that_is_read_stands_in_it() -> None:
    sources = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get)?[\[(]\"([A-Z][A-Z_]+)\"", sources)) - INTERNAL
    known = {name for term, _ in manpage.ENVIRONMENT for name in term.split(", ")}
    assert len(read) > 5 and read | set(SECRETS) <= known


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (".SH looks like a request", ".SH looks like a request"),
        ("'br", "'br"),
        (r"back\slash \fBbold\fR", r"back\slash \fBbold\fR"),
        ("a-b --set 'x' `y` ~/z ^", "a-b --set 'x' `y` ~/z ^"),
        ("çedilla … €", "çedilla … €"),
    ],
)
def test_no_text_is_taken_for_a_request(text: str, shown: str, tmp_path: Path) -> None:
    file = tmp_path / "x.1"
    file.write_text(f".TH X 1 2020-01-01\n.SH A\n{manpage.escaped(text)}\n")
    assert shown in output("man", "--warnings", "-l", file)


def test_a_block_keeps_its_lines() -> None:
    assert list(manpage.paragraphs("One.\nTwo.\n\n\b\n  a  b\n  c\n\nThree.\n\f\nhidden")) == [
        *("One. Two.", ".PP", ".nf", "a  b", "c", ".fi", ".PP", "Three."),
    ]
