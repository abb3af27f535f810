"""The keyboard in /etc/default/keyboard: keyboard(5)."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.model import Output


def write(wanted: str, ctx: PlanContext) -> Output:
    """wanted: layout or layout:variant. Both are plain words: the recipe takes no others."""
    layout, _, variant = wanted.partition(":")
    text = f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\nXKBVARIANT="{variant}"\nXKBOPTIONS=""\n\nBACKSPACE="guess"\n'
    script = ctx.renderer.sh("linux/probes/keyboard.sh.j2", layout=layout, variant=variant)
    return Output(
        script=ctx.renderer.fragment("linux/debian/keyboard_configuration.sh.j2"),
        files=(StepFile.of("keyboard", text),),
        packages=("keyboard-configuration",),
        probes=(Probe("keyboard", "[config] keyboard", script, wanted),),
    )
