"""What is shipped: the sdist holds the checkout, and the wheel works on its own, with what it says that it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from email import message_from_string
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vmgen_build import __version__
from vmgen_build.catalogue.options import CATEGORIES
from vmgen_build.cli import main

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "bench", "debian", "docs", "recipes", "templates", "tests", "vmgen_build")
FILES = (
    *(".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md"),
    *("mkdocs.yml", "pyproject.toml", "setup.cfg", "setup.py", "cache/README.md", "output/README.md"),
)
IN_WHEEL = {"vmgen_build": "vmgen_build", "templates": "vmgen_build/templates", "recipes": "vmgen_build/recipes"}
MADE = ("*.j2.py", "*.ini.py")
"""What setup.py makes when the tool is installed."""
RECIPE = "[hardware]\nvm_id = lab\nos = debian-12\n[config]\nprofiles = development, networking\n"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkout's files (checkout/), and the sdist of them and the wheel of that (dist/)."""
    folder = tmp_path_factory.mktemp("shipped")
    checkout = folder / "checkout"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]", *MADE))
    for name in FILES:
        (checkout / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(checkout), cwd=folder)
    return folder


def run(*argv: str, cwd: Path) -> str:
    """What a program prints, run without any setting of this environment that leads to this checkout."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run(argv, cwd=cwd, env=environ, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_sdist_holds_the_checkout(shipped: Path) -> None:
    top = f"vmgen_build-{__version__}/"
    with tarfile.open(next((shipped / "dist").glob("*.tar.gz"))) as archive:
        names = {member.name.removeprefix(top) for member in archive if member.isfile()}
    made = {name for name in names if name.startswith("vmgen_build.egg-info/")} | {"PKG-INFO"}
    source = {name for name in files(shipped / "checkout") if not name.startswith(("vmgen_build.egg-info/", "build/"))}
    assert names - made == source


def test_the_wheel_holds_the_package_and_its_data(shipped: Path) -> None:
    checkout = shipped / "checkout"
    expected = {f"{inside}/{name}" for folder, inside in IN_WHEEL.items() for name in files(checkout / folder)}
    with zipfile.ZipFile(wheel(shipped)) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"vmgen_build-{__version__}.dist-info/")}
    templates = {f"{name}.py" for name in expected if name.endswith(".j2")}
    programs = {f"vmgen_build/catalogue/data/{category}.ini.py" for category in CATEGORIES}
    assert names == expected | templates | programs


def test_an_installed_wheel_plans_as_the_checkout_does(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.ini").write_text(RECIPE)
    python = installed(wheel(shipped), tmp_path / "env")
    where = "from vmgen_build import resources as r; print(r.templates_dir()); print(r.recipes_dir())"
    site = run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    folders = run(str(python), "-c", where, cwd=tmp_path).split()
    assert folders == [f"{site}/vmgen_build/templates", f"{site}/vmgen_build/recipes"]
    assert run(str(python.parent / "vmgctl"), "lab.ini", "hardware.os", cwd=tmp_path) == "debian-12\n"
    compiling = ["compile", "lab.ini", "--offline", "--cache", "cache", "-o"]
    run(str(python.parent / "vmgen-build"), *compiling, "theirs", cwd=tmp_path)
    unread = "import configobj, jinja2; configobj.ConfigObj = jinja2.Environment.compile = None"
    check = f"{unread}; from vmgen_build.cli.main import run; raise SystemExit(run(['check', 'lab.ini']))"
    run(str(python), "-c", check, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main.run([*compiling, "ours"]) == 0
    theirs, ours = (json.loads((tmp_path / name / "plan.json").read_text()) for name in ("theirs", "ours"))
    assert ours["steps"] and [step["id"] for step in theirs["steps"]] == [step["id"] for step in ours["steps"]]
    assert files(tmp_path / "theirs") == files(tmp_path / "ours")
    for name in files(tmp_path / "ours") - {"plan.json"}:
        assert (tmp_path / "theirs" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes(), name


def test_debian_has_the_version_and_what_a_build_needs() -> None:
    """debian/changelog has a version of its own, and debian/control the packages that make sets a host up with."""
    first = (ROOT / "debian/changelog").read_text().split("\n", 1)[0]
    assert first.startswith(f"vmgen-build ({__version__}) ")
    table = (ROOT / "Makefile").read_text().partition("define NEEDS\n")[2].partition("endef")[0]
    needed = {line.split()[1] for line in table.splitlines()} - {"python3-venv", "tar", "gzip"}
    control = (ROOT / "debian/control").read_text()
    lists = [line.partition(": ")[2] for line in control.splitlines() if line.startswith(("Depends", "Recommends"))]
    assert needed <= {name.strip() for one in lists for name in one.split(",")}


def wheel(shipped: Path) -> Path:
    return next((shipped / "dist").glob("*.whl"))


def installed(archive: Path, env: Path) -> Path:
    """The interpreter of a new environment with the wheel, and with nothing else than what its metadata ask for.

    There is no network here: what they ask for is linked from the environment that runs the tests.
    """
    venv.create(env, symlinks=True)
    python = env / "bin" / "python"
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=env).strip())
    with zipfile.ZipFile(archive) as file:
        text = file.read(f"vmgen_build-{__version__}.dist-info/METADATA").decode()
    for name in needed(["pip", *message_from_string(text).get_all("Requires-Dist", [])]):
        for source in tops(metadata.distribution(name)):
            if not (site / source.name).exists():
                (site / source.name).symlink_to(source)
    run(str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(archive), cwd=env)
    return python


def needed(requirements: Iterable[str]) -> set[str]:
    """Names of the packages that these requirements ask for here, theirs among them."""
    found: set[str] = set()
    todo = list(requirements)
    while todo:
        requirement = Requirement(todo.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name.lower() not in found:
            found.add(requirement.name.lower())
            todo += metadata.distribution(requirement.name).requires or []
    return found


def tops(package: metadata.Distribution) -> Iterator[Path]:
    """What a package has put right into site-packages."""
    for name in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
        yield Path(str(package.locate_file(name)))
