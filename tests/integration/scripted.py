"""Recipes with a script of their own, and builds that go on while the test looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RECIPE = """\
[hardware]
vm_id = {name}
os = debian-12
[users]
[[users]]
[[[user0]]]
name = {user}
passwd = alesia
[config]
[[scripts]]
[[[one]]]
run = "{script}"
"""


def recipe(folder: Path, *, name: str = "faulty", user: str = "ana", script: str = "true") -> Path:
    path = folder / f"{name}.ini"
    path.write_text(RECIPE.format(name=name, user=user, script=script))
    return path


def start(cache: Path, *words: object, own_session: bool = False) -> subprocess.Popen[str]:
    """The tool at work, its output and errors together. own_session: a signal to its process group reaches it alone."""
    return subprocess.Popen(
        [sys.executable, "-m", "vmgen_build", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"VMGEN_CACHE": str(cache)},
        start_new_session=own_session,
    )
