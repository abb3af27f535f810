"""What the guest's firewall is to let in, in no system's own form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.catalogue.programs import Program
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.netfilter import comment
from vmgen_build.plan.network import outer_link
from vmgen_build.recipe.types.netfilter import Rule

PROTOCOLS = {"tcp": ("tcp",), "udp": ("udp",), "all": ("tcp", "udp")}


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


@dataclass(frozen=True)
class Firewall:
    """own: the recipe's rules, as iptables has them; they stand before all others. openings: in the recipe's order.

    closed: whether what is not opened is closed. routes: whether the guest forwards between networks; a router forwards
    freely, but one that hides its network (nat) forwards what comes from inside and the answers to it.
    outer: name of the link that leads outside.
    """

    own: tuple[Rule, ...]
    openings: tuple[Opening, ...]
    closed: bool
    routes: bool
    nat: bool
    outer: str

    @property
    def active(self) -> bool:
        """Whether the recipe asks for a firewall at all."""
        return bool(self.closed or self.own or self.nat)


def firewall_of(ctx: PlanContext) -> Firewall:
    network = ctx.recipe.network
    return Firewall(
        own=network.firewall_rules,
        openings=openings(ctx),
        closed=bool(network.open_ports or network.allowed_programs),
        routes=network.ip_routing,
        nat=network.nat,
        outer=outer_link(ctx.recipe).name,
    )


def openings(ctx: PlanContext) -> tuple[Opening, ...]:
    """What open_ports and allowed_programs open, in the recipe's order, each port once."""
    found: dict[tuple[str, int, int], Opening] = {}
    for one in (*_open_ports(ctx), *_allowed_programs(ctx)):
        found.setdefault((one.proto, one.first, one.last), one)
    return tuple(found.values())


def _open_ports(ctx: PlanContext) -> Iterator[Opening]:
    for port in ctx.recipe.network.open_ports.values():
        for proto in PROTOCOLS[port.proto]:
            yield Opening(proto, *port.port, comment(port.description or ""), "[network] open_ports")


def _allowed_programs(ctx: PlanContext) -> Iterator[Opening]:
    for name in ctx.recipe.network.allowed_programs:
        program = ctx.recipe.catalogue.resolve(name, None, ctx.system)
        for known in program.ports if isinstance(program, Program) else ():
            for proto in PROTOCOLS[known.proto]:
                setting = f"[network] allowed_programs: {name}"
                yield Opening(proto, known.number, known.number, program.name, setting)
