"""The last step of every image: what belongs to one machine, or to the build, goes, by the family's writer."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.installers import GuestFile
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.steps.files import destination
from vmgen_build.plan.writers import CLEAN_UP, CleanUp, Output, whole_script, write

ORDER = 900


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    own = frozenset(destination(file) for file in ctx.recipe.config.files.values())
    sources = _sources(ctx)
    if isinstance(sources, LeftOut):
        yield sources
    known = sources if isinstance(sources, GuestFile) and sources.path not in own else None
    output = write(CLEAN_UP, CleanUp(own, known), ctx)
    yield _step(ctx, output) if isinstance(output, Output) else output


def _sources(ctx: PlanContext) -> GuestFile | LeftOut | None:
    """The distribution's own package sources, as a fresh installation has them; None where nothing installs packages,
    which the plan says elsewhere, and where the clean-up puts them back."""
    installer = ctx.installer
    if installer is None:
        return None
    try:
        sources = installer.canonical_sources(ctx.system)
    except ValueError as error:
        return LeftOut("config", "the distribution's own package sources", str(error))
    return GuestFile(sources[0], sources[1].encode()) if sources else None


def _step(ctx: PlanContext, output: Output) -> Step:
    sh = ctx.renderer.sh
    machine_id, host_keys = sh("linux/probes/machine_id.sh.j2"), sh("linux/probes/ssh_hostkeys.sh.j2")
    return Step(
        name="generalise",
        title="clean-up",
        script=whole_script(output, ctx),
        files=output.files,
        probes=(
            Probe("machine-id", "first boot: machine id", machine_id, expected="32 digits", retry=10),
            Probe("ssh-hostkeys", "first boot: SSH host keys", host_keys, expected="made by this machine", retry=20),
            *output.probes,
        ),
    )
