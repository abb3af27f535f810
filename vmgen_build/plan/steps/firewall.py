"""The guest's firewall: the rules files of iptables-persistent, loaded at each boot before the network comes up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmgen_build.catalogue import programs as catalogue
from vmgen_build.catalogue.programs import Program
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.netfilter import comment, rules_text
from vmgen_build.plan.steps.network import links, outer_link
from vmgen_build.recipe.sections.network import IPInterface
from vmgen_build.recipe.types.netfilter import Rule

ORDER = 330

PROTOCOLS = {"tcp": ("tcp",), "udp": ("udp",), "all": ("tcp", "udp")}
UNUSED_PORTS = (9, 7, 13, 17, 19, 37, 11, 1)
"""TCP ports of services that nobody runs any more: the first one that the recipe leaves closed is knocked at."""
COMMANDS = {4: "iptables", 6: "ip6tables"}
REMOVING = ("-D", "--delete", "-R", "--replace", "-F", "--flush", "-X", "--delete-chain", "-E", "--rename-chain")
KNOCK_WAIT = 10.0
"""Seconds for which a knock at a port is repeated: the boot may still be bringing up the network."""


@dataclass(frozen=True)
class Opening:
    """Ports first to last of a protocol (tcp or udp) that are reachable from outside; setting: which option says so."""

    proto: str
    first: int
    last: int
    comment: str
    setting: str

    @property
    def ports(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}:{self.last}"

    def rule(self, version: int) -> Rule:
        words = ("-A", "INPUT", "-p", self.proto, "-m", self.proto, "--dport", self.ports)
        said = ("-m", "comment", "--comment", self.comment) if self.comment else ()
        return Rule("filter", (*words, *said, "-j", "ACCEPT"), version)


def needs(ctx: PlanContext) -> Iterator[str]:
    if _active(ctx):
        yield from ("iptables", "iptables-persistent")


def steps(ctx: PlanContext) -> Iterator[Step]:
    if not _active(ctx):
        return
    own = ctx.recipe.network.firewall_rules
    rules, chosen = [*own, *_generated(ctx)], policies(ctx)
    yield Step(
        name="firewall",
        title="firewall",
        script=ctx.renderer.sh("linux/firewall.sh.j2"),
        files=(
            StepFile.of("rules.v4", rules_text(rules, chosen, 4), 0o640),
            StepFile.of("rules.v6", rules_text(rules, chosen, 6), 0o640),
            StepFile.of("empty", "*filter\nCOMMIT\n"),
        ),
        probes=(*_rule_probes(ctx, own), *_knocks(ctx, own)),
    )


def openings(ctx: PlanContext) -> list[Opening]:
    """What open_ports and allowed_programs open, in the recipe's order, each port once."""
    found: dict[tuple[str, int, int], Opening] = {}
    for port in ctx.recipe.network.open_ports.values():
        for proto in PROTOCOLS[port.proto]:
            one = Opening(proto, *port.port, comment(port.description or ""), "[network] open_ports")
            found.setdefault((proto, one.first, one.last), one)
    for name in ctx.recipe.network.allowed_programs:
        program = catalogue.resolve(name, None, ctx.system)
        for known in program.ports if isinstance(program, Program) else ():
            for proto in PROTOCOLS[known.proto]:
                one = Opening(proto, known.number, known.number, program.name, f"[network] allowed_programs: {name}")
                found.setdefault((proto, one.first, one.last), one)
    return list(found.values())


def policies(ctx: PlanContext) -> dict[str, str]:
    """Built-in chain of the filter table -> target, where it is not ACCEPT.

    A router forwards freely; one that hides its network (nat) forwards what comes from inside and the answers to it.
    """
    network = ctx.recipe.network
    if not _closed(ctx):
        return {}
    return {"INPUT": "DROP"} | ({} if network.ip_routing and not network.nat else {"FORWARD": "DROP"})


def _active(ctx: PlanContext) -> bool:
    return bool(_closed(ctx) or ctx.recipe.network.firewall_rules or ctx.recipe.network.nat)


def _closed(ctx: PlanContext) -> bool:
    """Whether what is not opened is closed."""
    return bool(ctx.recipe.network.open_ports or ctx.recipe.network.allowed_programs)


def _generated(ctx: PlanContext) -> Iterator[Rule]:
    nat, outer = ctx.recipe.network.nat, outer_link(ctx.recipe).name
    for version, icmp in ((4, "icmp"), (6, "ipv6-icmp")):
        if _closed(ctx):
            yield _filter(version, "-A INPUT -i lo -j ACCEPT")
            yield _filter(version, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            yield _filter(version, f"-A INPUT -p {icmp} -j ACCEPT")
            yield from (opening.rule(version) for opening in openings(ctx))
        if _closed(ctx) and nat and ctx.recipe.network.ip_routing:
            yield _filter(version, "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            yield _filter(version, f"-A FORWARD ! -i {outer} -j ACCEPT")
    if nat:
        yield _masquerade(outer)


def _filter(version: int, words: str) -> Rule:
    return Rule("filter", tuple(words.split()), version)


def _masquerade(outer: str) -> Rule:
    return Rule("nat", ("-A", "POSTROUTING", "-o", outer, "-j", "MASQUERADE"))


def _rule_probes(ctx: PlanContext, own: tuple[Rule, ...]) -> Iterator[Probe]:
    """That the booted guest has loaded what the files hold."""
    own_policies = {rule.words[1] for rule in own if rule.words[0] in ("-P", "--policy") and len(rule.words) == 3}
    for chain, target in policies(ctx).items():
        if chain not in own_policies:
            script = ctx.renderer.sh("linux/probes/firewall_policy.sh.j2", chain=chain, policy=f"-P {chain} {target}")
            yield Probe(f"firewall-{chain}", "[network] open_ports", script, f"-P {chain} {target}")
    for opening in openings(ctx):
        name = f"firewall-{opening.proto}-{opening.ports}"
        yield _present(ctx, name, opening.setting, opening.rule(4), opening.rule(6))
    kept = not any(rule.words[0] in REMOVING for rule in own)
    for index, rule in enumerate(own, 1):
        if kept and _question(rule):
            yield _present(ctx, f"firewall-rule-{index}", "[network] firewall_rules", rule)
    if ctx.recipe.network.nat:
        yield _present(ctx, "firewall-nat", "[network] nat", _masquerade(outer_link(ctx.recipe).name))


def _present(ctx: PlanContext, name: str, setting: str, *rules: Rule) -> Probe:
    checks = [(COMMANDS[r.version], r.table, _question(r)) for r in rules]
    script = ctx.renderer.sh("linux/probes/firewall_rule.sh.j2", checks=checks)
    return Probe(name, setting, script, "loaded")


def _question(rule: Rule) -> tuple[str, ...]:
    """The rule as iptables is asked for it; nothing where it leaves nothing to find."""
    command, *rest = rule.words
    if command in ("-A", "--append"):
        return ("-C", *rest)
    if command in ("-I", "--insert"):
        return ("-C", rest[0], *(rest[2:] if rest[1:2] and rest[1].isdigit() else rest[1:]))
    return ("-S", rest[0]) if command in ("-N", "--new-chain") else ()


def _knocks(ctx: PlanContext, own: tuple[Rule, ...]) -> Iterator[Probe]:
    """Ports asked from outside, where an address is known beforehand and the user's own rules leave no doubt."""
    known = [a for link in links(ctx.recipe) if link.connected for a in link.addresses]
    if not _closed(ctx) or not known:
        return
    goal = min(known, key=lambda address: address.version)
    mine = [rule for rule in own if rule.version == goal.version]
    tcp = [o for o in openings(ctx) if o.proto == "tcp"]
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
