"""A firewall as rules of iptables(8), which a service loads at each boot before the network comes up: what the writers
that save such rules share."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall, Opening
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.netfilter import rules_text
from vmgen_build.plan.writers.model import Output
from vmgen_build.recipe.types.netfilter import Rule

COMMANDS = {4: "iptables", 6: "ip6tables"}
REMOVING = ("-D", "--delete", "-R", "--replace", "-F", "--flush", "-X", "--delete-chain", "-E", "--rename-chain")


def saved_rules(wanted: Firewall, ctx: PlanContext, template: str, packages: tuple[str, ...]) -> Output:
    """template: puts files/rules.v4 and rules.v6 in place and has them loaded at boot."""
    rules, chosen = [*wanted.own, *_generated(wanted)], policies(wanted)
    return Output(
        script=ctx.renderer.fragment(template),
        files=(
            StepFile.of("rules.v4", rules_text(rules, chosen, 4), 0o640),
            StepFile.of("rules.v6", rules_text(rules, chosen, 6), 0o640),
            StepFile.of("empty", "*filter\nCOMMIT\n"),
        ),
        packages=packages,
        probes=tuple(_probes(wanted, ctx)),
    )


def policies(wanted: Firewall) -> dict[str, str]:
    """Built-in chain of the filter table -> target, where it is not ACCEPT."""
    if not wanted.closed:
        return {}
    return {"INPUT": "DROP"} | ({} if wanted.routes and not wanted.nat else {"FORWARD": "DROP"})


def _generated(wanted: Firewall) -> Iterator[Rule]:
    for version, icmp in ((4, "icmp"), (6, "ipv6-icmp")):
        if wanted.closed:
            yield _filter(version, "-A INPUT -i lo -j ACCEPT")
            yield _filter(version, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            yield _filter(version, f"-A INPUT -p {icmp} -j ACCEPT")
            yield from (_accepting(opening, version) for opening in wanted.openings)
        if wanted.closed and wanted.nat and wanted.routes:
            yield _filter(version, "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            yield _filter(version, f"-A FORWARD ! -i {wanted.outer} -j ACCEPT")
    if wanted.nat:
        yield _masquerade(wanted.outer)


def _accepting(opening: Opening, version: int) -> Rule:
    words = ("-A", "INPUT", "-p", opening.proto, "-m", opening.proto, "--dport", opening.ports)
    comment = ("-m", "comment", "--comment", opening.comment) if opening.comment else ()
    return Rule("filter", (*words, *comment, "-j", "ACCEPT"), version)


def _filter(version: int, words: str) -> Rule:
    return Rule("filter", tuple(words.split()), version)


def _masquerade(outer: str) -> Rule:
    return Rule("nat", ("-A", "POSTROUTING", "-o", outer, "-j", "MASQUERADE"))


def _probes(wanted: Firewall, ctx: PlanContext) -> Iterator[Probe]:
    """That the booted guest has loaded what the files hold."""
    own = wanted.own
    own_policies = {rule.words[1] for rule in own if rule.words[0] in ("-P", "--policy") and len(rule.words) == 3}
    for chain, target in policies(wanted).items():
        if chain not in own_policies:
            policy = f"-P {chain} {target}"
            script = ctx.renderer.sh("linux/probes/firewall_policy.sh.j2", chain=chain, policy=policy)
            yield Probe(f"firewall-{chain}", "[network] open_ports", script, policy)
    for opening in wanted.openings:
        name = f"firewall-{opening.proto}-{opening.ports}"
        yield _present(ctx, name, opening.setting, _accepting(opening, 4), _accepting(opening, 6))
    kept = not any(rule.words[0] in REMOVING for rule in own)
    for index, rule in enumerate(own, 1):
        if kept and _question(rule):
            yield _present(ctx, f"firewall-rule-{index}", "[network] firewall_rules", rule)
    if wanted.nat:
        yield _present(ctx, "firewall-nat", "[network] nat", _masquerade(wanted.outer))


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
