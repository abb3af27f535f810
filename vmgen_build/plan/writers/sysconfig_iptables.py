"""The firewall by /etc/sysconfig/iptables and ip6tables, which the services of these names load; where there are no
such services, by one of our own."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firewall import Firewall
from vmgen_build.plan.writers.iptables import saved_rules
from vmgen_build.plan.writers.model import Output, own_packages


def write(wanted: Firewall, ctx: PlanContext) -> Output:
    packages = own_packages(ctx, "sysconfig_iptables")
    return saved_rules(wanted, ctx, "linux/redhat/sysconfig_iptables.sh.j2", packages)
