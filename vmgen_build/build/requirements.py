"""What running plans and making bases need of this host; what packing needs says the backend."""

from __future__ import annotations

from vmgen_build.bases import diskimage
from vmgen_build.bases.supply import base_maker
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import Bootstrapped, Image
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import buildable
from vmgen_build.systems.parse import parse_system

RUNNING = (needed("lxc-execute", "runs the containers of a build"),)
"""Where steps run in containers of this host."""


def base_requirements(plan: Plan) -> tuple[Requirement, ...]:
    """What making this plan's base here needs."""
    if isinstance(plan.base, Image):
        return diskimage.REQUIREMENTS
    maker = base_maker(plan.system) if isinstance(plan.base, Bootstrapped) else None
    return (maker[1], *maker[0].checking) if maker else ()


def all_base_requirements() -> tuple[Requirement, ...]:
    """What making the bases of all systems that can be built needs, each once."""
    makers = (base_maker(parse_system(name)) for name in buildable())
    return tuple(dict.fromkeys(one for maker in makers if maker for one in (maker[1], *maker[0].checking)))
