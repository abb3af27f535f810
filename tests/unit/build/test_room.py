"""Issue 9, point 5: sizes that cannot hold the packages are refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.supply import COMPLETE, Sizing
from vmgen_build.build import room
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.here import HerePlace
from vmgen_build.build.places.model import Look, Place
from vmgen_build.build.places.registry import place_at
from vmgen_build.build.room import SURE, require_room
from vmgen_build.errors import RecipeError
from vmgen_build.events import Bus, Event, Note
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.systems.debian import FAMILY

TEXT = "[hardware]\nvm_id = lab\nos = debian-12\n[[hdds]]\n[[[hdd0]]]\nsize = 1G\n[devel]\nvim = 1\n"
OPEN = TEXT.replace("size = 1G\n", "")
SCRIPT = "[config]\n[[scripts]]\n[[[slim]]]\nrun = rm -rf /usr/share/doc\n"
REPOSITORY = "[config]\n[[repos]]\n[[[own]]]\nurl = http://apt.example.org\n"
GB = 10**9


class Asked:
    """What require_room does with a recipe. sizing: what apt was asked of; fetch: whether it might fetch."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.events = folder, list[Event]()
        self.size: int | None = 2 * GB
        self.sizing: list[Sizing] = []
        self.fetch: list[bool] = []
        monkeypatch.setattr(AptSupply, "of_this_host", lambda request, _: AptSupply(request, (), (), b""))
        monkeypatch.setattr(AptSupply, "installed_size", self._installed_size)
        monkeypatch.setattr(room, "run_isolated", lambda work, bus: work(bus))

    def _installed_size(self, sizing: Sizing, scratch: Path, *, fetch: bool) -> int | None:
        assert scratch.is_dir()
        self.sizing.append(sizing)
        self.fetch.append(fetch)
        return self.size

    def place(self, **options: object) -> Place:
        return place_at(BuildOptions(cache=self.folder / "cache", **options))  # type: ignore[arg-type]

    def planned(self, text: str, *backends: str) -> tuple[Recipe, list[tuple[Plan, Look]]]:
        path = self.folder / "lab.ini"
        path.write_text(text)
        recipe, facts = load(path), Facts("release", 1700000000)
        plans = [make_plan(recipe, b, backend_named(b).part(recipe, None), facts) for b in backends]
        return recipe, [(plan, Look(facts)) for plan in plans]

    def require(self, text: str, *backends: str, **options: object) -> None:
        recipe, planned = self.planned(text, *backends)
        require_room(recipe, self.place(**options), planned, Bus(self.events.append))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(tmp_path, monkeypatch)


def test_issue_9_5_a_disk_that_is_too_small_is_refused_at_its_line(asked: Asked) -> None:
    with pytest.raises(RecipeError, match=r"lab\.ini:6: \[hardware\.hdds\.hdd0\] size: .* size = 4G, or none"):
        asked.require(TEXT, "openvz")
    (sizing,) = asked.sizing
    assert {"vim", "ifupdown", "net-tools", "systemd"} <= set(sizing.packages) and asked.fetch == [True]


def test_issue_9_5_one_problem_for_several_backends_the_greatest(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AptSupply, "installed_size", lambda _, sizing, __, fetch: len(sizing.packages) * GB)
    with pytest.raises(RecipeError) as error:
        asked.require(TEXT, "lxc", "openvz", "kvm", "vmware")
    (problem,) = error.value.problems
    plans = [plan for plan, _ in asked.planned(TEXT, "openvz", "kvm", "vmware")[1]]
    sizes = [len({*FAMILY.base_packages, *(name for s in plan.steps for name in s.packages)}) for plan in plans]
    assert f"about {max(sizes)} GB" in problem.text and len(set(sizes)) > 1


@pytest.mark.parametrize("size", [None, 0, int((1 << 30) / SURE)])
def test_issue_9_5_what_may_fit_is_built(asked: Asked, size: int | None) -> None:
    asked.size = size
    asked.require(TEXT, "openvz")
    asked.size = int((1 << 30) / SURE) + 2
    with pytest.raises(RecipeError):
        asked.require(TEXT, "openvz")


@pytest.mark.parametrize(
    ("text", "backend"),
    [(TEXT, "lxc"), (OPEN, "openvz"), (OPEN, "kvm"), (TEXT + REPOSITORY, "openvz")],
)
def test_issue_9_5_nothing_is_asked_where_nothing_could_be_refused(asked: Asked, text: str, backend: str) -> None:
    asked.require(text, backend)
    assert asked.sizing == [] and asked.events == []


@pytest.mark.parametrize("options", [{"offline": True}, {"host": "ssh://root@node"}])
def test_issue_9_5_no_indexes_are_fetched_that_the_build_does_not_fetch(
    asked: Asked, options: dict[str, object]
) -> None:
    asked.require(TEXT, "openvz", **options)
    assert asked.sizing == [], "the indexes are not here"
    (next((asked.folder / "cache/downloads").glob("lists-*")) / COMPLETE).touch()
    with pytest.raises(RecipeError):
        asked.require(TEXT, "openvz", **options)
    assert asked.fetch == [False]


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("beyond", [0, 1])
def test_issue_9_5_layers_that_are_there_need_no_indexes(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, beyond: int, use_cache: bool
) -> None:
    """Those up to the last step that installs; the base is the first of the stages."""
    ((plan, _),) = asked.planned(TEXT, "openvz")[1]
    last = max(index for index, step in enumerate(plan.steps, 1) if step.installs)
    monkeypatch.setattr(HerePlace, "kept_stages", lambda *_: last + beyond)
    asked.size = None
    asked.require(TEXT, "openvz", use_cache=use_cache)
    assert asked.fetch == ([] if beyond and use_cache else [True])


def test_issue_9_5_a_script_may_make_room_so_that_it_is_a_warning(asked: Asked) -> None:
    asked.require(TEXT + SCRIPT, "openvz")
    (warning,) = [e for e in asked.events if isinstance(e, Note) and e.level == "warning"]
    assert "write size = 4G, or none; the build fails at its end, unless a script" in warning.text
