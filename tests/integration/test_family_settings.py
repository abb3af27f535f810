"""Routers of other families, by their own means, on the test distributions: what no other test's recipe asks for.

The steps of settings alone are run; the roots have what these need.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distros.roots import DISTRIBUTIONS, root_of
from tests.distros.wired import INSIDE, OUTSIDE, Router, routing
from vmgen_build.plan.model import Part, Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

RECIPE = """\
[hardware]
    vm_id = router
    os = {system}
    [[eths]]
        [[[eth0]]]
        [[[eth1]]]
[config]
    keyboard = us
[network]
    ip_routing = 1
    nat = 1
    [[eths]]
        [[[eth1]]]
            address = 10.9.0.1/16, 2001:db8::2/64, 2001:db8::3/64
    [[open_ports]]
        [[[ssh]]]
            port = 22
            description = '''it's "ssh" <x> & y'''
"""
OWN = """\
    [[firewall_rules]]
        r0 = -N MINE
        r1 = -I INPUT 1 -j MINE
        r2 = -A INPUT -s 10.9.0.0/16 -p tcp --dport 9 -j REJECT
        r3 = ip6tables -A INPUT -p tcp --dport 24 -j REJECT
"""
"""openSUSE's router has them, so that its firewall is iptables in place of firewalld."""

STEPS = ("system", "network", "firewall", "generalise")


def run_steps(cache: Path, name: str, plan: Plan, folder: Path) -> None:
    """Run the steps over the distribution's root; changes stay in the folder."""
    for step in (step for step in plan.steps if step.name in STEPS):
        things = folder / step.name
        (things / "files").mkdir(parents=True)
        for file in step.files:
            (things / "files" / file.name).write_bytes(file.content or b"")
        (things / "script").write_text(step.script)
        root = root_of(cache, DISTRIBUTIONS[name]).bound({things: "/run/vmgen"})
        root.run("/bin/sh", "/run/vmgen/script", upper=folder / "root")


@pytest.fixture(scope="module", params=tuple(DISTRIBUTIONS))
def router(
    request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Router, Plan]]:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    recipe = folder / "router.ini"
    text = RECIPE.format(system=DISTRIBUTIONS[name].system)
    recipe.write_text(text + (OWN if name == "opensuse" else ""))
    plan = make_plan(load(recipe), "lxc", Part())
    run_steps(cache, name, plan, folder)
    root = root_of(cache, DISTRIBUTIONS[name]).over(folder / "root/upper")
    with routing(root, folder / "machine") as made:
        yield made, plan


def answers(router: Router, step: Step) -> dict[str, tuple[int, str]]:
    """Of those probes of a step that do not hold."""
    found = {}
    for probe in (probe for probe in step.probes if probe.kind == "guest"):
        end = time.monotonic() + probe.retry
        while (ran := router.sh(probe.script))[0] != 0 and time.monotonic() < end:
            time.sleep(0.2)
        found[probe.name] = ran
    return {name: ran for name, ran in found.items() if ran[0] != 0}


def test_the_probes_hold_and_the_inner_network_is_hidden(router: tuple[Router, Plan]) -> None:
    made, plan = router
    for step in (step for step in plan.steps if step.name in STEPS):
        assert answers(made, step) == {}
    outer = made.sh("ip -4 -o address show dev eth0 | awk '{ print $4 }'")[1].partition("/")[0]
    assert made.visitor(made.outside, OUTSIDE, made.inside) == outer
    route = ["ip", "route", "replace", "10.9.0.0/16", "via", outer]
    subprocess.run([*made.outside, *route], check=True)
    assert made.visitor(made.inside, INSIDE, made.outside) == "nobody"
