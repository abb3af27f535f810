"""Issue 14: --offline keeps every step off the network, and says before a build begins what it cannot make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from vmgen_build.bases.apt.archive import sources_of
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.supply import COMPLETE, Request
from vmgen_build.build.advice import MAYBE_OFFLINE, OFFLINE, Causes
from vmgen_build.build.diagnosis import Diagnosis
from vmgen_build.build.engine import _plan
from vmgen_build.build.job import Build, Stage
from vmgen_build.build.offline import require_at_hand
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.model import Look
from vmgen_build.build.places.registry import place_at
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.guests.machines.guest import RESOLV_CONF, MachineGuest
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan, Step
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.cachedir import claim_cache

TEXT = "[hardware]\nvm_id = lab\nos = debian-12\n[devel]\nvim = 1\n"
MIRROR = "[config]\nmirror = file:/srv/debian\n"
REPOSITORY = "[config]\n[[repos]]\n[[[own]]]\nurl = http://apt.example.org\n"
FACTS = Facts("release", 1700000000)
PLAIN = TEXT.partition("[devel]")[0]


@pytest.fixture(autouse=True)
def _no_mirror_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_this_host(request: Request, _: Path) -> AptSupply:
        return AptSupply(request, sources_of(request.system, request.mirror, {}), (), b"")

    monkeypatch.setattr(AptSupply, "of_this_host", of_this_host)


def recipe_of(folder: Path, text: str = TEXT) -> Recipe:
    path = folder / "lab.ini"
    path.write_text(text)
    return load(path)


def planned(folder: Path, text: str = TEXT, facts: Facts = FACTS, **options: object) -> tuple[BuildOptions, Plan]:
    chosen = BuildOptions(cache=folder / "cache", **{"offline": True, **options})  # type: ignore[arg-type]
    return chosen, _plan(recipe_of(folder, text), chosen.backends[0], chosen, facts)


def refused(options: BuildOptions, plan: Plan, *, there: tuple[str, ...] = ()) -> str:
    """What require_at_hand says; "" for nothing. there: the layers that are in the cache, or on the server."""
    for layer in there:
        claim_cache(options.cache)
        made = options.cache / "tmp" / layer[:12]
        (made / "data/fs").mkdir(parents=True)
        options.store().add(layer, made, name="x", parents=(), extra={})
    try:
        require_at_hand(place_at(options), plan, Look(FACTS))
    except BuildError as error:
        return str(error)
    return ""


def complete_indexes(options: BuildOptions, plan: Plan, repositories: str = "") -> None:
    assert isinstance(plan.base, Bootstrapped)
    supply = AptSupply.of_this_host(Request(plan.system, plan.mirror, plan.epoch), options.cache)
    (supply.indexes(options.cache, plan.base.release + repositories) / COMPLETE).touch()


def test_a_step_has_the_same_id_and_no_way_out(tmp_path: Path) -> None:
    (_, off), (_, on) = planned(tmp_path), planned(tmp_path, offline=False)
    assert off.id == on.id and off.to_json() == on.to_json()
    (step,) = [step for step in on.steps if step.network]
    assert on.reaches(step) and not off.reaches(step)


def test_what_has_to_be_made_needs_indexes(tmp_path: Path) -> None:
    options, plan = planned(tmp_path)
    assert "the base system has to be made, and no package indexes" in refused(options, plan)
    found = refused(options, plan, there=(plan.base.id,))
    assert found == (
        "step 'packages-devel' has to run, and no package indexes for it are in the cache: run once without --offline"
    )
    assert "the base system" in refused(replace(options, use_cache=False), plan)
    complete_indexes(options, plan)
    assert refused(options, plan) == refused(replace(options, use_cache=False), plan) == ""


def test_what_is_there_needs_none_and_what_installs_nothing_neither(tmp_path: Path) -> None:
    options, plan = planned(tmp_path)
    assert refused(options, plan, there=(plan.base.id, *(step.id for step in plan.steps))) == ""
    options, plain = planned(tmp_path, PLAIN)
    assert refused(options, plain, there=(plain.base.id,)) == ""


def test_without_the_option_nothing_is_refused(tmp_path: Path) -> None:
    assert refused(*planned(tmp_path, offline=False)) == ""


def test_a_mirror_that_is_a_folder_is_no_network(tmp_path: Path) -> None:
    assert refused(*planned(tmp_path, TEXT + MIRROR)) == ""


def test_a_repository_of_the_recipe_s_has_indexes_of_its_own(tmp_path: Path) -> None:
    options, plan = planned(tmp_path, TEXT + REPOSITORY, replace(FACTS, repositories={"own": "digest"}))
    complete_indexes(options, plan)
    assert "step 'packages-devel' has to run" in refused(options, plan)
    (repositories,) = [step.id for step in plan.steps if step.name == "repositories"]
    complete_indexes(options, plan, repositories)
    assert refused(options, plan) == ""


def test_a_node_fetches_indexes_in_each_build(tmp_path: Path) -> None:
    options, plan = planned(tmp_path, host="ssh://node.invalid", backends=("openvz",))
    complete_indexes(options, plan)
    assert "has to run, and no package indexes" in refused(options, plan)
    assert refused(*planned(tmp_path, TEXT + MIRROR, host="ssh://node.invalid", backends=("openvz",))) == ""


def test_a_container_of_openvz_gets_no_address(tmp_path: Path) -> None:
    eth = "[[eths]]\n[[[eth0]]]\ntype = venet\n"
    address = "[network]\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.5\nnetwork = 255.255.255.0\n"
    recipe = recipe_of(tmp_path, PLAIN + eth + address)
    options = BuildOptions(cache=tmp_path, backends=("openvz",), host="ssh://node.invalid")
    assert place_at(options)._setup(recipe).addresses == ("10.0.0.5",)  # type: ignore[attr-defined]
    for address in ("", "10.0.0.6"):
        off = replace(options, offline=True, build_address=address)
        assert place_at(off)._setup(recipe).addresses == ()  # type: ignore[attr-defined]


def test_a_step_in_a_machine_has_the_archive_s_settings_and_no_network(tmp_path: Path) -> None:
    machine = Mock()
    machine.has_indexes = False
    machine.reached = lambda settings: {**settings, RESOLV_CONF: b"nameserver 10.0.2.3\n"}
    machine.supply = lambda request: AptSupply(request, (), (), b"")
    step = Step(name="script-x", title="", script="#!/bin/sh\n", network=True)
    for offline in (True, False):
        _, plan = planned(tmp_path, offline=offline)
        delivery = MachineGuest(machine, plan, (), lambda name: tmp_path / name)._delivery(step)
        assert (delivery.network, delivery.before != "") == (not offline, not offline)
        assert delivery.packages and "apt.conf" in [item.path for item in delivery.items]


@pytest.mark.parametrize(
    ("line", "offline", "advice"),
    [
        ("Temporary failure resolving 'deb.debian.org'", True, OFFLINE),
        ("E: Could not connect to 10.0.0.1:3142", True, OFFLINE),
        ("sh: 1: vmi: not found", True, ""),
        ("it said nothing that is known", True, MAYBE_OFFLINE),
        ("it said nothing that is known", False, None),
        ("Temporary failure resolving 'deb.debian.org'", False, ""),
    ],
)
def test_a_failure_names_the_option(tmp_path: Path, line: str, offline: bool, advice: str | None) -> None:
    """advice: "" for another one, None for none."""
    options, plan = planned(tmp_path, offline=offline)
    causes = Causes()
    causes.line(line)
    step = next(step for step in plan.steps if step.network)
    build = Mock(spec=Build, plan=plan, options=options)
    stage = Stage(step.name, step.title, step.id, 2)
    diagnosis = Diagnosis(build, stage, causes)
    found = diagnosis._advice(StepFailed(step.name, 1, (line,), None), "", diagnosis._kept_off(step))
    if advice is None:
        assert found == ()
    elif advice:
        assert found == (advice,)
    else:
        assert len(found) == 1 and "--offline' keeps" not in found[0]


def test_one_advice_for_all_that_the_network_is_to_blame_for() -> None:
    causes = Causes()
    for line in ("Temporary failure resolving 'x'", "Network is unreachable", "Proxy CONNECT aborted"):
        causes.line(line)
    assert causes.advice(offline=True) == (OFFLINE,)


def test_a_step_that_asks_for_no_network_is_not_named(tmp_path: Path) -> None:
    options, plan = planned(tmp_path)
    diagnosis = Diagnosis(Mock(spec=Build, plan=plan, options=options), Mock(spec=Stage), Causes())
    assert not diagnosis._kept_off(next(step for step in plan.steps if not step.network))
