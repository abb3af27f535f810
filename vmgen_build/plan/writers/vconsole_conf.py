"""The keyboard in /etc/vconsole.conf, and for X11 as localectl(1) writes it: vconsole.conf(5), xorg.conf(5)."""

from __future__ import annotations

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.model import Output, own_packages


def write(wanted: str, ctx: PlanContext) -> Output:
    """wanted: layout or layout:variant. Both are plain words: the recipe takes no others."""
    layout, _, variant = wanted.partition(":")
    probe = ctx.renderer.sh("linux/probes/keyboard.sh.j2", layout=layout, variant=variant)
    return Output(
        script=ctx.renderer.fragment("linux/vconsole_conf.sh.j2", layout=layout, variant=variant),
        files=(StepFile.of("00-keyboard.conf", x11_text(layout, variant)),),
        packages=own_packages(ctx, "vconsole_conf"),
        probes=(Probe("keyboard", "[config] keyboard", probe, wanted),),
    )


def x11_text(layout: str, variant: str) -> str:
    options = [("XkbLayout", layout), ("XkbModel", "pc105"), ("XkbVariant", variant)]
    lines = "".join(f'        Option "{name}" "{value}"\n' for name, value in options if value)
    return (
        "# Written by vmgen-build; `localectl set-x11-keymap` writes it anew.\n"
        'Section "InputClass"\n'
        '        Identifier "system-keyboard"\n'
        '        MatchIsKeyboard "on"\n'
        f"{lines}"
        "EndSection\n"
    )
