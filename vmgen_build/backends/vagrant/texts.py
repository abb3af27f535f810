"""What Vagrant reads in a box: Vagrantfile and metadata.json. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.artifacts.boxnames import METADATA, VAGRANTFILE
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.plan.text.ruby import RUBY
from vmgen_build.recipe.recipe import Recipe

if TYPE_CHECKING:
    from vmgen_build.plan.machine import Machine
    from vmgen_build.plan.model import Plan

VAGRANT = "vagrant"
"""Who logs in where a Vagrantfile names nobody."""

LOADER = "/usr/share/OVMF/OVMF_CODE.fd"
"""Firmware for EFI where Debian, Ubuntu and Fedora have it."""


def vagrantfile_part(
    recipe: Recipe, provider: str, templates: Path | None, machine: Machine | None = None
) -> dict[str, str]:
    """What a plan's build recipe holds of it. provider: lxc, libvirt or virtualbox; machine: for the latter two."""
    logins = [user.login for user in recipe.users.users.values()]
    user = "" if VAGRANT in logins else next(iter(logins), "")
    nics = machine.nics if machine else ()
    text = Renderer(override_folder(recipe.folder, templates), RUBY).render(
        "vagrant/Vagrantfile.j2",
        provider=provider,
        user=user,
        windows=recipe.hardware.os.kind == "windows",
        mac=nics[0].hw_addr.replace(":", "").upper() if nics else "",
        memory=-(-machine.ram >> 20) if machine else 0,
        cpus=machine.cpus if machine else 0,
        efi=machine is not None and machine.firmware == "efi",
        loader=LOADER,
    )
    return {VAGRANTFILE: text}


def small_files(plan: Plan, provider: str, **more: object) -> dict[str, bytes]:
    """Those of a box that all providers want, by name. more: of metadata.json."""
    metadata = json.dumps({"provider": provider, **more}, indent=2) + "\n"
    return {METADATA: metadata.encode(), VAGRANTFILE: plan.build_recipe[VAGRANTFILE].encode()}


def box_in(out: Path, plan: Plan, provider: str) -> Path:
    """Where a box goes: each provider's has a name of its own."""
    return out / f"{plan.name}-{provider}-{plan.arch}.box"
