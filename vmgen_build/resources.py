"""Where the files that ship with the tool are: inside the package when installed, at the checkout's top when not."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def recipes_dir() -> Path:
    """The recipes to start from; `profiles/` lies in it."""
    return _shipped("recipes")


def templates_dir() -> Path:
    """The Jinja templates."""
    return _shipped("templates")


def _shipped(name: str) -> Path:
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
