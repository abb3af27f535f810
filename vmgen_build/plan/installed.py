"""A whole machine that Setup of Windows makes in a build, as a plan has it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from vmgen_build.plan.bases import InstalledMachine
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.machine import FILE
from vmgen_build.plan.model import Part
from vmgen_build.plan.setupmedia import SetupMedia, media_of_build
from vmgen_build.secret import Secret

SOME_PASSWORD = Secret("Some-Passw0rd")
"""For what is only looked at: a build has another, and what comes of Setup does not depend on it but by its key."""


def installed_machine(ctx: PlanContext, part: Part) -> InstalledMachine:
    """part: the backend's, with the machine. Raises RecipeError for what no answer file can say, and for tools that
    nobody can install silently."""
    machine = part.build_recipe[FILE]
    media = media_of_build(ctx, SOME_PASSWORD, vmware=bool(ctx.facts.setup_key))
    return InstalledMachine(
        os=ctx.system.name,
        arch=ctx.system.arch,
        media=ctx.facts.media,
        answers=_digest(media),
        machine=machine,
        source=ctx.facts.source,
        key=ctx.facts.setup_key,
    )


def _digest(media: SetupMedia) -> str:
    """Of all that Setup is answered, with the product key in it. Files of this host are known by their own digests."""
    files = {**media.cd, **media.floppy}
    known = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if not isinstance(data, Path)}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
