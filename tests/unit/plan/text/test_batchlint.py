"""The lint of batch files: it finds nothing in what is rendered, and each thing that it looks for."""

from __future__ import annotations

import pytest

from vmgen_build.plan.text.batch import BATCH
from vmgen_build.plan.text.batchlint import findings
from vmgen_build.plan.text.batchscript import CHECK, step_script
from vmgen_build.plan.text.render import Renderer

RENDERER = Renderer(None, BATCH, step_folder=r"C:\Windows\Temp\vmgen")

BODIES = {
    "empty": "",
    "one": "net start a\n",
    "many": 'set "A="\nset "B=c"\nif exist d goto e\nset /p F=<s\\f\nnet user g %F% >h 2>&1\n:e\ndel /q i\necho j\n',
    "codes": ":: accept 3010 1641 5\nmsiexec /i a.msi /qn\nif not exist b net start c\n",
    "for": 'for /f "tokens=1" %%i in (\'wmic nic ^| find "a"\') do set "B=%%i"\nif not defined B goto failed\n',
}


def rendered() -> dict[str, str]:
    """Every batch file that is looked at, by a name for the test."""
    return {name: step_script(RENDERER, name, body) for name, body in BODIES.items()}


@pytest.mark.parametrize(("name", "script"), rendered().items())
def test_nothing_is_found_in_what_is_rendered(name: str, script: str) -> None:
    assert findings(script.encode()) == [], name


SCRIPT = step_script(RENDERER, "users", "net start a\n:here\nnet start b\n")
STAMP = r"echo %~1 done>C:\Windows\Temp\vmgen\done"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("@echo off", "\ufeff@echo off", "begins with a mark of its encoding"),
        ("start a", "start caf\u00e9", "line 10: not ASCII"),
        ("start a", "start \x1a", "line 10: a control character"),
        ("start a", "start\ra", "line 10: a control character"),
        ("start a\r\n", "start a\n", "does not end with CRLF"),
        ("start a", "start " + "x" * 8190, "line 10: 8200 characters"),
        ("@echo off\r\n", "", "does not begin with the header"),
        ("DisableDelayed", "EnableDelayed", "does not begin with the header"),
        (STAMP, "echo done", "does not write its stamp once"),
        ("net start b", STAMP, "does not write its stamp once"),
        (f"{STAMP}\r\n", f"{STAMP}\r\nnet start c\r\n{CHECK}\r\n", "the stamp is not the last thing"),
        (":here", ":here\r\n:HERE", "the label here stands there 2 times"),
        (":here", "goto nowhere", "line 12: there is no label nowhere"),
        (":here", "if exist a goto nowhere", "line 12: there is no label nowhere"),
        (":failed", ":other", "there is no label failed"),
        (":here", "goto :eof", "line 12: goto :eof leaves without the stamp"),
        (":here", "net start c", "line 12: a command without its check"),
        (":here", 'if "%errorlevel%"=="0" net start c', "line 12: a command without its check"),
        (":here", "if exist a net start c", "line 12: a command without its check"),
        (
            f"net start a\r\n{CHECK}",
            "net start a\r\nif errorlevel 1 goto failed",
            "line 10: a command without its check",
        ),
        ("start a", "start a && net b", "line 10: it holds & or |"),
        ("start a", "start a || net b", "line 10: it holds & or |"),
        ("start a", "start a &", "line 10: it holds & or |"),
        ("start a", "start a ^", "line 10: a line must not go on"),
        ("start a", 'start "a', "line 10: a double quote is open"),
        ("net start a", ">a net start", "line 10: a redirection stands in front"),
        ("net start a", "net >a start", "line 10: words follow a redirection"),
        ("start a", "start %A%>b", "line 10: a variable stands directly before a redirection"),
        ("net start a", "call :here", "line 10: call of a label"),
        ("net start a", "a.cmd", "write call before it"),
        ("net start a", "if exist a (", "line 10: it opens or closes a block"),
    ],
)
def test_each_thing_is_found(old: str, new: str, what: str) -> None:
    assert old in SCRIPT
    assert [found for found in findings(SCRIPT.replace(old, new, 1).encode()) if what in found]


def test_the_sample_is_sound() -> None:
    assert findings(SCRIPT.encode()) == []
