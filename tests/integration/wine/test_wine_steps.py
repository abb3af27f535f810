"""Batch files of steps under Wine: what stops one, what it reports, and its stamp."""

from __future__ import annotations

import pytest

from tests.wine.prefix import NONCE, Call, Ran, Rule, Windows
from vmgen_build.plan.text.batchscript import step_script
from vmgen_build.plan.text.render import Renderer


def run(wine: Windows, renderer: Renderer, body: str, **more: object) -> Ran:
    return wine.run_step(step_script(renderer, "users", body).encode(), **more)  # type: ignore[arg-type]


def test_a_step_that_succeeds_leaves_a_stamp_with_the_nonce(wine: Windows, renderer: Renderer) -> None:
    ran = run(wine, renderer, "echo it works\nnet user ana /add\ncd\n")
    assert (ran.code, ran.stamp) == (0, f"{NONCE} done")
    assert ran.succeeded
    assert ran.output.lower().splitlines() == ["it works", r"c:\windows\temp\vmgen"]
    assert ran.calls == (Call("net", ("user", "ana", "/add"), "net user ana /add"),)


@pytest.mark.parametrize("code", [1, 7, 255, 256, 3010, -1, -1073741819])
def test_the_first_command_that_fails_ends_the_step(wine: Windows, renderer: Renderer, code: int) -> None:
    body = "echo a\nnet start a\nnet localgroup Users ana /add\nnet start b\n"
    ran = run(wine, renderer, body, rules=[Rule("net", "localgroup", code)])
    assert (ran.code, ran.stamp) == (code, None)
    assert [call.argv[0] for call in ran.calls] == ["start", "localgroup"]
    assert ran.output.splitlines()[-1] == (
        f"vmgen-build: step users: command 2 (net localgroup) ended with code {code}"
    )


@pytest.mark.parametrize(
    "line",
    [
        "nosuchprogram a",
        "cd nosuchfolder",
        "set /p A=<nosuchfile",
        "set /p A=<empty.txt",
        "copy nosuchfile other",
        "mkdir nul\\a:b",
        "reg query HKEY_LOCAL_MACHINE\\SOFTWARE\\NoSuchKey",
        "reg import nosuchfile.reg",
        "call nosuchfile.bat",
        "echo a b>C:\\nosuchfolder\\file",
        "del /q files\\stays",
        "rd /q files\\stays",
        "net a <nosuchfile",
        "net a >C:\\nosuchfolder\\file",
        "if exist script.bat nosuchprogram",
        "if not defined NOTHING goto failed",
    ],
)
def test_so_do_commands_of_the_parser_itself(wine: Windows, renderer: Renderer, line: str) -> None:
    ran = run(wine, renderer, f"{line}\nnet start b\n", files={"stays/x": b"", "../empty.txt": b""})
    assert ran.code != 0
    assert (ran.stamp, ran.calls) == (None, ())
    assert "vmgen-build: step users: command 1 (" in ran.output


@pytest.mark.parametrize(("code", "end"), [(0, 0), (3010, 3010), (1641, 3010), (1605, 0)])
def test_accepted_codes(wine: Windows, renderer: Renderer, code: int, end: int) -> None:
    body = ":: accept 3010 1641 1605\nmsiexec /i x.msi\nnet start b\n"
    ran = run(wine, renderer, body, rules=[Rule("msiexec", code=code)])
    assert (ran.code, ran.stamp, len(ran.calls)) == (end, f"{NONCE} done", 2)


def test_a_code_that_is_accepted_of_one_command_is_not_of_the_next(wine: Windows, renderer: Renderer) -> None:
    ran = run(wine, renderer, ":: accept 3010\nmsiexec /i x\nnet start b\n", rules=[Rule("net", code=3010)])
    assert (ran.code, ran.stamp) == (3010, None)


def test_a_script_that_is_cut_anywhere_leaves_no_stamp_before_its_last_line(wine: Windows, renderer: Renderer) -> None:
    script = step_script(renderer, "users", "net start a\nnet start b\n").encode()
    stamp = script.index(b"echo %~1 done")
    for length in (*range(60, stamp, 101), stamp, stamp + 20):
        assert wine.run_step(script[:length]).stamp is None, script[:length]


def test_a_variable_of_the_surroundings_hides_no_code(wine: Windows, renderer: Renderer) -> None:
    script = step_script(renderer, "users", "net start a\n").encode()
    ran = wine.run_step(b'set "ERRORLEVEL=0"\r\n' + script, rules=[Rule("net", code=5)])
    assert (ran.code, ran.stamp) == (5, None)


def test_batch_files_of_others_are_called_and_come_back(wine: Windows, renderer: Renderer) -> None:
    body = 'call "files\\own.bat" "a b"\nnet stop b\n'
    own = b"@net start %1\r\n@exit /b %2\r\n"
    ran = run(wine, renderer, body, files={"own.bat": own})
    assert [call.argv for call in ran.calls] == [("start", "a b"), ("stop", "b")]


def test_output_of_a_program_becomes_a_variable(wine: Windows, renderer: Renderer) -> None:
    body = """for /f "tokens=2 delims==" %%i in ('wmic nic get Index /value') do set "INDEX=%%i"
if not defined INDEX goto failed
netsh interface ip set address %INDEX%
"""
    ran = run(wine, renderer, body, rules=[Rule("wmic", "Index", output="\nIndex=7\n")])
    assert ran.calls[-1].argv == ("interface", "ip", "set", "address", "7")
    assert run(wine, renderer, body).code == 1


def test_a_stub_can_take_the_place_of_a_program_that_wine_has(wine: Windows, renderer: Renderer) -> None:
    body = "reg query HKEY_LOCAL_MACHINE\\SOFTWARE\\NoSuchKey\n"
    ran = run(wine, renderer, body, rules=[Rule("reg", path=r"C:\made.txt", text="a\n")], stubs=["reg"])
    assert ran.succeeded and ran.calls[0].program == "reg"
    assert wine.path(r"c:\MADE.txt").read_text() == "a\n"
