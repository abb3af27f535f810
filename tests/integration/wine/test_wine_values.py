"""Hostile values in batch files under Wine: what a real command parser delivers is what was meant.

A start of Wine takes longer than a hundred lines, so each example is many values in one script.
"""

from __future__ import annotations

import base64
import re
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wine.prefix import Ran, Windows
from vmgen_build.plan.text.batch import BATCH, argument, assigned, batch_word, called, echoed, quoted
from vmgen_build.plan.text.batchscript import step_script
from vmgen_build.plan.text.powershell import encoded_command, file_command
from vmgen_build.plan.text.render import Renderer

HOSTILE = [
    *("%PATH%", "%PATH", "100%", "%%", "%1", "%~1", "%~dp0", "%*", "%VMGEN_AT:~0,1%", "^", "^^", "a^b", "a^"),
    *("&", "a & b", "&& calc", "|", "|| calc", "<", ">", ">out", "2>&1", "(", ")", "()", "!", "!PATH!", "^!"),
    *("\\", "a\\", "a b\\", "a b\\\\", "\\\\server\\share\\", "C:\\", " ", " a", "a ", "  ", "", ",", ";", "=", "a=b"),
    *("*", "?", "~", "#", "@", "@echo off", "'", "`", "{}", "[]", "$x", "+", "/?", "-x", "rem", "::", ":label", "nul"),
    *("1", "0x1A", "on", "off", "a,b;c=d", "'a b'", "%ERRORLEVEL%", "%%i", "{{ x }}"),
]
QUOTES = [
    '"',
    '""',
    '"""',
    'a"b',
    '"a b"',
    '\\"',
    '\\\\"',
    'a\\"b c\\',
    '"&calc"',
    '" & calc & "',
    '"%PATH%',
    '^"',
    '"^',
]

printable = string.digits + string.ascii_letters + string.punctuation + " "
nasty = st.text("%^&|<>()!\"\\ '=,;ab1~*", max_size=12)
values = st.lists(st.one_of(nasty, st.text(printable, max_size=30)), min_size=20, max_size=30)


def unquoted(found: list[str]) -> list[str]:
    """Without those that a place refuses for their double quotes."""
    return [value.replace('"', "'") for value in found]


@pytest.fixture(scope="module")
def rescans(wine: Windows, renderer: Renderer) -> bool:
    """Whether this Wine looks for variables in the values of variables, as Wine 8 does and Windows does not."""
    return run(wine, renderer, ['set "V=%%OS%%"', "net %V%"]).calls[0].argv != ("%OS%",)


def through_variables(found: list[str], rescans: bool) -> list[str]:
    return [value.replace("%", "+") if rescans else value for value in unquoted(found)]


def run(wine: Windows, renderer: Renderer, lines: list[str], **more: object) -> Ran:
    ran = wine.run_step(step_script(renderer, "values", "\r\n".join(lines)).encode(), **more)  # type: ignore[arg-type]
    assert ran.succeeded, ran.output
    return ran


@settings(max_examples=8)
@example(HOSTILE + QUOTES)
@given(values)
def test_arguments(wine: Windows, renderer: Renderer, found: list[str]) -> None:
    lines = [f"netsh {BATCH.quote(found[at : at + 5])} name={batch_word(found[at])}" for at in range(0, len(found), 5)]
    ran = run(wine, renderer, lines)
    assert [call.argv for call in ran.calls] == [
        (*found[at : at + 5], f"name={found[at]}") for at in range(0, len(found), 5)
    ]


@settings(max_examples=1)
@example(HOSTILE)
@given(values)
def test_arguments_from_files(wine: Windows, renderer: Renderer, rescans: bool, found: list[str]) -> None:
    meant = through_variables(found, rescans)
    secrets = {f"v{number}": f"{argument(value)}\r\n".encode() for number, value in enumerate(meant)}
    lines = []
    for name in secrets:
        lines += [f"set /p V=<secrets\\{name}", "net x %V% y"]
    ran = run(wine, renderer, lines, secrets=secrets)
    assert [call.argv for call in ran.calls] == [("x", value, "y") for value in meant]


@settings(max_examples=1)
@example(HOSTILE)
@given(values)
def test_variables(wine: Windows, renderer: Renderer, found: list[str]) -> None:
    meant = [value for value in unquoted(found) if value]
    lines = []
    for value in meant:
        lines += [assigned("VMGEN_VALUE", value), "net a"]
    assert [call.variable for call in run(wine, renderer, lines).calls] == meant


@settings(max_examples=1)
@example(HOSTILE)
@given(values)
def test_comparisons(wine: Windows, renderer: Renderer, rescans: bool, found: list[str]) -> None:
    meant = [value for value in through_variables(found, rescans) if value]
    lines = []
    for value in meant:
        other = quoted(f"{value}.")
        lines += [assigned("VMGEN_VALUE", value), f'if not "%VMGEN_VALUE%"=={quoted(value)} goto failed']
        lines += [f'if "%VMGEN_VALUE%"=={other} goto failed']
    run(wine, renderer, lines)


def test_an_empty_variable_is_none(wine: Windows, renderer: Renderer) -> None:
    ran = run(wine, renderer, [assigned("VMGEN_VALUE", "a"), assigned("VMGEN_VALUE", ""), "net x"])
    assert ran.calls[0].variable is None


@settings(max_examples=1)
@example(HOSTILE + QUOTES)
@given(values)
def test_texts_of_echo(wine: Windows, renderer: Renderer, found: list[str]) -> None:
    ran = run(wine, renderer, [f"echo _{echoed(value)}_" for value in found])
    assert ran.output.splitlines() == [f"_{value}_" for value in found]
    assert ran.calls == ()


@settings(max_examples=1)
@example(HOSTILE)
@given(values)
def test_arguments_of_batch_files(wine: Windows, renderer: Renderer, found: list[str]) -> None:
    meant = [re.sub("[%^]", "+", value) or "empty" for value in unquoted(found)]
    own = b'@set "VMGEN_VALUE=%~1"\r\n@net got\r\n'
    ran = run(wine, renderer, [f'call "files\\own.bat" {called(value)}' for value in meant], files={"own.bat": own})
    assert [call.variable for call in ran.calls] == meant


def test_a_file_whose_name_is_hostile(wine: Windows, renderer: Renderer) -> None:
    name = "files\\5% & (more) ^x! 'y'.txt"
    lines = [
        f"if not exist {quoted(name)} goto failed",
        f"net a >{batch_word(name + '2')}",
        f"del /q {batch_word(name)}",
        f"if exist {quoted(name)} goto failed",
        f"if not exist {quoted(name + '2')} goto failed",
    ]
    run(wine, renderer, lines, files={name.removeprefix("files\\"): b""})


@pytest.mark.parametrize(
    "text", ["Write-Host 'é \u2019\u2019 \"a\" %PATH% 日本'\r\n", "x" * 3000], ids=["text", "long"]
)
def test_powershell_gets_the_script_that_was_meant(wine: Windows, renderer: Renderer, text: str) -> None:
    ran = run(wine, renderer, [encoded_command(text), file_command("a.ps1")])
    assert base64.b64decode(ran.calls[0].argv[-1]).decode("utf-16-le") == text
    assert ran.calls[0].argv[-2] == "-EncodedCommand"
    assert ran.calls[1].argv[-2:] == ("-File", r"C:\Windows\Temp\vmgen\files\a.ps1")
