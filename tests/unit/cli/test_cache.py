"""Issue 8, items 5 and 13: commands refuse a folder that may not serve as a cache, before they do anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.cli import main
from vmgen_build.store.cachedir import claim_cache, is_ours

RECIPE = "[hardware]\nvm_id = lab\nos = debian-12\n"
COMMANDS = [
    ["r.ini", "-o", "out"],
    ["compile", "r.ini", "--offline", "-o", "out"],
    ["verify", "x.tar"],
    ["cache", "ls"],
    ["cache", "prune", "--all"],
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, and work of the user's own where a cache has its scratch folders and downloads."""
    monkeypatch.chdir(tmp_path)
    Path("r.ini").write_text(RECIPE)
    for name in ("tmp/work", "tmp/1-0123abcd", "downloads/taxes", "kept/lab-x-1-0123abcd"):
        Path(name).mkdir(parents=True)
        os.utime(name, (0, 0))
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS)
def test_issue_8_5_the_folder_of_a_project_is_no_cache(
    project: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(project.rglob("*"))
    assert main.run([*words, "--cache", "."]) == 1
    assert f"{project} is not empty and no cache of vmgen-build" in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("words", COMMANDS)
def test_issue_8_13_a_cache_that_others_can_write_is_refused(
    project: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    claim_cache(project / "cache")
    (project / "cache").chmod(0o777)
    assert main.run([*words, "--cache", "cache"]) == 1
    assert f"the cache {project / 'cache'} could be changed by others" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--cache", "cache", "--shared-cache"], ["--shared-cache", "--cache", "cache"]])
def test_issue_8_13_shared_cache_takes_it(project: Path, flags: list[str]) -> None:
    claim_cache(project / "cache")
    (project / "cache").chmod(0o777)
    assert main.run(["cache", "ls", *flags]) == 0
    assert is_ours(project / "cache")
