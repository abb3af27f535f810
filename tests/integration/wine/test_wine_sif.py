"""winnt.sif and sysprep.inf as Wine's own readers find them: GetPrivateProfileString, SetupOpenInfFile."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.plan.answers.examples import KEY, OLD
from tests.wine.prefix import HERE, Windows
from vmgen_build.plan.answers import Answers, answer_files, generalise_files
from vmgen_build.plan.text.inf import INF
from vmgen_build.secret import Secret

Found = dict[tuple[str, str], str]
Read = Callable[[str], tuple[Found, Found]]


@pytest.fixture(scope="module")
def read(wine: Windows) -> Read:
    """What GetPrivateProfileString and SetupOpenInfFile find in a text: (section, key) -> value."""
    program = wine.drive / "inf.exe"
    compiler = ["x86_64-w64-mingw32-gcc", "-O1", HERE / "inf.c", "-lsetupapi", "-o", program]
    subprocess.run(compiler, check=True)

    def run(text: str) -> tuple[Found, Found]:
        (wine.drive / "x.sif").write_bytes(text.encode("ascii"))
        assert wine.start(r"C:\inf.exe C:\x.sif C:\found.txt") == 0
        found: dict[str, Found] = {"profile": {}, "setupapi": {}}
        for line in Path(wine.drive / "found.txt").read_bytes().decode("ascii").splitlines():
            reader, section, key, value = line.split("\t")
            assert (section, key) not in found[reader]
            found[reader][section, key] = value
        return found["profile"], found["setupapi"]

    return run


def setup(of: Answers) -> str:
    return answer_files(of)["winnt.sif"].reveal()


def test_both_readers_find_every_answer(read: Read) -> None:
    for text in (setup(OLD), generalise_files(replace(OLD, first_logon=()))["sysprep.inf"].reveal()):
        profile, setupapi = read(text)
        assert profile == setupapi and len(profile) == sum(" = " in line for line in text.split("\r\n"))
    profile, _ = read(setup(OLD))
    assert profile["GuiUnattended", "AdminPassword"] == "pass;word = [x]"
    assert profile["UserData", "ProductKey"] == KEY
    assert profile["RegionalSettings", "InputLocale"] == "0418:00000418"
    assert profile["GuiRunOnce", "Command0"] == r"cmd /c A:\first.cmd"


plain = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@settings(max_examples=30, deadline=None)
@given(plain.filter(lambda text: not set(text) & set('"%') and text != "*"))
def test_hostile_values_come_back_from_both(read: Read, text: str) -> None:
    of = replace(OLD, owner=text, administrator_password=Secret(text), first_logon=(text or "x",))
    for found in read(setup(of)):
        assert found["UserData", "FullName"] == text
        assert found["GuiUnattended", "AdminPassword"] == (text or "*")
        assert found["GuiRunOnce", "Command0"] == (text or "x")


@settings(max_examples=30, deadline=None)
@given(plain)
def test_the_dialect_is_that_of_setupapi(read: Read, text: str) -> None:
    """Any ASCII text, quotes and percent signs among it, though answers hold none: the other reader doubles them."""
    _, found = read(f"[A]\r\nX = {INF.quote(text)}\r\n")
    assert found["A", "X"] == text


def test_why_quotes_and_percent_signs_are_refused(read: Read) -> None:
    profile, setupapi = read(f"[A]\r\nX = {INF.quote('50%')}\r\n")
    assert (profile["A", "X"], setupapi["A", "X"]) == ("50%%", "50%")
