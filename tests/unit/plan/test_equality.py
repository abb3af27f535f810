"""Every plan for Debian is, byte for byte, the one that it was: plans.json holds digests of what was planned before.

The rooms may be drawn anew; what a build runs must not change by it. Where a step's id changes on purpose, the entry is
made anew (`VMGEN_WRITE_PLANS=1 pytest tests/unit/plan/test_equality.py`), and CHANGED says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.errors import RecipeError
from vmgen_build.plan import bootstrapped, model
from vmgen_build.plan.context import Facts
from vmgen_build.plan.digests import FORMAT
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

ROOT = Path(__file__).resolve().parents[3]
KNOWN = Path(__file__).with_name("plans.json")
BACKENDS = ("lxc", "openvz", "vmware", "kvm")
SYSTEMS = ("debian-11", "debian-12", "debian-13", "debian-sid", "debian-12-i386")
PROFILES = tuple(sorted(path.stem for path in (ROOT / "recipes/profiles").glob("*.ini")))
FILES = {
    "motd": b"welcome\n",
    "own.asc": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n",
    "tool.py": b"#!/usr/bin/env python3\nprint(1)\n",
}
"""What kitchen-sink.ini finds beside it."""

FACTS = Facts(release="release", epoch=1700000000, repositories={"own": "abc"})
NODE = Facts(release="release", epoch=1700000000, os_template="debian-12-x86_64", os_template_digest="0" * 64)

BEFORE = 1
"""The plans were kept under this FORMAT. It rose since, for bases without the bootstrap's own apt settings: every id is
another, by this number alone."""

_EARLY = (
    "kernel, initramfs, boot loader and tools stand before what is edited daily; the keyboard's step alone after it;"
    " the machine's own step is of one template for all families, and its probe names GRUB's folder (issue 10); the"
    " initramfs has Hyper-V's drivers, the build recipe a Vagrantfile (issue 13)"
)

CHANGED: dict[str, str] = {
    "lxc": "its build recipe has a Vagrantfile, an instance's configuration for Incus, and more of the image's"
    " properties; the steps are what they were (issue 13)",
    "openvz": "the packages for OpenVZ's network scripts stand before what is edited daily; INSTALL asks the node where"
    " things lie, and limits a container on an old kernel in two calls (issue 9)",
    "vmware": _EARLY,
    "kvm": _EARLY,
}
"""Backend -> why none of its plans is what it was before."""

USERS = "salts come from the passwords by scrypt, and a password's probe asks for its scheme alone (issue 8, item 10)"
"""Why the step `users`, and by its id all that follow it, is not what it was before; its script is."""


PACKAGES = (
    "installers give lines of sh in place of one command, for managers that need more than one; a program's probe"
    " prints the first command, or the one that is missing (issue 10)"
)
"""Why the scripts and probes of packages, and by their ids all steps that follow, are not what they were before."""


NETWORK = (
    "ifupdown turns off what else would manage the network of a base; probes ask the running system (issue 10, item 6)"
)
"""Why the step `network`, and by its id all that follow it, is not what it was before."""

EVERYTHING = "the recipe asks for a program of its own catalogue, too (issue 10)"
"""Why the plans of everything.ini are not what they were before."""


def recipes() -> Iterator[tuple[str, Path, list[str], Facts]]:
    """Each recipe's name here, its file, what is set over it, and the facts that it is planned by."""
    starter = ROOT / "recipes/lab.ini"
    for system in SYSTEMS:
        yield f"lab {system}", starter, [f"hardware.os={system}"], FACTS
    for profile in PROFILES:
        yield f"lab {profile}", starter, [f"config.profiles={profile}"], FACTS
    yield "thesis-openvz", ROOT / "recipes/samples/thesis-openvz.ini", ["hardware.os=debian-12"], FACTS
    for path in sorted((ROOT / "tests/integration/recipes").glob("*.ini")):
        yield path.stem, path, [], FACTS
    yield "onnode from a template", ROOT / "tests/integration/recipes/onnode.ini", [], NODE
    yield "template", ROOT / "tests/node/template.ini", [], FACTS
    yield "kitchen-sink", ROOT / "tests/unit/plan/kitchen-sink.ini", [], FACTS


def planned(path: Path, sets: list[str], facts: Facts, backend: str) -> Plan:
    recipe = load(path, sets, environ={"TEST_SECRET": "from 'outside' $(x)"})
    return make_plan(recipe, backend, backend_named(backend).part(recipe, None, facts.epoch), facts, None)


def digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def described(step: Step) -> dict[str, Any]:
    """All of a step but where a carried file lies on this host."""
    return {
        "title": step.title,
        "script": step.script,
        "network": step.network,
        "files": [[f.name, f.sha256, f.mode] for f in step.files],
        "inputs": dict(step.inputs),
        "probes": [p.as_dict() for p in step.probes],
    }


def summary(plan: Plan) -> dict[str, Any]:
    rest = {"build_recipe": dict(plan.build_recipe), "probes": [p.as_dict() for p in plan.probes]}
    return {
        "plan": plan.id,
        "base": plan.base.id,
        "steps": {step.name: [step.id, digest(described(step))] for step in plan.steps},
        "rest": digest(rest | {"skipped": plan.skipped, "epoch": plan.epoch, "os": plan.os, "arch": plan.arch}),
    }


def outcome(path: Path, sets: list[str], facts: Facts, backend: str) -> dict[str, Any]:
    try:
        return summary(planned(path, sets, facts, backend))
    except RecipeError as error:
        return {"refused": [f"{p.path}: {p.text}" for p in error.problems]}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sink")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "x86_64")
        for room in (bootstrapped, model):
            patch.setattr(room, "FORMAT", BEFORE)
        for name, path, sets, facts in recipes():
            own = Path(shutil.copy(path, folder)) if path.stem == "kitchen-sink" else path
            for backend in BACKENDS:
                found[f"{name}: {backend}"] = outcome(own, sets, facts, backend)
    if os.environ.get("VMGEN_WRITE_PLANS"):
        KNOWN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found


@pytest.mark.parametrize("key", sorted(json.loads(KNOWN.read_text()) if KNOWN.exists() else {}))
def test_a_plan_is_what_it_was(plans: dict[str, dict[str, Any]], key: str) -> None:
    assert plans[key] == json.loads(KNOWN.read_text())[key]


def test_no_layer_of_before_is_taken(plans: dict[str, dict[str, Any]]) -> None:
    """Layers of before hold settings of the builder's apt: an id of now is none of theirs."""
    assert FORMAT > BEFORE
    now = planned(ROOT / "recipes/lab.ini", ["hardware.os=debian-12"], FACTS, "lxc")
    before = plans["lab debian-12: lxc"]
    assert now.base.id != before["base"]
    assert not {step.id for step in now.steps} & {id for id, _ in before["steps"].values()}


def test_nothing_is_left_out(plans: dict[str, dict[str, Any]]) -> None:
    known = json.loads(KNOWN.read_text())
    assert sorted(known) == sorted(plans)
    planned_ones = [entry for entry in known.values() if "steps" in entry]
    assert len(planned_ones) > 50
    assert set(CHANGED) <= set(BACKENDS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backends_own_steps_come_and_all_others_are_those_of_lxc(
    plans: dict[str, dict[str, Any]], backend: str
) -> None:
    """What the backends share is the same but for its place in the chain."""
    own = {"packages-openvz", "openvz", "packages-machine", "machine", f"tools-{backend}", "screen-keyboard"}
    compared = 0
    for key, plan in plans.items():
        lxc = plans[f"{key.rpartition(': ')[0]}: lxc"]
        if key.endswith(f": {backend}") and "steps" in plan and "steps" in lxc:
            content = {name: content for name, (_, content) in plan["steps"].items() if name not in own}
            assert plan["base"] == lxc["base"]
            if backend != "openvz":
                assert content == {name: content for name, (_, content) in lxc["steps"].items()}, key
            compared += 1
    assert compared > 15
