"""The firewall of Windows: on, with a rule for each port that is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.plan.batch import (
    WindowsWork,
    by_powershell,
    carried,
    needs_powershell,
    powershell_line,
    refused,
    step_of,
)
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.firewall import Opening, openings
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.windowsprobe import MACHINE, WindowsQuestion, probe_of

ORDER = 330

POLICY = f"{MACHINE}SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy"

PROFILES = ("StandardProfile", "PublicProfile", "DomainProfile")
"""Keys below POLICY; XP and 2003 outside a domain have the first alone."""

NUMBERS = {"tcp": 6, "udp": 17}
"""Of protocols (IANA, Protocol Numbers)."""

MOST_PORTS = 200
"""Of a range, where the firewall takes single ports alone: Windows XP and 2003."""


@dataclass(frozen=True)
class _Rule:
    """protocol: "TCP" or "UDP"; number: IP's of it. ports: "22", "8000-8080"; each: the same one by one. line: of batch
    that makes it where batch does not carry its name, "" else. setting: as of Opening."""

    name: str
    protocol: str
    ports: str
    each: tuple[int, ...]
    line: str
    number: int
    setting: str


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    network = ctx.recipe.network
    if network.firewall_rules:
        yield LeftOut("network", "firewall_rules", "they are words of iptables, which Windows has none of")
    found = openings(ctx)
    if not (network.open_ports or network.allowed_programs):
        return
    rules = [_rule(ctx, opening) for opening in found]
    probes = (*_on_probes(ctx), *(_rule_probe(ctx, rule) for rule in rules))
    yield step_of(ctx, WindowsWork(name="firewall", title="firewall", values={"rules": rules}, probes=probes))


def _on_probes(ctx: PlanContext) -> Iterator[Probe]:
    for profile in PROFILES if ctx.system.nt >= (6, 0) else PROFILES[:1]:
        question = WindowsQuestion(
            name=f"firewall-{profile}",
            setting="[network] open_ports",
            expected=("0x1",),
            template="value",
            values={"key": f"{POLICY}\\{profile}", "value": "EnableFirewall"},
        )
        yield probe_of(ctx, question)


def _rule_probe(ctx: PlanContext, rule: _Rule) -> Probe:
    old = ctx.system.nt < (6, 0)
    each = tuple(f"{port}:{rule.protocol}:*:Enabled:{rule.name}" for port in rule.each)
    key = f"{POLICY}\\{PROFILES[0]}\\GloballyOpenPorts\\List"
    question = WindowsQuestion(
        name=f"firewall-{rule.protocol.lower()}-{rule.ports}",
        setting=rule.setting,
        expected=each if old else ("open",),
        template="values" if old else "rule",
        values={"key": key} if old else {"rule": rule, "name": rule.name},
    )
    return probe_of(ctx, question)


def _rule(ctx: PlanContext, opening: Opening) -> _Rule:
    network = ctx.recipe.network
    where = next((p.at("description") for p in network.open_ports.values() if p.description == opening.comment), None)
    name = opening.comment or f"{opening.proto} {opening.ports.replace(':', '-')}"
    count = opening.last - opening.first + 1
    if ctx.system.nt < (6, 0) and count > MOST_PORTS:
        port = next(p for p in network.open_ports.values() if p.port == (opening.first, opening.last))
        text = f"the firewall of {ctx.system.title} opens single ports; write ranges of up to {MOST_PORTS}"
        raise refused(port.at("port"), f"[network.open_ports.{port.name}] port", text)
    ports = opening.ports.replace(":", "-")
    line = ""
    if needs_powershell(ctx, name) and not by_powershell(ctx, "firewall"):
        line = powershell_line(ctx, "rule", {"name": name, "protocol": NUMBERS[opening.proto], "ports": ports})
    return _Rule(
        name=name if line else carried(ctx, "firewall", name, where or network.where, opening.setting),
        protocol=opening.proto.upper(),
        ports=ports,
        each=tuple(range(opening.first, opening.last + 1)) if ctx.system.nt < (6, 0) else (),
        line=line,
        number=NUMBERS[opening.proto],
        setting=opening.setting,
    )
