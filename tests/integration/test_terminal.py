"""Real builds before a user at a terminal: Ctrl-C, --watch, failures. More of it: test_stories.py."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.leftovers import assert_nothing_left
from tests.screens import Window, window

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = seen
os = debian-12
[users]
[[users]]
[[[user0]]]
name = ana
passwd = env:SEEN_PASSWORD
[config]
[[scripts]]
[[[one]]]
run = '''
{script}
'''
"""

PASSWORD = {"SEEN_PASSWORD": "canary-4711"}


def recipe(folder: Path, script: str) -> Path:
    """Its script is in no cache, whoever ran this test before."""
    path = folder / "seen.ini"
    path.write_text(RECIPE.format(script=f"{script}\n# {uuid.uuid4()}"))
    return path


@contextmanager
def at_work(cache: Path, size: tuple[int, int], *words: object) -> Iterator[Window]:
    """size: columns and lines."""
    command = [sys.executable, "-m", "vmgen_build", *map(str, words), "--compression", "none"]
    with window(command, *size, PASSWORD | {"VMGEN_CACHE": str(cache)}) as shown:
        yield shown


def test_a_script_whose_shell_names_no_line(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    done = vmgen(recipe(tmp_path, "false"), "-o", tmp_path / "out", env=PASSWORD)
    assert done.returncode == 1
    assert "its shell named no line; 'set -x' at the top of the script" in done.stderr
    assert not re.search(r"(?m)^(?!\d\d:\d\d:\d\d )\[", done.stderr), "each line of a step has its time"
    again = vmgen(tmp_path / "seen.ini", "-o", tmp_path / "out", env=PASSWORD | {"GITHUB_ACTIONS": "true"})
    assert "::group::[5/7] script one\n" in again.stderr
    assert f"::error file={tmp_path / 'seen.ini'},line=12,col=7::" in again.stderr
    assert PASSWORD["SEEN_PASSWORD"] not in done.stderr + again.stderr
    assert_nothing_left(cache, tmp_path)


def test_ctrl_c_leaves_the_terminal_as_it_was(cache: Path, tmp_path: Path) -> None:
    with at_work(cache, (80, 20), recipe(tmp_path, "echo working; sleep 600"), "-o", tmp_path / "out") as shown:
        shown.until_shown("    working")
        os.kill(shown.process.pid, signal.SIGINT)
        lines = shown.to_its_end(130)
    assert "interrupted; what was begun is undone" in lines
    assert not shown.screen.cursor.hidden and not any("steps done" in line for line in lines)
    assert_nothing_left(cache, tmp_path)


def test_watch_builds_again_and_outlives_mistakes(cache: Path, tmp_path: Path) -> None:
    """The password of the environment is there each time."""
    path = recipe(tmp_path, "true")
    good = path.read_text()
    image = tmp_path / "out/seen-lxc-amd64.tar"
    with at_work(cache, (100, 60), path, "-o", tmp_path / "out", "--watch") as shown:
        shown.until_shown("waiting for a change of")
        first = image.stat().st_ino
        path.write_text(good.replace("env:SEEN", "env:NOT_SEEN"))
        shown.until_shown("changed: ", "NOT_SEEN_PASSWORD")
        path.write_text(good.replace("true", "touch /srv/more"))
        while image.stat().st_ino == first:
            assert shown.read()
        shown.screen.reset()
        shown.until_shown("waiting for a change of")
        os.kill(shown.process.pid, signal.SIGINT)
        shown.to_its_end()
    assert_nothing_left(cache, tmp_path)
