"""Wrong recipes, and the exact text that a user sees for each: wrong/NAME.ini, wrong/NAME.txt.

The texts are written anew by `VMGEN_WRITE_WRONG=1 pytest tests/unit/cli/test_wrong.py`: read each that changes as one
would who has never seen the tool. A recipe whose first line is `# check OPTIONS` is checked with these options.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vmgen_build.cli import main

FOLDER = Path(__file__).with_name("wrong")
RECIPES = sorted(FOLDER.glob("*.ini"))
FEWEST = 60
CANARY = "hunter2"
"""Stands in these recipes for every password."""


def options(recipe: Path) -> list[str]:
    first = recipe.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# check ").split() if first.startswith("# check ") else []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy: what the recipes name lies in its folder beside/."""
    shutil.copytree(FOLDER / "beside", tmp_path / "beside")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_what_a_user_sees(recipe: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(recipe, folder)
    (folder / recipe.name).chmod(0o600)
    code = main.run(["check", *options(recipe), recipe.name])
    shown = capsys.readouterr()
    found = f"{shown.err}{shown.out}exit code {code}\n"
    known = recipe.with_suffix(".txt")
    if os.environ.get("VMGEN_WRITE_WRONG"):
        known.write_text(found, encoding="utf-8")
    assert found == known.read_text(encoding="utf-8")
    assert CANARY not in found
    assert all(char.isprintable() or char == "\n" for char in found)


def test_there_are_enough_and_none_is_left_over() -> None:
    assert len(RECIPES) >= FEWEST
    assert {path.stem for path in FOLDER.glob("*.txt")} == {recipe.stem for recipe in RECIPES}
