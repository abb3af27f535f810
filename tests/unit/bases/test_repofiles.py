"""Repositories that a recipe names by files of a package manager's own form, and those that are folders of this host:
what they hold now is part of a plan."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.distros.server import Mirror, mirror
from tests.unit.bases.test_archives import REPOMD, database
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.apt import sourcefiles
from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.mirrored import located
from vmgen_build.bases.supply import Request, supply_kind
from vmgen_build.errors import BuildError
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.systems.model import System

RELEASE = "Date: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n {} 5 Packages\n"
FILES = {
    "debian-12": ("own.list", "deb [trusted=yes] {}/apt ./ # ours\n"),
    "fedora-42": ("own.repo", "[own]\nname=ours\nbaseurl={}/rpm/$basearch\n  http://127.0.0.1:9/\nenabled=1\n"),
    "arch": ("own.conf", "[own]\nSigLevel = Never\nServer = {}/pacman/$repo/$arch\nServer = http://127.0.0.1:9\n"),
}


def change(folder: Path, number: int) -> None:
    """The indexes of each kind in their state of that number."""
    for place in ("apt", "rpm/x86_64/repodata", "pacman/own/x86_64"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / "apt/Release").write_text(RELEASE.format(str(number) * 64))
    (folder / "rpm/x86_64/repodata/repomd.xml").write_text(REPOMD.replace("0001", f"000{number}"))
    (folder / "pacman/own/x86_64/own.db").write_bytes(database(a=str(number) * 64))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Mirror, Path]]:
    folder = tmp_path / "served"
    change(folder, 1)
    with mirror({"/": folder}) as server:
        yield server, folder


def step_id(folder: Path, name: str, text: str, cache: Path, *, offline: bool = False) -> str:
    """That of the repositories of a recipe which names a file with this text."""
    file, _ = FILES[name]
    (folder / file).write_text(text)
    (folder / "lab.ini").write_text(
        f"[hardware]\nvm_id = lab\nos = {name}\n[config]\n[[repos]]\n[[[own]]]\nfile = {file}\n"
    )
    recipe = load(folder / "lab.ini")
    own = supply_facts(recipe.hardware.os, recipe.config.repos, cache, offline=offline)
    plan = make_plan(recipe, "lxc", backend_named("lxc").part(recipe, None), Facts(repositories=own))
    return plan.steps[0].id


def supply_facts(system: System, own: Mapping[str, Repository], cache: Path, *, offline: bool) -> Mapping[str, str]:
    """Of the recipe's own repositories. The system's archive is a folder, the same each time."""
    main = cache.parent / "main"
    change(main, 1)
    for part in ("apt", "rpm/x86_64"):
        shutil.copytree(main / part, main, dirs_exist_ok=True)
    (main / "..db").write_bytes(database(a="1" * 64))
    system = replace(system, archives=(replace(system.archives[0], suites=("./",), keyring=""),))
    request = Request(system, main.as_uri(), 0)
    return supply_kind(system).facts(request, own, cache, offline=offline).repositories


@pytest.mark.parametrize("name", FILES)
def test_a_repository_of_a_file_has_a_state(served: tuple[Mirror, Path], tmp_path: Path, name: str) -> None:
    """By the network it is asked as any other: at most once an hour."""
    server, folder = served
    text = FILES[name][1].format(server.url)
    before = step_id(tmp_path, name, text, tmp_path / "cache")
    change(folder, 2)
    assert step_id(tmp_path, name, text, tmp_path / "cache") == before
    assert step_id(tmp_path, name, text, tmp_path / "later") != before


@pytest.mark.parametrize("name", FILES)
def test_a_changed_folder_of_this_host_is_noticed_at_once(
    served: tuple[Mirror, Path], tmp_path: Path, name: str
) -> None:
    """Offline too; what is gone is as it was last."""
    _, folder = served
    text, cache = FILES[name][1].format(f"file://{folder}"), tmp_path / "cache"
    before = step_id(tmp_path, name, text, cache)
    assert step_id(tmp_path, name, text, cache) == before
    change(folder, 2)
    after = step_id(tmp_path, name, text, cache)
    assert after != before
    change(folder, 3)
    last = step_id(tmp_path, name, text, cache, offline=True)
    assert last not in (before, after)
    shutil.rmtree(folder)
    assert step_id(tmp_path, name, text, cache, offline=True) == last
    with pytest.raises(BuildError, match="cannot read file:/"):
        step_id(tmp_path, name, text, cache)


def test_a_folder_without_a_release_file_is_known_by_its_index(tmp_path: Path) -> None:
    text, cache = f"deb [trusted=yes] file://{tmp_path}/flat ./\n", tmp_path / "cache"
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/Packages").write_text("Package: a\n")
    before = step_id(tmp_path, "debian-12", text, cache)
    assert step_id(tmp_path, "debian-12", text, cache) == before
    (tmp_path / "flat/Packages").write_text("Package: b\n")
    assert step_id(tmp_path, "debian-12", text, cache) != before


def test_sources_of_apt_in_both_forms() -> None:
    """What is switched off, holds sources or cannot be asked by this host is none."""
    lines = (
        "# deb http://off.example/ x main\n"
        "deb [arch=amd64 signed-by=/k] http://a.example/d/ bookworm main contrib\n"
        "deb-src http://a.example/d bookworm main\n"
        "deb http://b.example ./$(ARCH)/ # flat\n"
        "deb cdrom:[x]/ bookworm main\n"
        "deb http://c.example bookworm\n"
    )
    stanzas = (
        "# ours\nTypes: deb deb-src\nURIs: http://a.example/d/\n http://e.example\nSuites: bookworm\n"
        "Components: main\n contrib\nSigned-By:\n -----BEGIN\n .\n URIs: http://no.example\n\n"
        "Types: deb\nEnabled: no\nURIs: http://b.example\nSuites: ./\n\n"
        "Types: deb-src\nURIs: http://c.example\nSuites: ./\n"
    )
    both = ("main", "contrib")
    assert sourcefiles.sources_in(lines, "amd64") == [
        AptSource("http://a.example/d", "bookworm", both),
        AptSource("http://b.example", "./amd64/", ()),
    ]
    assert sourcefiles.sources_in(stanzas, "amd64") == [
        AptSource("http://a.example/d", "bookworm", both),
        AptSource("http://e.example", "bookworm", both),
    ]


def test_which_repositories_of_a_file_are_asked(tmp_path: Path) -> None:
    (tmp_path / "x.repo").write_text(
        "[main]\nbaseurl=http://m.example\n"
        "[a]\nbaseurl=http://a.example/$releasever/${basearch}, http://z.example\nbaseurl=http://second.example\n"
        "[off]\nenabled = 0\nbaseurl=http://off.example\n"
        "; baseurl=http://comment.example\n"
        "[list]\nmirrorlist=http://list.example\n"
        "[unknown]\nbaseurl=http://u.example/$mine\n"
        "[b]\nbaseurl =\n    http://b.example/$repo\n"
    )
    repository = Repository(name="own", file=tmp_path / "x.repo")
    found = located(repository, "baseurl", {"releasever": "42", "basearch": "x86_64"})
    assert found == [("a", "http://a.example/42/x86_64"), ("b", "http://b.example/b")]
    (tmp_path / "x.repo").unlink()
    assert located(repository, "baseurl", {}) == [], "the plan says at its line that it cannot be read"
