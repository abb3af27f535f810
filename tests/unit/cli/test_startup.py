"""What commands import that a person or a shell waits for, by number and by name: each millisecond of a start is there.

How long they take is bench/startup.py's to say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from vmgen_build import resources
from vmgen_build.catalogue import catalogue
from vmgen_build.plan.text.compiling import code_of_templates

RECIPE = str(resources.recipes_dir() / "lab.ini")

UNUSED = (
    *("asyncio", "configobj", "configparser", "ctypes", "difflib", "email", "fractions", "graphlib", "httpx", "rich"),
    *("importlib.metadata", "importlib.resources", "subprocess", "tarfile", "zipfile"),
    *(f"vmgen_build.{name}" for name in ("events", "guests", "store", "bases", "build", "host.run", "host.needs")),
    *(f"vmgen_build.plan.{name}" for name in ("bases", "machine", "answers", "text.batch", "text.xml")),
    *("vmgen_build.artifacts.tarstream", "vmgen_build.artifacts.disk", "vmgen_build.backends.machines"),
)
"""Of no use for a recipe without a mistake, of a container."""

NO_RECIPE = (*UNUSED, "hashlib", "json", "jinja2", "vmgen_build.systems", "vmgen_build.plan", "vmgen_build.backends")
"""Of no use for who asks for one option."""

STARTED = """
import atexit, sys
from pathlib import Path
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from vmgen_build import __main__, resources
if {check}:
    import jinja2
    jinja2.Environment.compile = None
    resources.templates_dir = lambda: Path({made!r}, "templates")
    from vmgen_build.catalogue import catalogue
    catalogue._OWN = Path({made!r}, "data")
getattr(__main__, {command!r})()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Templates and the catalogue's files with the code that the tool's installation makes of them."""
    folder = tmp_path_factory.mktemp("made")
    unmade = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(resources.templates_dir(), folder / "templates", ignore=unmade)
    shutil.copytree(catalogue._OWN, folder / "data", ignore=unmade)
    for path, code in (*code_of_templates(folder / "templates"), *catalogue.code_of_programs(folder / "data")):
        path.write_text(code)
    return folder


@pytest.mark.parametrize(
    ("command", "words", "env", "shown", "unused", "most"),
    [
        ("main", ("check", RECIPE), {}, f"{RECIPE}: ok: 'lab' on debian-12-amd64\n", UNUSED, 165),
        ("vmgctl", (RECIPE, "hardware.ram"), {}, "1024\n", NO_RECIPE, 60),
        (
            "main",
            ("vmgen-build lab.ini --set hardware.r", "\"'><=;|&(:"),
            {"_VMGEN_BUILD_COMPLETE": "bash"},
            "open\thardware.ram=\tMemory; a bare number is MB.\n",
            tuple({*NO_RECIPE} - {"difflib"}),
            65,
        ),
    ],
    ids=["check", "vmgctl", "completion"],
)
def test_a_start_imports_what_it_uses(
    made: Path,
    command: str,
    words: Sequence[str],
    env: Mapping[str, str],
    shown: str,
    unused: Sequence[str],
    most: int,
) -> None:
    """For a check neither Jinja nor ConfigObj reads a file of the tool's own. most: modules of the tool's."""
    code = STARTED.format(command=command, made=str(made), check=words[0] == "check")
    argv = [sys.executable, "-c", code, *words]
    ran = subprocess.run(argv, capture_output=True, text=True, env=os.environ | dict(env), stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
    modules = ran.stderr.split()
    assert [name for name in modules if name in unused or name.startswith(tuple(f"{one}." for one in unused))] == []
    own = [name for name in modules if name.partition(".")[0] == "vmgen_build"]
    assert len(own) <= most, own
