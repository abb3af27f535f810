"""The clean-up of an Arch image: identities, pacman's caches and its secret key, logs."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.firstboot import FirstBoot
from vmgen_build.plan.model import Probe, StepFile
from vmgen_build.plan.writers.cleaning import HOST_KEYS, clean_up
from vmgen_build.plan.writers.model import CleanUp, Output

MADE = "/etc/pacman.d/gnupg/vmgen-made"
PACMAN_KEYS = FirstBoot("pacman-keys", "pacman's keys", "/usr/lib/vmgen/pacman-keys", (MADE,), waits=False)
KEYS_WAIT = 120.0
"""Seconds that the first boot may take for them: to sign the distribution's keys is slow, and nothing waits for it."""


def write(wanted: CleanUp, ctx: PlanContext) -> Output:
    """Keys of the recipe's own repositories, in /etc/pacman.d/keys, are trusted again by the first boot."""
    output = clean_up(wanted, ctx, "linux/arch/arch_cleanup.sh.j2", (HOST_KEYS, PACMAN_KEYS), pacman_keys=PACMAN_KEYS)
    script = StepFile.of("pacman-keys", ctx.renderer.sh("linux/arch/pacman_keys.sh.j2", made=MADE), 0o755)
    asked = ctx.renderer.sh("linux/probes/pacman_keys.sh.j2", made=MADE)
    probe = Probe("pacman-keys", "first boot: pacman's keys", asked, "made by this machine", retry=KEYS_WAIT)
    return replace(output, files=(*output.files, script), probes=(*output.probes, probe))
