"""A step's batch file: every command is checked, the first that fails ends it, and a stamp is its only success."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vmgen_build.plan.text.batch import LONGEST_LINE
from vmgen_build.plan.text.batchlines import Line, lines_of
from vmgen_build.plan.text.quote import Trusted, shown
from vmgen_build.plan.text.render import Renderer

CHECK = 'if not "%errorlevel%"=="0" goto failed'
RESET = "cmd /d /c exit 0"
"""Makes the code of the last command 0."""

RESTARTS = (3010, 1641)
"""Codes of success that ask for a restart: ERROR_SUCCESS_REBOOT_REQUIRED, ERROR_SUCCESS_REBOOT_INITIATED."""

_ACCEPT = re.compile(r"\s*::\s*accept((?:\s+-?\d+)+)\s*")


def checked(body: str) -> str:
    """Lines of a batch file, each command with its check after it and its number before it, with CRLF.

    A comment `:: accept 3010 1641` makes these codes of the command below it count as success. `set "NAME=value"` is no
    command, nor are echo, goto, exit and setlocal; an `if` is checked for the command that it runs. Some failures give
    no code, and are seen by what they leave: what del and rd remove must be gone, a file that is read or written must
    be there, and `set /p` must have given its variable a value. Raises ValueError for a line whose failure could not be
    seen.
    """
    lines = lines_of(body.removesuffix("\n").removesuffix("\r"))
    found: list[str] = []
    number = 0
    accepted: tuple[int, ...] = ()
    for count, line in enumerate(lines, start=1):
        problem = line.problem() or _misplaced(line, bool(accepted))
        if problem:
            raise ValueError(f"line {count} of a batch script, {shown(line.title)}: {problem}")
        if line.kind == "command" and (line.fails or line.first in ("if", "for")):
            number += 1
            found.append(f'set "VMGEN_AT={number} ({line.title})"')
        found += [*_before(line), line.text, *_after(line, accepted)]
        accepted = _accepted(line)
    if accepted:
        raise ValueError("a batch script ends with a comment that accepts codes of no command; remove it")
    return "\r\n".join(found)


def step_script(renderer: Renderer, name: str, body: str) -> str:
    """The whole batch file of a step, from the lines that do its work.

    It is started with the build's nonce, and writes it to the file `done` in its folder when all has succeeded. It
    ends with 0, with 3010 where a restart is due, or with the code of the command that failed. Raises ValueError for
    what is no batch script.
    """
    return whole_script(renderer, "windows/step.bat.j2", f"step {name}", body=Trusted(checked(body)), name=name)


def whole_script(renderer: Renderer, template: str | Sequence[str], title: str, /, **values: object) -> str:
    """A batch file from a template that is all of it. Raises ValueError, with the title, for what cmd.exe does not
    read."""
    text = renderer.render(template, **values)
    for number, line in enumerate(text.split("\r\n"), start=1):
        if len(line) > LONGEST_LINE:
            what = f"line {number} of {title} has {len(line)} characters"
            raise ValueError(f"{what}, and cmd.exe reads {LONGEST_LINE}; shorten its values or split them")
        if not line.isascii():
            raise ValueError(f"line {number} of {title} is not ASCII: {shown(line)}; write it in ASCII letters")
    return text


def _before(line: Line) -> Iterator[str]:
    if line.kind == "command" and line.cleared and line.first == "set":
        yield _there(line.cleared)
    if not line.fails:
        return
    for name in line.files("<"):
        yield f"if not exist {name} goto failed"
    if line.asked:
        yield _there(line.asked)
        yield f'set "{line.asked}="'


def _there(variable: str) -> str:
    """The line that makes a variable be there: then it can be taken away without a code."""
    return f'set "{variable}=-"'


def _after(line: Line, accepted: tuple[int, ...]) -> Iterator[str]:
    if line.kind != "command":
        return
    if line.cleared and line.first != "set":
        yield RESET
    if not line.fails:
        return
    for code in accepted:
        if code in RESTARTS:
            yield f'if "%errorlevel%"=="{code}" set "VMGEN_RESTART=1"'
        yield f'if "%errorlevel%"=="{code}" {RESET}'
    yield CHECK
    for word in line.removed:
        yield f"if exist {word} goto failed"
    for name in line.files(">"):
        yield f"if not exist {name} goto failed"
    if line.asked:
        yield f"if not defined {line.asked} goto failed"


def _accepted(line: Line) -> tuple[int, ...]:
    match = _ACCEPT.fullmatch(line.text)
    return tuple(int(code) for code in match[1].split()) if match else ()


def _misplaced(line: Line, accepts: bool) -> str:
    if accepts and not line.fails:
        return "codes are accepted of a line that is no command; move the comment"
    if line.kind == "comment" and re.match(r"\s*::\s*accept\b", line.text) and not _accepted(line):
        return "a comment that accepts no codes; name them, or remove it"
    if line.kind == "label" and line.label == "failed":
        return "the label failed is the frame's; take another name"
    return ""
