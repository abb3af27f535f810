"""Texts for winnt.sif and sysprep.inf: the renderer's dialect of their templates, as SetupOpenInfFile reads INF files:
https://learn.microsoft.com/windows-hardware/drivers/install/general-syntax-rules-for-inf-files."""

from __future__ import annotations

import re

from vmgen_build.plan.text.quote import Dialect, refuse_unsayable, shown

LONGEST_LINE = 4096
"""Characters of a line that setupapi reads."""


def inf_string(text: str) -> str:
    """The text as a quoted string of an INF file. Raises ValueError for what such a file does not hold: line ends and
    other control characters; and other than ASCII, which Setup's text part and its graphical part read by different
    code pages."""
    refuse_unsayable(text)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(f"{shown(text)} holds a line end or a control character, which no line of an INF file can")
    if not text.isascii():
        raise ValueError(f"{shown(text)} is not ASCII, and Setup of Windows XP reads nothing else for sure")
    if len(text) > LONGEST_LINE // 4:
        raise ValueError(f"{shown(text)} is longer than the {LONGEST_LINE // 4} characters that a line has room for")
    return '"' + text.replace('"', '""').replace("%", "%%") + '"'


INF = Dialect("inf", inf_string, newline="\r\n")
