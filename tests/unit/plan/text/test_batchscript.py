"""A step's batch file: which lines are checked, what is refused, and the frame. That it runs so: integration/wine."""

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.batchlines import Line
from vmgen_build.plan.text.batchscript import CHECK, RESET, checked, step_script
from vmgen_build.plan.text.render import Renderer

RENDERER = Renderer(None, BATCH, step_folder=r"C:\Windows\Temp\vmgen")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "rem net user",
        ":: net user",
        ":label",
        'set "A=b"',
        "goto label",
        "exit /b 3",
        "setlocal",
        "echo net user",
        "echo.",
        "@echo a",
    ],
)
def test_a_line_that_is_no_command_has_no_check(line: str) -> None:
    assert checked(f"{line}\n") == line


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("net localgroup Users", "net localgroup"),
        ("@net user", "net user"),
        ("netsh interface ip set", "netsh interface"),
        (r'"C:\Program Files\x.exe" "secret"', "x.exe"),
        (r'"C:\Program Files\x y.exe" start', "a program start"),
        (r"C:\x\Y.exe /quiet", "y.exe /quiet"),
        ("net 7 x", "net"),
        ("net %PASSWORD%", "net"),
        ('net "a b"', "net"),
        ("echo a b>nul", "echo a"),
        ('call "x y.bat" b', "call"),
        ("if exist a net start b", "if net start"),
        ('if not "%A%"=="b c" sc start', "if sc start"),
        ("if /i %A% equ b sc stop", "if sc stop"),
        ("if a == b sc stop", "if sc stop"),
        ("if a ==b sc stop", "if sc stop"),
    ],
)
def test_a_command_is_named_and_checked(line: str, title: str) -> None:
    assert checked(line).split("\r\n") == [f'set "VMGEN_AT=1 ({title})"', line, CHECK]


def test_lines_of_either_kind_are_numbered_and_end_with_crlf() -> None:
    assert checked("net start a\r\n\r\nsc stop b\n") == "\r\n".join(
        ['set "VMGEN_AT=1 (net start)"', "net start a", CHECK, "", 'set "VMGEN_AT=2 (sc stop)"', "sc stop b", CHECK]
    )


def test_an_if_that_runs_no_program_is_only_named() -> None:
    assert (
        checked("if not defined A goto failed") == 'set "VMGEN_AT=1 (if goto failed)"\r\nif not defined A goto failed'
    )
    line = """for /f "tokens=1" %%i in ('wmic nic ^| find "x"') do set "A=%%i\""""
    assert checked(line).split("\r\n") == ['set "VMGEN_AT=1 (for set)"', line]


def test_codes_that_count_as_success() -> None:
    assert checked(":: accept 3010 -5\nsetup /s").split("\r\n") == [
        ":: accept 3010 -5",
        'set "VMGEN_AT=1 (setup /s)"',
        "setup /s",
        'if "%errorlevel%"=="3010" set "VMGEN_RESTART=1"',
        f'if "%errorlevel%"=="3010" {RESET}',
        f'if "%errorlevel%"=="-5" {RESET}',
        CHECK,
    ]


def test_what_is_removed_must_be_gone() -> None:
    lines = checked('rd /s /q "a b" c 2>nul').split("\r\n")
    assert lines[2:] == [CHECK, 'if exist "a b" goto failed', "if exist c goto failed"]


def test_files_of_a_line_must_be_there() -> None:
    assert checked('net a >"b c" 2>&1 <d').split("\r\n")[1:] == [
        "if not exist d goto failed",
        'net a >"b c" 2>&1 <d',
        CHECK,
        'if not exist "b c" goto failed',
    ]


def test_a_variable_that_is_asked_for_must_come() -> None:
    assert checked("set /p PW=<secrets\\pw").split("\r\n") == [
        'set "VMGEN_AT=1 (set /p)"',
        "if not exist secrets\\pw goto failed",
        'set "PW=-"',
        'set "PW="',
        "set /p PW=<secrets\\pw",
        CHECK,
        "if not defined PW goto failed",
    ]


def test_a_variable_that_is_taken_away_leaves_no_code() -> None:
    assert checked('set "A="').split("\r\n") == ['set "A=-"', 'set "A="']
    line = 'if exist b set "A="'
    assert checked(line).split("\r\n") == ['set "VMGEN_AT=1 (if set)"', line, RESET]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("net a ^", "must not go on"),
        ('net "a', "a double quote is open"),
        ("net a && b", "runs a second command"),
        ("net a || b", "runs a second command"),
        ("net a & b", "runs a second command"),
        ("net a | find b", "runs a second command"),
        ("if exist a (", "opens or closes a block"),
        (")", "opens or closes a block"),
        ("(net a)", "opens or closes a block"),
        ("for %%i in (a) do (", "opens or closes a block"),
        (">file net a", "a redirection stands in front"),
        ("2>nul net a", "a redirection stands in front"),
        ("net >file a", "words follow a redirection"),
        ("if exist a", "without a command"),
        ("for %%i in (a)", "without a command"),
        ("call :sub", "call of a label"),
        ("x.bat", "write call before it"),
        ('"C:\\a b\\x.CMD" a', "write call before it"),
        ("if exist x x.cmd", "write call before it"),
        ("del a", "add /q"),
        ("rd /s a", "add /q"),
        ("set /p A=", "write set /p NAME=<FILE"),
        ("set /p", "write set /p NAME=<FILE"),
        ("set A=b", 'write set "NAME=value"'),
        ("set", 'write set "NAME=value"'),
        ("for %%i in (a b) do net start %%i", "only the last turn's failure"),
        (":failed", "the label failed is the frame's"),
        (":: accept", "accepts no codes"),
        (":: accept 3010\nnet a\n:: accept 5", "accepts codes of no command"),
        (":: accept 3010\necho a", "a line that is no command"),
    ],
)
def test_what_cannot_be_checked_is_refused(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"of a batch script|a batch script ends") as caught:
        checked(line)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('a "b & c" & d', 'a "xxxxx" & d'),
        ("a ^& ^^ &", "a xx xx &".replace("xx", "^x")),
        ('^"a & b^"', "^xa & b^x"),
        ('"a^" & b', '"xx" & b'),
    ],
)
def test_what_is_bare_of_a_line(text: str, bare: str) -> None:
    assert Line(text).bare == bare


def test_redirections_of_streams_and_brackets_in_text_pass() -> None:
    checked("echo a (")
    checked("net a >nul 2>&1")
    checked('net "a>b" c>"d e" 2>&1 <nul')


def test_the_frame() -> None:
    lines = step_script(RENDERER, "users", "net user a\n").split("\r\n")
    assert lines[:2] == ["@echo off", "setlocal EnableExtensions DisableDelayedExpansion"]
    assert lines[-1] == ""
    stamp = lines.index(r"echo %~1 done>C:\Windows\Temp\vmgen\done")
    assert lines[stamp + 1 : stamp + 3] == ["exit /b %VMGEN_CODE%", ":failed"]
    assert all("\n" not in line and "\r" not in line for line in lines)


@pytest.mark.parametrize(
    ("body", "why"),
    [("net " + "x" * 8188, r"has 8192 characters, and cmd.exe reads 8191"), ("net caf\u00e9", "is not ASCII")],
)
def test_a_line_that_cmd_cannot_read_is_refused(body: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        step_script(RENDERER, "users", body)


def test_a_name_of_a_step_is_data() -> None:
    assert "step a ^& b^>c 5%%: command" in step_script(RENDERER, "a & b>c 5%", "")
    with pytest.raises(RecipeError, match="is not ASCII"):
        step_script(RENDERER, "caf\u00e9", "")
