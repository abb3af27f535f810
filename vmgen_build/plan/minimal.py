"""The machine that a plan starts from which runs in a whole machine, and names none: the base's root with a kernel and
a boot loader, and the agent that its steps are run by. Pure.

While it is built it boots to a target of its own, so that no service runs, no first boot is used up, and nothing is
written that a booted machine writes; `removal` takes all of that out again.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.plan.bases import Base, MinimalMachine
from vmgen_build.plan.digests import digest_of
from vmgen_build.plan.machine import FILE
from vmgen_build.plan.model import Part, Step, StepFile, chained
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import HOME

AGENT = "/etc/vmgen-build-agent"
SERVICE, TARGET = "vmgen-build-agent.service", "vmgen-build.target"
JOURNAL = "/etc/systemd/journald.conf.d/vmgen-build.conf"
DEFAULT = "/etc/systemd/system/default.target"

WORK = "/dev/shm/vmgen-build"  # noqa: S108 - of a guest that is ours alone; /run is emptied by the clean-up
"""Folder of the guest, in memory, in which the agent works."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What takes the build's orders in the machine. script, login: as in Facts. units: of the hypervisor's tools, where
    these take the orders."""

    script: str
    login: str = ""
    units: tuple[str, ...] = ()


def minimal_machine(root: Base, part: Part, agent: Agent, renderer: Renderer) -> MinimalMachine:
    steps = chained((*part.packages, _agent_step(agent, renderer, identity(root))), root.id)
    return MinimalMachine(root, tuple(steps), part.build_recipe[FILE], agent.login)


def identity(root: Base) -> str:
    """The machine-id(5) while it is built: one that is there, so that no boot counts as the first."""
    return digest_of(f"building {root.id}")[:32]


def removal(base: MinimalMachine, renderer: Renderer) -> str:
    """A script of sh that leaves nothing of the build's in the machine; it is the last that runs there."""
    return renderer.sh(
        "vm/build-agent-removal.sh.j2",
        files=[AGENT, JOURNAL, f"/etc/systemd/system/{SERVICE}", f"/etc/systemd/system/{TARGET}"],
        default=DEFAULT,
        target=TARGET,
        journal_folder=JOURNAL.rpartition("/")[0],
        home=HOME,
        identity=identity(base.root),
        login=base.login,
        line=f"/^{base.login}:/d",
        work=WORK,
    )


def clearing(renderer: Renderer) -> str:
    """A script of sh that leaves nothing of the build's in a machine of the user's, which was given no agent."""
    return renderer.sh("vm/clearing.sh.j2", home=HOME, work=WORK)


def _agent_step(agent: Agent, renderer: Renderer, machine_id: str) -> Step:
    service = "vm/build-login.service.j2" if agent.login else "vm/build-agent.service.j2"
    texts = {
        "agent": agent.script,
        "journal": "[Journal]\nStorage=none\n",
        SERVICE: renderer.sh(service, script=AGENT, units=list(agent.units)),
        TARGET: renderer.sh("vm/build-agent.target.j2", unit=SERVICE, wanted=list(agent.units)),
    }
    script = renderer.sh(
        "vm/build-agent.sh.j2",
        units=[SERVICE, TARGET],
        agent=AGENT,
        journal=JOURNAL,
        default=DEFAULT,
        target=TARGET,
        identity=machine_id,
        accounts=_accounts(agent.login),
    )
    files = tuple(StepFile.of(name, text) for name, text in texts.items())
    return Step(name="build-agent", title="agent of the build", script=script, files=files)


def _accounts(login: str) -> dict[str, str]:
    """Lines of passwd(5) and shadow(5) by their files: another name of root, which no password lets in yet."""
    if not login:
        return {}
    return {"/etc/passwd": f"{login}:x:0:0::/root:/bin/sh", "/etc/shadow": f"{login}:*:::::::"}
