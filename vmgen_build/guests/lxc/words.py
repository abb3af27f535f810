"""Paths of this host in a container's configuration: lxc.container.conf(5)."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.errors import HostError


def value(path: Path) -> str:
    """The path as a value of its own line. Raises HostError for one that a line cannot hold."""
    text = str(path)
    if text.strip() != text or any(ord(char) < 32 for char in text):
        raise HostError(f"lxc takes no path such as {text!r}; choose another cache with --cache, without line ends")
    return text


def word(path: Path) -> str:
    """The path as a field of lxc.mount.entry, which is a line of fstab(5): blanks and backslashes in octal."""
    return value(path).replace("\\", "\\134").replace(" ", "\\040")
