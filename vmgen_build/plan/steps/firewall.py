"""The guest's firewall, written by the family's writer, and knocks at its ports from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.firewall import Firewall, firewall_of
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.network import links
from vmgen_build.plan.writers import FIREWALL, packages_for, whole_script, write
from vmgen_build.recipe.sections.network import IPInterface
from vmgen_build.recipe.types.netfilter import Rule

ORDER = 330

UNUSED_PORTS = (9, 7, 13, 17, 19, 37, 11, 1)
"""TCP ports of services that nobody runs any more: the first one that the recipe leaves closed is knocked at."""
KNOCK_WAIT = 10.0
"""Seconds for which a knock at a port is repeated: the boot may still be bringing up the network."""


def needs(ctx: PlanContext) -> Iterator[str]:
    firewall = firewall_of(ctx)
    if firewall.active:
        yield from packages_for(FIREWALL, firewall, ctx)


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    firewall = firewall_of(ctx)
    if not firewall.active:
        return
    output = write(FIREWALL, firewall, ctx)
    if isinstance(output, LeftOut):
        yield output
        return
    yield Step(
        name="firewall",
        title="firewall",
        script=whole_script(output, ctx),
        files=output.files,
        probes=(*output.probes, *_knocks(ctx, firewall)),
    )


def _knocks(ctx: PlanContext, firewall: Firewall) -> Iterator[Probe]:
    """Ports asked from outside, where an address is known beforehand and the user's own rules leave no doubt."""
    known = [a for link in links(ctx.recipe) if link.connected for a in link.addresses]
    if not firewall.closed or not known:
        return
    goal = min(known, key=lambda address: address.version)
    mine = [rule for rule in firewall.own if rule.version == goal.version]
    tcp = [o for o in firewall.openings if o.proto == "tcp"]
    for opening in tcp:
        for port in dict.fromkeys((opening.first, opening.last)):
            if _only(mine, port, goal, "ACCEPT"):
                yield _knock("tcp-open", goal, port, opening.setting)
    for port in UNUSED_PORTS:
        if not any(o.first <= port <= o.last for o in tcp) and _only(mine, port, goal, "DROP"):
            yield _knock("tcp-closed", goal, port, "[network] open_ports")
            return


def _only(rules: Iterable[Rule], port: int, goal: IPInterface, target: str) -> bool:
    """Whether no rule gives another answer than `target` to a neighbour that asks for the port."""
    asked = (rule for rule in rules if rule.concerns(port, goal.network))
    return all(rule.target in ("", "LOG", "NFLOG", target) for rule in asked)


def _knock(kind: str, goal: IPInterface, port: int, setting: str) -> Probe:
    expected = kind.rpartition("-")[2]
    return Probe(f"port-{port}-{expected}", setting, f"{goal.ip} {port}", expected, kind, KNOCK_WAIT)
