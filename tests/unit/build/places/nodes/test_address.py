"""What a node's containers get: a base with what its scripts need, and an address, without which nothing is begun."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from vmgen_build.backends.base import Backend
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import _Call, dry_run, plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.model import Look
from vmgen_build.build.places.nodes.place import NodePlace
from vmgen_build.errors import RecipeError
from vmgen_build.events import Bus
from vmgen_build.guests.node.driver import Driver
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.node.workshop import layer_name
from vmgen_build.guests.runners import LocalRunner
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

HEAD = "[hardware]\nvm_id = lab\nos = debian-12\n"
VETH = "[[eths]]\n[[[eth0]]]\ntype = veth\n"
VENET = VETH.replace("veth", "venet")
ADDRESS = "[network]\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.5\nnetwork = 255.255.255.0\n"


class Bare(VzDriver):
    """An OpenVZ node with no OS templates but those that are named."""

    there: ClassVar[frozenset[str]] = frozenset()

    def os_templates(self) -> frozenset[str]:
        return self.there


class BareLxc(LxcDriver):
    def os_templates(self) -> frozenset[str]:
        return frozenset()


class OnNode(NodePlace):
    """A node of a kind that is looked at without a connection."""

    kind: ClassVar[type[Driver]] = Bare

    @contextmanager
    def _driver(self, backend: Backend, tag: str) -> Iterator[Driver]:
        yield self.kind(LocalRunner(), tag)


class OnLxcNode(OnNode):
    kind: ClassVar[type[Driver]] = BareLxc


def recipe_of(folder: Path, text: str) -> Recipe:
    path = folder / "lab.ini"
    path.write_text(HEAD + text)
    return load(path)


def place_in(folder: Path, kind: type[NodePlace] = OnNode, address: str = "", *, use_cache: bool = True) -> NodePlace:
    options = BuildOptions(cache=folder / "cache", backends=("openvz",), offline=True, host="ssh://node")
    return kind(replace(options, build_address=address, use_cache=use_cache))


def problems(place: NodePlace, recipe: Recipe, *, kept: int = 0) -> list[str]:
    """kept: how many of the plan's stages the node has."""
    look = place.look(recipe, backend_named("openvz"), Facts())
    plan = plan_for(recipe, "openvz", place.options)
    there = frozenset({layer_name(plan, plan.stages[kept - 1].id)} if kept else ())
    return [str(p) for p in place.problems(recipe, plan, Look(look.facts, there, needs_address=look.needs_address))]


@pytest.mark.parametrize(
    ("text", "where", "way"),
    [
        (VETH, r"lab\.ini:6: \[hardware\] eth0: ", "write type = venet for an adapter"),
        (VETH + ADDRESS, r"lab\.ini:6: \[hardware\] eth0: ", "write type = venet for an adapter"),
        (VETH + VENET.replace("eth0", "eth1").partition("\n")[2], r"lab\.ini:8: \[hardware\] eth1: ", "give this one"),
        ("", r"lab\.ini:1: \[hardware\] eths: ", "write type = venet for an adapter"),
    ],
)
def test_without_an_address_nothing_is_begun(text: str, where: str, way: str, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, text)
    (problem,) = problems(place_in(tmp_path), recipe)
    assert re.search(where + "step 'packages-openvz' fetches packages", problem), problem
    assert way in problem and "add --build-address ADDRESS" in problem


def test_what_would_work_is_not_refused(tmp_path: Path) -> None:
    veth, venet = recipe_of(tmp_path, VETH), recipe_of(tmp_path, VENET + ADDRESS)
    assert problems(place_in(tmp_path), venet) == []
    assert problems(place_in(tmp_path, address="10.0.0.9"), veth) == []
    assert problems(place_in(tmp_path, OnLxcNode), veth) == []
    plan = plan_for(veth, "openvz", place_in(tmp_path).options)
    last = max(i for i, step in enumerate(plan.steps) if step.installs)
    assert problems(place_in(tmp_path), veth, kept=last + 2) == []
    assert problems(place_in(tmp_path), veth, kept=last + 1) != []
    assert problems(place_in(tmp_path, use_cache=False), veth, kept=last + 2) != []
    assert problems(place_in(tmp_path), recipe_of(tmp_path, VETH + "[config]\nmirror = file:///srv/debian\n")) == []


def test_a_build_and_a_dry_run_refuse_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, place = recipe_of(tmp_path, VETH), place_in(tmp_path)
    look = place.look(recipe, backend_named("openvz"), Facts())
    planned = [(plan_for(recipe, "openvz", place.options), look)]
    monkeypatch.setattr("vmgen_build.build.engine.place_at", lambda options: place)
    for refused in (
        lambda: _Call(recipe, place.options, place, Bus()).require(planned),
        lambda: dry_run(recipe, place.options, Bus()),
    ):
        with pytest.raises(RecipeError, match="add --build-address ADDRESS"):
            refused()


@pytest.mark.parametrize(("kind", "more"), [(OnNode, ("net-tools",)), (OnLxcNode, ())])
def test_a_base_for_a_node_holds_what_its_scripts_call(
    kind: type[NodePlace], more: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = recipe_of(tmp_path, VENET + ADDRESS)
    backend = backend_named("openvz")
    facts = kind(place_in(tmp_path).options).look(recipe, backend, Facts()).facts
    part = backend.part(recipe, None)
    here, there = (make_plan(recipe, "openvz", part, one).base for one in (Facts(), facts))
    assert isinstance(here, Bootstrapped) and isinstance(there, Bootstrapped)
    assert there.packages == (*here.packages, *more)
    assert (there.id == here.id) is (not more)


def test_the_nodes_own_os_template_stays_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path, VENET + ADDRESS)
    monkeypatch.setattr(Bare, "there", frozenset({"debian-12-x86_64"}))
    monkeypatch.setattr(Bare, "os_template_digest", lambda self, name: "0" * 64)
    look = place_in(tmp_path).look(recipe, backend_named("openvz"), Facts())
    assert (look.facts.os_template, look.facts.node, look.needs_address) == ("debian-12-x86_64", "", True)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the node is this host, and of amd64")
def test_a_node_whose_kernel_runs_no_such_programs_is_refused_at_the_line_of_os(tmp_path: Path) -> None:
    place = place_in(tmp_path, OnLxcNode)
    recipe = recipe_of(tmp_path, "")
    for arch, refused in (("arm64", True), ("i386", False), ("amd64", False)):
        path = recipe.path
        path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-{arch}\n")
        if not refused:
            place.look(load(path), backend_named("openvz"), Facts())
            continue
        with pytest.raises(RecipeError, match=r"lab\.ini:3: \[hardware\] os: .* runs no arm64 programs, .* x86_64"):
            place.look(load(path), backend_named("openvz"), Facts())
