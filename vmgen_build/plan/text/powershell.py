"""PowerShell: values as single-quoted strings, and scripts as an encoded command or as a file of a step.

Single-quoted strings expand nothing; four Unicode characters end them as ' does, and each is doubled
(about_Quoting_Rules). Not on Windows XP and 2003, which come without PowerShell.
"""

from __future__ import annotations

import base64
import re
import unicodedata

from vmgen_build.plan.text.batch import LONGEST_LINE
from vmgen_build.plan.text.quote import Dialect, Trusted, shown
from vmgen_build.plan.text.render import Renderer

_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
_UNSAYABLE = ("Cc", "Cs", "Zl", "Zp")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.ps1")

PROGRAM = "powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass"


def powershell_word(text: str) -> str:
    """One string. Raises ValueError for control characters, line ends and what is no Unicode text."""
    if any(unicodedata.category(char) in _UNSAYABLE for char in text):
        raise ValueError(f"{shown(text)} holds a control character, which no value for PowerShell may; remove it")
    doubled = _QUOTES.sub(r"\g<0>\g<0>", text)
    return f"'{doubled}'"


POWERSHELL = Dialect("powershell", powershell_word, newline="\r\n", guarded=True, separator=",")
"""A list is its strings with commas between them: `@({{ names }})`."""


def powershell_script(renderer: Renderer, body: str) -> str:
    """A whole script: the first command that fails ends it with code 1, and its message is printed.

    renderer: one for POWERSHELL. Programs fail by $LASTEXITCODE, which the body looks at.
    """
    return renderer.render("windows/frame.ps1.j2", body=Trusted(body.rstrip("\r\n")))


def encoded(script: str) -> Trusted:
    """The script as the argument of -EncodedCommand: base64 of UTF-16, low byte first."""
    return Trusted(base64.b64encode(script.encode("utf-16-le")).decode())


def encoded_command(script: str) -> Trusted:
    """The line of a batch file that runs a script. Raises ValueError where it gets too long: it is a file then."""
    line = f"{PROGRAM} -EncodedCommand {encoded(script)}"
    if len(line) > LONGEST_LINE:
        what = f"a PowerShell script of {len(script)} characters makes a line of {len(line)}"
        raise ValueError(f"{what}, and cmd.exe reads {LONGEST_LINE}; give it to the step as a file")
    return Trusted(line)


def file_command(name: str) -> Trusted:
    """The line of a step's batch file that runs a script among the step's files."""
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name for a PowerShell script; take letters, digits, _ . - and .ps1")
    return Trusted(f'{PROGRAM} -File "%~dp0files\\{name}"')


def as_file(script: str) -> bytes:
    """UTF-8 with the mark that Windows PowerShell knows it by; without it, it reads the ANSI code page."""
    return script.encode("utf-8-sig")
