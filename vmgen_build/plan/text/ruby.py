"""Texts as single-quoted strings of Ruby, which expand nothing (Ruby's documentation, "Literals"): the renderer's
dialect of a Vagrantfile."""

from __future__ import annotations

import unicodedata

from vmgen_build.plan.text.quote import Dialect, shown


def ruby_word(text: str) -> str:
    """One string. Raises ValueError for control characters and what is no Unicode text."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise ValueError(f"{shown(text)} holds a control character, which no value of a Vagrantfile may; remove it")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


RUBY = Dialect("ruby", ruby_word)
