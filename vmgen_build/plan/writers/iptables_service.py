"""The firewall by the rules files and the services of Arch's iptables."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall
from vmgen_build.plan.writers.iptables import saved_rules
from vmgen_build.plan.writers.model import Output, own_packages


def write(wanted: Firewall, ctx: PlanContext) -> Output:
    packages = own_packages(ctx, "iptables_service")
    return saved_rules(wanted, ctx, "linux/arch/iptables_service.sh.j2", packages)
