"""Each exit code that docs/messages.md lists, of the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.codes import EXIT_CODES, exit_table

PAGE = Path(__file__).resolve().parents[3] / "docs/messages.md"
TOOL = (sys.executable, "-m", "vmgen_build")

WORDS = {0: ("check", "good.ini"), 1: ("verify", "--no-boot", "none.tar"), 2: ("check", "bad.ini")}
SIGNALS = {129: "SIGHUP", 130: "SIGINT", 143: "SIGTERM"}
BROKEN_PIPE = 141


def test_all_are_tried() -> None:
    assert EXIT_CODES.keys() == {*WORDS, *SIGNALS, BROKEN_PIPE}
    _, _, rest = PAGE.read_text().partition("<!-- exit codes -->\n")
    shown = rest.partition("\n<!-- end of exit codes -->")[0]
    assert shown == exit_table(), "write what codes.exit_table() gives into docs/messages.md"


@pytest.mark.parametrize("code", WORDS)
def test_what_a_command_ends_with(tmp_path: Path, code: int) -> None:
    (tmp_path / "good.ini").write_text("[hardware]\nvm_id = lab\nos = debian-12\n")
    (tmp_path / "bad.ini").write_text("[hardware]\nvm_id = lab\n")
    path = {"PYTHONPATH": str(PAGE.parents[1])}
    words = [*TOOL, *WORDS[code]]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, **path})
    assert ran.returncode == code, ran.stderr


@pytest.mark.parametrize("code", SIGNALS)
def test_a_signal_ends_it_once_all_is_undone(code: int) -> None:
    """Within a command, which sends it to itself."""
    script = (
        "import os, signal, sys, time, click\n"
        "from vmgen_build.cli import main\n"
        "@click.command('check')\n"
        "def command():\n"
        "    try:\n"
        f"        os.kill(os.getpid(), signal.{SIGNALS[code]})\n"
        "        time.sleep(10)\n"
        "    finally:\n"
        "        print('undone')\n"
        "main.Door.get_command = lambda *_: command\n"
        "sys.exit(main.run(['check']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (code, "undone\n")


def test_a_reader_that_went_away() -> None:
    end, pipe = os.pipe()
    os.close(end)
    try:
        ran = subprocess.run([*TOOL, "options"], stdout=pipe, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(pipe)
    assert (ran.returncode, ran.stderr) == (BROKEN_PIPE, "")
