"""The digest of a recipe that its manifest holds: over what the recipe says, and not over its secrets.

It is taken over the values that were read, those of profiles and --set among them, and not over the files' text: a
comment may hold an old password, and a misspelled option a new one. A manifest is public, and a digest over a password
would be a quick way of guessing at it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from vmgen_build.catalogue.entries import Entry
from vmgen_build.recipe.ini import Value
from vmgen_build.secret import Secret
from vmgen_build.text import without_passwords


class ValuesDigest:
    """Takes values as they are read; what becomes a Secret counts by its place alone."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, path: str, value: Value, result: Any) -> None:
        """path: of the option, as messages name it; result: what its type made of the value."""
        private = isinstance(result, Secret)
        texts = [] if private else [without_passwords(text) for text in (value.text, *value.items)]
        self._digest.update(json.dumps([path, private, texts]).encode() + b"\n")

    def add_place(self, path: str) -> None:
        """Of what is not known, and may be a slip in the name of a password: its place alone counts."""
        self._digest.update(json.dumps([path]).encode() + b"\n")

    def add_programs(self, entries: Iterable[Entry]) -> None:
        """Of the recipe's own catalogue."""
        for entry in entries:
            text = without_passwords(json.dumps([entry.name, entry.category, dict(entry.options)]))
            self._digest.update(text.encode() + b"\n")

    def hexdigest(self) -> str:
        """64 hex digits, of sha256."""
        return self._digest.hexdigest()
