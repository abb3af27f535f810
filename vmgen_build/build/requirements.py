"""What running plans and making bases need of this host; what packing needs says the backend."""

from __future__ import annotations

from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.model import Plan

RUNNING = (needed("lxc-execute", "runs the containers of a build"),)
"""Where steps run in containers of this host."""

MAKERS = {"mmdebstrap": needed("mmdebstrap", "makes a Debian base")}
"""Method of making a base (systems.model.System.base) -> the program that does it."""


def base_requirements(plan: Plan) -> tuple[Requirement, ...]:
    """What making this plan's base here needs."""
    if not isinstance(plan.base, Bootstrapped):
        return ()
    return tuple(requirement for method, requirement in MAKERS.items() if method == plan.base.method)
