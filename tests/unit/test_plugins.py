"""What other packages add: found, checked, and where it is broken named in one message."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmgen_build import plugins
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases import supply
from vmgen_build.build.places.registry import place_class
from vmgen_build.catalogue.catalogue import known_programs
from vmgen_build.catalogue.programs import Program
from vmgen_build.cli import main
from vmgen_build.errors import PluginError
from vmgen_build.installers import find_installer
from vmgen_build.plan.discovery import step_modules
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.writers import writer_named
from vmgen_build.recipe.schema import recipe_sections
from vmgen_build.systems import families
from vmgen_build.systems.model import Family, System
from vmgen_build.systems.parse import parse_system

ROOT = Path(__file__).resolve().parents[2]
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
GENTOO = System("gentoo-1", "gentoo", "1", "", "amd64", "odd", Family(name="gentoo", rank=50))

USES: dict[str, Callable[[], Any]] = {
    "families": families,
    "installers": lambda: find_installer(GENTOO),
    "supplies": lambda: supply._named("odd"),
    "writers": lambda: writer_named("odd"),
    "steps": step_modules,
    "templates": lambda: Renderer(None).sh("linux/network.sh.j2"),
    "sections": recipe_sections,
    "programs": lambda: known_programs().resolve("vim", None, parse_system("debian-12")),
    "backends": lambda: backend_named.__wrapped__("odd"),
    "places": lambda: place_class("odd:"),
}
"""Group -> what looks for the thing that is called "odd" in it."""


@pytest.fixture
def odd() -> Iterator[Callable[[str, object], None]]:
    def register(group: str, thing: object) -> None:
        plugins.register(f"vmgen_build.{group}", "odd", thing)

    yield register
    for group in USES:
        plugins.unregister(f"vmgen_build.{group}", "odd")


@pytest.mark.parametrize("group", USES)
@pytest.mark.parametrize("thing", ["a text", PluginError], ids=["object", "class"])
def test_a_thing_of_the_wrong_kind_is_refused(group: str, thing: object, odd: Callable[[str, object], None]) -> None:
    odd(group, thing)
    with pytest.raises(PluginError) as caught:
        USES[group]()
    shown = "the class PluginError" if thing is PluginError else "of the type str"
    start = f"'odd' that was registered in vmgen_build.{group}, cannot be used: it is {shown}, not "
    assert str(caught.value).startswith(start)


def test_the_list_of_groups_is_whole() -> None:
    listed = [line.split()[0] for line in (plugins.__doc__ or "").splitlines() if line.startswith("    vmgen_build.")]
    assert listed == [f"vmgen_build.{group}" for group in USES]


def test_programs_of_others_add_to_what_is_known(odd: Callable[[str, object], None], tmp_path: Path) -> None:
    text = "[greeter]\npackages = hello\n[vim]\npackages.debian-12 = vim-tiny\n"
    (tmp_path / "devel.ini").write_text(text)
    odd("programs", tmp_path)

    def program(name: str, system: str) -> Program:
        found = known_programs().resolve(name, None, parse_system(system))
        assert isinstance(found, Program)
        return found

    assert program("greeter", "debian-13").packages == ("hello",)
    assert program("vim", "debian-12").packages == ("vim-tiny",)
    own = program("vim", "debian-13")
    assert own.packages != ("vim-tiny",) and own.aliases == program("vim", "debian-12").aliases
    (tmp_path / "devel.ini").write_text("[[greeter\n")
    odd("programs", Path(tmp_path, "..", tmp_path.name))
    with pytest.raises(PluginError, match=r"the file of programs .*devel\.ini, cannot be used"):
        known_programs().resolve("vim", None, parse_system("debian-12"))


def test_templates_of_others_add_to_the_shipped_ones(odd: Callable[[str, object], None], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/echo.sh.j2").write_text("echo {{ text }}\n")
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/setting.sh.j2").write_text("never\n")
    odd("templates", tmp_path)
    assert Renderer(None).sh("mine/echo.sh.j2", text="it's") == "echo 'it'\"'\"'s'\n"
    assert "never" not in Renderer(None).sh("linux/setting.sh.j2", script="true")


def package(folder: Path, group: str, name: str, code: str) -> Path:
    """A package of others, faulty 2.1, as it lies in a folder of PYTHONPATH."""
    info = folder / "faulty-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text(f"[vmgen_build.{group}]\n{name} = faulty:THING\n")
    (folder / "faulty.py").write_text(code)
    (folder / "lab.ini").write_text(RECIPE)
    return folder


@pytest.mark.parametrize(
    ("group", "name", "code", "words", "reason"),
    [
        ("families", "odd", "import nosuch", ["check"], "ModuleNotFoundError: No module named 'nosuch'"),
        ("backends", "odd", "THING = 3", ["check", "-b", "odd"], "faulty:THING is of the type int, not a Backend"),
        ("steps", "odd", "THING: int = (", ["check"], "SyntaxError: '(' was never closed"),
        ("sections", "odd", "", ["check"], "AttributeError: module 'faulty' has no attribute 'THING'"),
        ("places", "odd", "raise OSError('gone')", ["--dry-run", "--host", "odd:x"], "OSError: gone"),
    ],
)
def test_a_broken_package_is_one_message(
    tmp_path: Path, group: str, name: str, code: str, words: list[str], reason: str
) -> None:
    folder = package(tmp_path, group, name, code)
    command = [sys.executable, "-m", "vmgen_build", *words, "lab.ini"]
    env = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "VMGEN_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    start = f"error: the entry point '{name}' in vmgen_build.{group}, of the package faulty 2.1, cannot be used: "
    assert done.stderr.startswith(start) and reason in done.stderr, done.stderr
    assert done.stderr.endswith("; mend that package, or uninstall it\n") and "Traceback" not in done.stderr
    assert done.returncode == 1 and done.stdout == ""


def test_a_broken_package_is_no_matter_where_nothing_of_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(package(tmp_path, "backends", "odd", "import nosuch"))
    plugins._points.cache_clear()
    try:
        assert main.run(["check", str(tmp_path / "lab.ini")]) == 0
        assert main.run(["check", "-b", "ood", str(tmp_path / "lab.ini")]) == 2
    finally:
        plugins._points.cache_clear()
    assert "did you mean 'odd'?" in capsys.readouterr().err


def test_a_folder_that_may_not_be_looked_at_holds_no_package(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    (locked / "inner").mkdir(parents=True)
    locked.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        assert not plugins._names_a_group(str(locked / "inner"))
    finally:
        os.seteuid(user)
        locked.chmod(0o700)
