"""The firewall by the rules files of Debian's iptables-persistent."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall
from vmgen_build.plan.writers.iptables import saved_rules
from vmgen_build.plan.writers.model import Output


def write(wanted: Firewall, ctx: PlanContext) -> Output:
    template = "linux/debian/netfilter_persistent.sh.j2"
    return saved_rules(wanted, ctx, template, ("iptables", "iptables-persistent"))
