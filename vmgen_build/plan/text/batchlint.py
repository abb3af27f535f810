"""What is wrong with a rendered batch file, found without running it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from vmgen_build.plan.text.batch import LONGEST_LINE
from vmgen_build.plan.text.batchlines import Line
from vmgen_build.plan.text.batchscript import CHECK, RESET

_HEADER = ("@echo off", "setlocal EnableExtensions DisableDelayedExpansion")
_STAMP = re.compile(r"echo %~1 done>\S+\\done")
_AFTER = re.compile(rf'if "%errorlevel%"=="-?\d+" (?:{RESET}|set "VMGEN_RESTART=1")')
_GOTO = re.compile(r"(?:goto\s+:?|call\s+:)([^\s,;=&|<>:+]+)", re.I)
_OF_THE_FRAME = "failed"


def findings(script: bytes, *, stamped: bool = True) -> list[str]:
    """Each as "line 3: what"; none for a script that is as step_script makes it. stamped: whether it is a step's, whose
    success is a stamp."""
    broken = list(_of_bytes(script))
    if broken:
        return broken
    lines = [Line(text) for text in script.decode().removesuffix("\r\n").split("\r\n")]
    found = [
        *_of_the_header(lines),
        *(_of_the_stamp(lines) if stamped else ()),
        *_of_labels(lines),
        *_of_commands(lines),
    ]
    return [what if number is None else f"line {number}: {what}" for number, what in found]


_Found = Iterator[tuple[int | None, str]]


def _of_bytes(script: bytes) -> Iterator[str]:
    if script.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        yield "it begins with a mark of its encoding"
    for number, line in enumerate(script.split(b"\n"), start=1):
        if not line.isascii():
            yield f"line {number}: not ASCII"
        if re.search(rb"[\0-\x08\x0b-\x1f\x7f]", line.removesuffix(b"\r")):
            yield f"line {number}: a control character"
    if len(re.findall(rb"(?<!\r)\n", script)) or not script.endswith(b"\r\n"):
        yield "a line does not end with CRLF"


def _of_the_header(lines: Sequence[Line]) -> _Found:
    if tuple(line.text for line in lines[:2]) != _HEADER:
        yield None, "it does not begin with the header"


def _of_the_stamp(lines: Sequence[Line]) -> _Found:
    stamps = [at for at, line in enumerate(lines) if _STAMP.fullmatch(line.text)]
    if len(stamps) != 1:
        yield None, "it does not write its stamp once"
        return
    following = lines[stamps[0] + 1 :]
    if [line.first for line in following[:1]] != ["exit"] or [line.label for line in following[1:2]] != [_OF_THE_FRAME]:
        yield stamps[0] + 1, "the stamp is not the last thing before the end"


def _of_labels(lines: Sequence[Line]) -> _Found:
    labels = Counter(line.label for line in lines if line.kind == "label")
    yield from ((None, f"the label {label} stands there {count} times") for label, count in labels.items() if count > 1)
    for number, line in enumerate(lines, start=1):
        words = line.command if line.kind == "command" else []
        target = _GOTO.match(" ".join(words))
        if target is None:
            continue
        if target[1].lower() == "eof":
            yield number, "goto :eof leaves without the stamp"
        elif target[1].lower() not in labels:
            yield number, f"there is no label {target[1]}"


def _of_commands(lines: Sequence[Line]) -> _Found:
    for number, line in enumerate(lines, start=1):
        if len(line.text) > LONGEST_LINE:
            yield number, f"{len(line.text)} characters, and cmd.exe reads {LONGEST_LINE}"
        if problem := line.problem():
            yield number, problem
        elif line.fails and line.text != RESET and not _AFTER.fullmatch(line.text) and not _is_checked(lines, number):
            yield number, "a command without its check"


def _is_checked(lines: Sequence[Line], number: int) -> bool:
    """Whether the check follows, behind what else looks at the code. The stamp's line is its own check."""
    if _STAMP.fullmatch(lines[number - 1].text):
        return True
    for line in lines[number:]:
        if not _AFTER.fullmatch(line.text):
            return line.text == CHECK
    return False
