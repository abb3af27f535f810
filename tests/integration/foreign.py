"""Roots of others as they come: tars, and OCI layouts of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

TAR = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls"]


def ran(*command: object, cwd: Path | None = None) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, cwd=cwd).stdout


def packed(folder: Path, goal: Path) -> Path:
    ran(*TAR, "-cf", goal, "-C", folder, ".")
    return goal


def image(layout: Path, layers: list[Path], arch: str = "amd64", tag: str = "v1") -> Path:
    """An OCI layout made by umoci of these tars."""
    if not layout.exists():
        ran("umoci", "init", "--layout", layout)
    ran("umoci", "new", "--image", f"{layout}:{tag}")
    for layer in layers:
        ran("umoci", "raw", "add-layer", "--image", f"{layout}:{tag}", layer)
    ran("umoci", "config", "--image", f"{layout}:{tag}", "--architecture", arch, "--os", "linux")
    return layout
