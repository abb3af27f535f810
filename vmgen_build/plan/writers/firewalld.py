"""The firewall by firewalld: firewalld.zone(5), firewalld.policy(5), firewalld.conf(5).

Rules of iptables that a recipe gives need all of netfilter: firewalld drops what such a rule accepts, knows no policies
of chains, and puts what is appended behind its own. So a recipe with such rules has them loaded by a service of its
own, with the generated ones, and firewalld is off.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall, Opening
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.text.xml import xml_text
from vmgen_build.plan.writers.iptables import policies as chain_policies
from vmgen_build.plan.writers.iptables import saved_rules
from vmgen_build.plan.writers.model import Output, own_packages

ZONE = "vmgen"
"""The default zone: every interface but the outer one of a router that hides its network."""
OUTER = "vmgen-outer"

POLICY = "vmgen-out"
POLICY_TEXT = f"""\
<?xml version="1.0" encoding="utf-8"?>
<policy target="ACCEPT">
  <short>{POLICY}</short>
  <description>What comes from inside is forwarded.</description>
  <ingress-zone name="{ZONE}"/>
  <egress-zone name="{OUTER}"/>
</policy>
"""

DAEMON_START = 20.0
"""Seconds that the daemon has to come up."""


def zone_of(link: str, wanted: Firewall, ctx: PlanContext) -> str:
    """The zone that a connection must name, "" for the default one."""
    ours = ctx.system.writers.get("firewall") == "firewalld" and not wanted.own
    return OUTER if ours and _hides(wanted) and link == wanted.outer else ""


def write(wanted: Firewall, ctx: PlanContext) -> Output:
    if wanted.own:
        packages = own_packages(ctx, "iptables")
        return saved_rules(wanted, ctx, "linux/iptables_unit.sh.j2", packages)
    zones = {f"{ZONE}.xml": zone_text(wanted, outer=False)}
    policies = {}
    if _hides(wanted):
        zones[f"{OUTER}.xml"] = zone_text(wanted, outer=True)
        policies[f"{POLICY}.xml"] = POLICY_TEXT
    return Output(
        script=ctx.renderer.fragment("linux/firewalld.sh.j2", zones=list(zones), policies=list(policies), default=ZONE),
        files=tuple(StepFile.of(name, text) for name, text in (zones | policies).items()),
        packages=own_packages(ctx, "firewalld"),
        probes=tuple(_probes(wanted, ctx)),
    )


def zone_text(wanted: Firewall, *, outer: bool) -> str:
    """What it lets in is what the rules of iptables let in. It forwards between its own interfaces."""
    target = "DROP" if wanted.closed else "ACCEPT"
    described = "".join(f"{port(o)}/{o.proto}: {o.comment}\n" for o in wanted.openings if o.comment)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<zone target="{target}">',
        f"  <short>{OUTER if outer else ZONE}</short>",
        f"  <description>{xml_text(described).replace('&#10;', ' ').strip() or 'Made from a recipe.'}</description>",
        *(_let_in(wanted.openings) if wanted.closed else ()),
        *(["  <masquerade/>"] if outer else []),
        *(["  <forward/>"] if wanted.routes else []),
        "</zone>",
    ]
    return "".join(f"{line}\n" for line in lines)


def _hides(wanted: Firewall) -> bool:
    """A zone that masquerades makes the machine a router: one that is none has nothing to hide."""
    return wanted.nat and wanted.routes


def port(opening: Opening) -> str:
    return opening.ports.replace(":", "-")


def _let_in(openings: tuple[Opening, ...]) -> Iterator[str]:
    yield from (f'  <protocol value="{name}"/>' for name in ("icmp", "ipv6-icmp"))
    yield from (f'  <port port="{port(opening)}" protocol="{opening.proto}"/>' for opening in openings)


def _probes(wanted: Firewall, ctx: PlanContext) -> Iterator[Probe]:
    """firewalld may die, and say that all went well: it is asked itself, and for what it does now."""
    sh, openings = ctx.renderer.sh, "[network] open_ports"
    if "INPUT" in chain_policies(wanted):
        script = sh("linux/probes/firewalld_zone.sh.j2", zone=ZONE, target="DROP")
        yield Probe("firewall-INPUT", openings, script, f"{ZONE} DROP", retry=DAEMON_START)
    for opening in wanted.openings:
        queried = f"--query-port={port(opening)}/{opening.proto}"
        script = sh("linux/probes/firewalld_query.sh.j2", zone=ZONE, query=queried)
        yield Probe(f"firewall-{opening.proto}-{opening.ports}", opening.setting, script, "yes", retry=DAEMON_START)
    if _hides(wanted):
        script = sh("linux/probes/firewalld_nat.sh.j2", zone=OUTER, link=wanted.outer)
        yield Probe("firewall-nat", "[network] nat", script, f"{OUTER} yes", retry=DAEMON_START)
