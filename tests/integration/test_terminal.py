"""Real builds before a user at a terminal: what is seen, what a failure says, the shell where it failed, --watch."""

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

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.terminals import at_terminal
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


def running(lines: list[str], title: str) -> int:
    return next(number for number, line in enumerate(lines) if re.search(rf"^. \[\d/\d\] {title} ", line))


@pytest.mark.parametrize("size", [(80, 20), (120, 40)])
def test_a_build_is_seen_and_says_how_its_image_is_used(cache: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    script = "echo working\nsleep 2"
    with at_work(cache, size, recipe(tmp_path, script), "-o", tmp_path / "out") as shown:
        lines = shown.until_shown("script one", "    working", "steps done")
        at = running(lines, "script one")
        assert lines[at + 1] == "    working"
        assert lines[at + 2 : at + 4] == ["· clean-up", "· packing for lxc"]
        assert re.match(r"  4 of 7 steps done(, \d from the cache)?, ", lines[at + 4])
        assert re.match(r"✓ users and groups +(cached|[\d.]+ s)$", lines[at - 2])
        lines = shown.to_its_end()
    text = "".join(line if len(line) == size[0] else f"{line}\n" for line in lines)
    image = tmp_path / "out/seen-lxc-amd64.tar"
    assert f"  $ vmgen-build run {image}\n  $ vmgen-build verify {image}\n  $ mkdir -p /var/lib/lxc/seen" in text
    assert re.search(r"  sha256 [0-9a-f]{64}  seen-lxc-amd64.tar\n", text)
    assert "✓ packing for lxc" in text and "· " not in text and "steps done" not in text
    assert_nothing_left(cache, tmp_path)


def test_a_failure_says_the_line_what_to_do_and_where_the_next_build_begins(
    vmgen: Run, cache: Path, tmp_path: Path
) -> None:
    path = recipe(tmp_path, "echo begun\nnosuchprogram $(hostname)\necho never")
    done = vmgen(path, "-o", tmp_path / "out", env=PASSWORD)
    assert done.returncode == 1
    assert f"line 3 of its script ({path}:14): nosuchprogram $(hostname)\n" in done.stderr
    assert "what to do: the program 'nosuchprogram' is not in the image" in done.stderr
    assert "the same command begins at step 5 of 7: what comes before is in the cache" in done.stderr
    assert not re.search(r"(?m)^(?!\d\d:\d\d:\d\d )\[", done.stderr), "each line of a step has its time"
    again = vmgen(path, "-o", tmp_path / "out", env=PASSWORD | {"GITHUB_ACTIONS": "true"})
    assert re.findall(r"\[(\d)/7\] .*: cached", again.stderr) == ["1", "2", "3", "4"]
    assert "::group::[5/7] script one\n" in again.stderr and f"::error file={path},line=14::" in again.stderr
    quiet = vmgen(recipe(tmp_path, "false"), "-o", tmp_path / "out", env=PASSWORD)
    assert "its shell named no line; 'set -x' at the top of the script" in quiet.stderr
    assert PASSWORD["SEEN_PASSWORD"] not in done.stderr + again.stderr + quiet.stderr
    assert_nothing_left(cache, tmp_path)


def test_a_failed_step_opens_a_shell_under_the_live_view(cache: Path, tmp_path: Path) -> None:
    """The terminal is a controlling one, as a user's is: by that lxc-execute reaches it."""
    words = [
        "setsid",
        "--ctty",
        "--wait",
        sys.executable,
        "-m",
        "vmgen_build",
        recipe(tmp_path, "echo half > /srv/half\nexit 3"),
    ]
    words += ["-o", tmp_path / "out", "--on-error", "shell"]
    with at_terminal(words, PASSWORD | {"VMGEN_CACHE": str(cache), "TERM": "xterm"}) as user:
        user.read_until("this shell is where it failed")
        user.type("")
        user.read_until("#")
        user.type("echo $((40 + 2)) $(id -u) $(cat /srv/half) $TERM; tty")
        user.read_until("42 0 half")
        user.type("exit")
        text = user.read_until("is in the cache")
        assert "step 'script-one' failed with exit code 3" in text
        assert user.process.wait(120) == 1
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
