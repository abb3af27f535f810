"""How far the writing or reading of a large file has come."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int], None]
"""Takes a number of bytes that only grows: of what is read or written, as each function says."""
