"""Texts for XML 1.0 files: the renderer's dialect of the templates under templates/vmware and templates/kvm."""

from __future__ import annotations

import re

from vmgen_build.plan.text.quote import Dialect, refuse_unsayable, shown

_CHARACTERS = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_ESCAPED = str.maketrans(_CHARACTERS)
_NO_CHAR = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What the production Char leaves out (XML 1.0, chapter 2.2): no reference names it either."""


def xml_text(text: str) -> str:
    """The text as content of an element or, between double quotes, of an attribute. Blanks are written as references
    where a parser would change them. Raises ValueError for what no XML file holds."""
    refuse_unsayable(text)
    if _NO_CHAR.search(text):
        raise ValueError(f"{shown(text)} holds a control character, which no XML file can; remove it")
    return text.translate(_ESCAPED)


XML = Dialect("xml", xml_text)
