"""Names that become files: one rule for all that a recipe, a manifest or a plan may name."""

from __future__ import annotations

NAME_BYTES = 100
"""Bytes of UTF-8 that a name of a recipe may have. With what the tool puts around it, it stays below NAME_MAX, 255."""

PLAIN = f"one plain file name: no /, no control character, not . or .., at most {NAME_BYTES} bytes"


def wrong_file_name(name: str, limit: int = 255) -> str:
    """Why it is no plain file name, after the name in a message; "" for a good one. limit: bytes."""
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "means a folder"
    if "/" in name:
        return "holds a /"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        return "holds a control character"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "holds bytes that are no UTF-8"
    return f"has {size} bytes" if size > limit else ""


def require_file_name(name: str, what: str) -> None:
    """For names that code gives. Raises ValueError."""
    if wrong := wrong_file_name(name):
        raise ValueError(f"{what} {name[:120]!r} {wrong}; it must be one plain file name")
