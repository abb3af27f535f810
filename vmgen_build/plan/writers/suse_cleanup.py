"""The clean-up of an openSUSE image: identities, zypper's caches, logs."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.writers.cleaning import clean_up
from vmgen_build.plan.writers.model import CleanUp, Output


def write(wanted: CleanUp, ctx: PlanContext) -> Output:
    return clean_up(wanted, ctx, "linux/suse/suse_cleanup.sh.j2")
