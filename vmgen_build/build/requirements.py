"""What running plans and making bases need of this host; what packing needs says the backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from vmgen_build.bases import diskimage
from vmgen_build.bases.supply import base_maker
from vmgen_build.bases.unpack import READS_SQUASHFS
from vmgen_build.host.architectures import requirements_of
from vmgen_build.host.needs import NAMESPACES, OVERLAYFS, ROOT, ControlGroups, DebianKeys, ManyUsers, Need, programs
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.plan.bases import Bootstrapped, Foreign, Image, Root, Squashfs
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import buildable
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

RUNNING = (needed("lxc-execute", "runs the containers of a build"),)
"""Where steps run in containers of this host."""


def base_requirements(plan: Plan) -> tuple[Requirement, ...]:
    """What making this plan's base here needs."""
    if isinstance(plan.base, Foreign):
        return (*RUNNING, *_root_requirements(plan.base.root))
    maker = base_maker(plan.system) if isinstance(plan.base, Bootstrapped) else None
    return (maker[1], *maker[0].checking, *requirements_of(plan.arch)) if maker else ()


def _root_requirements(root: Root) -> tuple[Requirement, ...]:
    if isinstance(root, Image):
        return diskimage.REQUIREMENTS
    return (READS_SQUASHFS,) if isinstance(root, Squashfs) else ()


FIRST = "apt"
"""The installer of the systems that the tool comes from: what their bases need is asked of every host."""


def all_base_requirements() -> tuple[Requirement, ...]:
    """What making the bases of Debian and its relatives needs, each once."""
    return _making(lambda system: system.installer == FIRST)


def other_base_requirements() -> tuple[Requirement, ...]:
    """What making the bases of all other systems needs. Where it is not there, an image server gives the base."""
    return _making(lambda system: system.installer != FIRST)


@cache
def base_needs() -> tuple[Need, ...]:
    """Where bases of Debian and its relatives are made."""
    return (*programs(*all_base_requirements()), DebianKeys())


def container_needs() -> tuple[Need, ...]:
    """Where steps run in containers of this host."""
    return (ROOT, ManyUsers(), NAMESPACES, OVERLAYFS, ControlGroups(), *programs(*RUNNING), *base_needs())


def _making(wanted: Callable[[System], bool]) -> tuple[Requirement, ...]:
    systems = (system for system in map(parse_system, buildable()) if wanted(system))
    makers = (base_maker(system) for system in systems)
    return tuple(dict.fromkeys(one for maker in makers if maker for one in (maker[1], *maker[0].checking)))
