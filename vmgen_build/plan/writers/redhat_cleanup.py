"""The clean-up of an image of Red Hat's family: identities, the caches of dnf and yum, logs; SELinux's labels."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.cleaning import clean_up
from vmgen_build.plan.writers.model import CleanUp, Output


def write(wanted: CleanUp, ctx: PlanContext) -> Output:
    return clean_up(wanted, ctx, "linux/redhat/redhat_cleanup.sh.j2")
