"""Issue 8, item 15: what others wrote reaches the terminal without control, escape and direction characters."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build import events as e
from vmgen_build.build.finding import Finding
from vmgen_build.build.logfile import LogFile
from vmgen_build.build.verify import Verified
from vmgen_build.cli import common, crash, doctor
from vmgen_build.cli.jsonlines import JsonLines
from vmgen_build.cli.plain import Plain, Verbosity
from vmgen_build.cli.terminal import Terminal
from vmgen_build.cli.verify import show_verified
from vmgen_build.errors import HostError, Position, Problem, RecipeError

EVIL = "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\u202ee\x85f\u2028g\x1bPq\x1b\\h\x00i\u2066j\x7fk\u200el"
"""OSC, CSI in 7 and 8 bits, DCS, bidi controls, NEL, a line separator, NUL, DEL."""


def assert_safe(text: str) -> None:
    assert "a" in text
    assert all(char.isprintable() or char == "\n" for char in text), ascii(text)


def test_issue_8_15_results_and_messages(capsys: pytest.CaptureFixture[str]) -> None:
    common.show(f"x {EVIL}")
    common.complain(f"y {EVIL}\nz {EVIL}")
    common.show_problems([Problem(Position(EVIL, 3), EVIL, EVIL)])
    doctor._show_all([Finding(EVIL, False, EVIL, "", EVIL)], as_json=False)
    failed = e.ProbeDone(probe="p", setting=EVIL, outcome="fails", found=EVIL)
    verified = Verified(Path(EVIL.replace("\0", "")), EVIL, (failed,))
    show_verified(verified, quiet=False, brief=False)
    crash.report(OSError(13, "denied", EVIL))
    crash.report(RuntimeError(EVIL))
    out, err = capsys.readouterr()
    assert_safe(out)
    assert_safe(err)
    assert err.count("\n") == 6


def test_issue_8_15_texts_of_errors() -> None:
    problem = Problem(Position(EVIL, 1), EVIL, EVIL)
    for error in (HostError(EVIL), RecipeError([problem], [problem])):
        assert_safe(common.error_text(error))


EVENTS = (
    e.BuildStarted(recipe=EVIL, backend="lxc", steps=1, log=Path("/tmp/a\x1b[2J.log")),
    e.StepStarted(step="s", title=EVIL, id="", index=1, total=1),
    e.StepOutput(step="s", line=EVIL),
    e.StepProgress(step="s", done=1, total=2, unit="bytes", text=EVIL),
    e.StepFinished(step="s", title=EVIL, id="", index=1, total=1, outcome="built", seconds=1.0),
    e.Note(text=f"{EVIL}\n{EVIL}", level="error"),
    e.ProbeDone(probe="p", setting=EVIL, outcome="fails", found=EVIL),
)


@pytest.mark.parametrize("kind", ["plain", "terminal", "json", "log"])
def test_issue_8_15_each_display(kind: str) -> None:
    stream = io.StringIO()
    listener: Plain | JsonLines | LogFile = Plain(stream, Verbosity.VERBOSE)
    if kind == "terminal":
        listener = Terminal(stream, Verbosity.VERBOSE, False)
    elif kind == "json":
        listener = JsonLines(stream)
    elif kind == "log":
        listener = LogFile(Path("log"), stream)
    if isinstance(listener, Terminal):
        listener.activity(EVIL)
        listener.close()
    for event in EVENTS:
        listener(event)
    text = stream.getvalue()
    for foreign in ("\x1b]0", "\x07", "\x1b[2J", "\x9b", "\u202e", "\x85", "\u2028", "\x1bP", "\0", "\u2066", "\x7f"):
        assert foreign not in text
    if kind != "terminal":
        assert_safe(text)
    if kind == "json":
        assert text.isascii() and json.loads(text.splitlines()[2])["line"] == EVIL


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vmgen_build", *words], capture_output=True, text=True)


def test_issue_8_15_a_manifest_and_names_of_files(tmp_path: Path) -> None:
    artifact = tmp_path / "a\x1b]0;x\x07\u202e.tar"
    artifact.write_bytes(b"x")
    manifest = artifact.with_name("a\x1b]0;x\x07\u202e.tar.manifest.json")
    for text in (json.dumps({"format": EVIL}), json.dumps({"format": 1, EVIL: [EVIL]}), f'{{"{EVIL}'):
        manifest.write_text(text)
        ran = run("verify", "--no-boot", str(artifact))
        assert ran.returncode == 1
        assert_safe(ran.stderr)
    for words in (["check", str(tmp_path / "a\x1b[2J.ini")], ["--set\x1b[2J", "a"], ["verify", "--a\x1b]0;x\x07"]):
        ran = run(*words)
        assert ran.returncode == 2
        assert_safe(ran.stderr)
