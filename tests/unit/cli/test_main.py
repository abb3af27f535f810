"""The command as users meet it: words, exit codes, and what start-up loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vmgen_build import __version__
from vmgen_build.cli import common, crash, main
from vmgen_build.errors import UsageError


def tool(*words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vmgen_build", *words],
        capture_output=True,
        text=True,
        env=os.environ | (env or {}),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def test_help_teaches() -> None:
    ran = tool("--help")
    assert ran.returncode == 0
    for words in ("Usage: vmgen-build [build] [OPTIONS] RECIPE...", "--dry-run", "Examples:", "Exit codes:", "doctor"):
        assert words in ran.stdout
    assert "--on-error" not in ran.stdout and "--on-error" in tool("build", "--help").stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from vmgen_build.cli.main import run; code = run(['--help']);"
        "heavy = {'rich', 'httpx', 'jinja2', 'asyncio'} & set(sys.modules);"
        "own = sorted(m for m in sys.modules if m.startswith('vmgen_build.') and not m.startswith('vmgen_build.cli'));"
        "print(code, sorted(heavy), own, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    light = ["errors", "host", "host.environment", "host.programs", "host.stops", "host.system", "secret", "text"]
    assert ran.stderr == f"0 [] {[f'vmgen_build.{name}' for name in light]}\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    ran = tool(name, "--help")
    assert ran.returncode == 0
    assert ran.stdout.startswith(f"Usage: vmgen-build {name} ")


def test_version() -> None:
    assert tool("--version").stdout == f"vmgen-build, version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Usage: vmgen-build"),
        (("--no-such-option", "lab.ini"), "No such option"),
        (("build",), "Missing argument 'RECIPE...'"),
        (("chek", "lab.ini"), "error: 'chek' is neither a recipe nor a command; did you mean 'check'?"),
        (("lab.ini", "--compression", "rar"), "error: --compression rar: unknown method 'rar'; take one of zstd"),
        (("lab.ini", "--compression", "zstd:99"), "error: --compression zstd:99: zstd takes a level from 1 to 19"),
        (("lab.ini", "--compression", "none:1"), "error: --compression none:1: none takes no level"),
        (("lab.ini", "--on-error", "panic"), "'panic' is not one of 'clean', 'keep', 'shell'"),
        (("lab.ini", "-b", "lcx"), "did you mean 'lxc'?"),
        (("cache", "prune"), "error: cache prune: say what may go: --keep 20G, --older 30d or --all"),
        (("cache", "prune", "--all", "--keep", "1G"), "error: cache prune: --all leaves nothing"),
        (("cache", "prune", "--keep", "much"), "error: 'much' is no size; write it as 500M or 20G"),
        (("cache", "prune", "--older", "30"), "error: '30' is no age; write it as 12h, 30d or 2w"),
        (("programs", "--os", "beos-5"), "error: --os beos-5: "),
        (("programs", "no-such-program"), "error: no program of debian-12 is like 'no-such-program'"),
        (("options", "no.such.option"), "error: no option is like 'no.such.option'"),
    ],
)
def test_mistakes_on_the_command_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    ran = tool(*words, cwd=tmp_path)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_pipe_that_closes_early_is_no_news() -> None:
    command = f"{sys.executable} -m vmgen_build options | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ran.stderr == ""
    assert ran.stdout.strip() in ("0", str(main.BROKEN_PIPE))


def failing(error: BaseException) -> click.Command:
    @click.command("check")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("wrong"), 2, "error: wrong\n"),
        (KeyboardInterrupt(), 130, "interrupted; what was begun is undone\n"),
        (main.Terminated(signal.SIGTERM), 143, ""),
        (OSError(28, "No space left on device", "/big"), 1, "error: no space left on the disk while writing /big; "),
        (PermissionError(13, "Permission denied", "/x"), 1, "error: /x: Permission denied; "),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main.Door, "get_command", lambda *_: failing(error))
    assert main.run(["check"]) == code
    assert capsys.readouterr().err.startswith(message)


def test_a_bug_is_one_line_and_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert crash.report(ZeroDivisionError("one\ntwo \x1b[31mlines")) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: unexpected: two lines"
    path = Path(second.removeprefix("This is a bug in vmgen-build: please report it, with "))
    assert "ZeroDivisionError" in path.read_text()


def test_the_traceback_shows_for_developers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMGEN_DEBUG", "1")
    assert crash.report(ZeroDivisionError("zero")) == 1
    assert "ZeroDivisionError: zero" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [("SIGTERM", "SIGTERM", 143), ("SIGINT", "SIGINT", 130), ("SIGINT", "SIGTERM", 130), ("SIGTERM", "SIGINT", 143)],
)
def test_the_first_signal_reaches_the_work_as_an_interrupt_and_the_second_one_cuts_no_undoing_short(
    first: str, second: str, code: int
) -> None:
    """Found by the campaign of issue 8."""
    script = (
        "import os, signal, sys, time\n"
        "from vmgen_build.cli import main\n"
        "import click\n"
        "@click.command('check')\n"
        "def command():\n"
        "    try:\n"
        f"        os.kill(os.getpid(), signal.{first})\n"
        "        time.sleep(10)\n"
        "    finally:\n"
        f"        os.kill(os.getpid(), signal.{second})\n"
        "        print('undone')\n"
        "main.Door.get_command = lambda *_: command\n"
        "sys.exit(main.run(['check']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (code, "undone\n")


@pytest.mark.parametrize(
    ("text", "number"), [("20G", 20 * 1024**3), ("1.5k", 1536), ("0", 0), ("7 MiB", 7 * 1024**2), ("2TB", 2 * 1024**4)]
)
def test_sizes(text: str, number: int) -> None:
    assert common.parse_bytes(text) == number


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2592000), ("0.5h", 1800), ("2w", 1209600), ("45m", 2700)])
def test_ages(text: str, seconds: float) -> None:
    assert common.parse_age(text) == seconds


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkout = Path(common.__file__).parents[2]
    assert common.default_cache() == checkout / "cache"
    monkeypatch.setattr(common, "__file__", str(tmp_path / "site-packages/vmgen_build/cli/common.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert common.default_cache() == tmp_path / "vmgen-build"
    monkeypatch.setenv("VMGEN_CACHE", "/elsewhere")
    assert common.default_cache() == Path("/elsewhere")


def test_a_cache_is_named_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounts, which are made from elsewhere, need the whole path."""
    named: list[Path] = []
    command = click.Command("x", params=[], callback=lambda cache: named.append(cache))
    common.cache_option(command)
    monkeypatch.chdir(tmp_path)
    command.main(["--cache", "own"], standalone_mode=False)
    assert named == [tmp_path / "own"]


def test_issue_8_ctrl_c_before_all_is_imported_ends_it_quietly(tmp_path: Path) -> None:
    """The first module that is imported from elsewhere is one that interrupts."""
    (tmp_path / "click.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(5)\n"
    )
    ran = tool("doctor", env={"PYTHONPATH": str(tmp_path)})
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")
