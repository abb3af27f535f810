"""All questions to a Windows as one batch file, which starts a script of PowerShell's for those that are in it; and
where in their output which answer stands.

Each question has a number. Lines of the output that hold the nonce of this asking are the script's own: "answer NONCE 7
begin" and "answer NONCE 7 end" stand around the lines of an answer in batch; "answer NONCE 7 = BASE64" is a line of an
answer in PowerShell, of UTF-8, which "answer NONCE 7 end" follows.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build.plan.model import Probe
from vmgen_build.plan.text.batch import BATCH, LONGEST_LINE
from vmgen_build.plan.text.batchscript import checked
from vmgen_build.plan.text.powershell import POWERSHELL, PROGRAM
from vmgen_build.plan.text.render import Renderer

FILE = "probes.ps1"

_NUMBER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class _Numbered:
    number: str
    script: str


def can_be_asked(probe: Probe) -> bool:
    """Whether its script is lines that cmd.exe reads, or text for PowerShell. Those of our own plans all are."""
    if probe.kind == "powershell":
        return probe.script.encode(errors="replace").decode() == probe.script
    lines = probe.script.split("\r\n")
    return probe.script.isascii() and all(line.isprintable() and len(line) <= LONGEST_LINE for line in lines)


def asking_scripts(probes: Sequence[Probe], nonce: str) -> tuple[str, str]:
    """The batch file, and PowerShell's script, "" where there is nothing for it; beside each other, as FILE. The number
    of a question is its place in `probes`."""
    numbered = [(probe.kind, _Numbered(str(number), probe.script)) for number, probe in enumerate(probes)]
    batch = [question for kind, question in numbered if kind == "batch"]
    others = [question for kind, question in numbered if kind == "powershell"]
    script = ""
    if others:
        script = Renderer(None, POWERSHELL).render("windows/probes.ps1.j2", nonce=nonce, questions=others)
        batch.append(_Numbered("others", checked(f'{PROGRAM} -File "%~dp0{FILE}"')))
    return Renderer(None, BATCH).render("windows/probes.bat.j2", nonce=nonce, questions=batch), script


def answers_in(output: str, nonce: str) -> Mapping[int, tuple[str, ...]]:
    """Number of a question -> the lines of its answer, without blanks around them; none for one that was not answered
    to its end. What stands between answers is nobody's."""
    found: dict[int, list[str]] = {}
    ended: set[int] = set()
    inside: int | None = None
    for line in output.splitlines():
        text, own, rest = line.partition(f"answer {nonce} ")
        if inside is not None and text.strip():
            found[inside].append(text.strip())
        if not own:
            continue
        words = rest.split()
        number = int(words[0]) if words and _NUMBER.fullmatch(words[0]) else None
        inside = None
        if number is None or number in ended:
            continue
        if words[1:] == ["begin"]:
            inside, found[number] = number, []
        elif words[1:2] == ["="]:
            found.setdefault(number, []).extend(_decoded(words[2:]))
        elif words[1:] == ["end"]:
            found.setdefault(number, [])
            ended.add(number)
    return {number: tuple(found[number]) for number in ended}


def holds(expected: str, answer: Iterable[str]) -> bool:
    there = {line.casefold() for line in answer}
    return all(line.strip().casefold() in there for line in expected.split("\n"))


def _decoded(words: Sequence[str]) -> list[str]:
    try:
        text = base64.b64decode("".join(words), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
