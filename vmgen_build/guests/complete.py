"""A root of others brought to what a base of ours holds."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.bases.supply import Supply
from vmgen_build.guests.model import Output, StepExecutor, StepResult
from vmgen_build.installers import installer_for
from vmgen_build.plan.model import Step
from vmgen_build.systems.model import System


def complete(runner: StepExecutor, packages: Sequence[str], system: System, supply: Supply, output: Output) -> None:
    """No package sources but the build's, and the packages installed that it lacks. Raises StepFailed."""
    installer = installer_for(system)
    _run(runner, Step(name="base", title="", script=supply.neutral), output)
    lacking: list[str] = []
    ask = f"#!/bin/sh\nset -eu\n{installer.is_installed(packages)}"
    _run(runner, Step(name="base", title="", script=ask, success=(0, 1)), lacking.append)
    missing = [name for name in packages if name in lacking]
    if missing:
        script = f"#!/bin/sh\nset -eu\n{installer.install(missing)}"
        _run(runner, Step(name="base", title="", script=script, network=True, installs=True), output)


def _run(runner: StepExecutor, step: Step, output: Output) -> StepResult:
    result = runner.run_step(step, output)
    if not result.ok:
        raise result.failure()
    return result
