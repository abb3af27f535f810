"""A backend's share of a plan that starts from a whole machine of the user's: its kernel, its boot loader and what its
disks hold are its own."""

from __future__ import annotations

from collections.abc import Mapping

from vmgen_build.backends.machines import files as vmfiles
from vmgen_build.backends.machines.guest import initramfs_steps, tools_steps
from vmgen_build.backends.machines.probes import link_probes
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.model import Part, Step, StepFile
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe


def own_part(recipe: Recipe, renderer: Renderer, hypervisor: str, build_recipe: Mapping[str, str]) -> Part:
    """build_recipe: as Part has it, with the machine in it. The names of its network adapters come last: the machine
    that the build starts has another one, which its own settings are for."""
    machine = Machine.from_json(build_recipe[FILE])
    links = _links_steps(recipe, machine, renderer)
    return Part(
        packages=tools_steps(recipe, renderer, hypervisor),
        steps=(*initramfs_steps(recipe, renderer), *links),
        build_recipe=build_recipe,
        probes=link_probes(machine, renderer) if links else (),
    )


def _links_steps(recipe: Recipe, machine: Machine, renderer: Renderer) -> tuple[Step, ...]:
    """The one that gives the adapters the names of [network], where the family knows what comes before networks."""
    whole = recipe.hardware.os.family.machine
    if whole is None:
        return ()
    links = dict(vmfiles.link_files(machine))
    texts = {**links, **vmfiles.names_service(machine, whole, renderer)}
    files = tuple(StepFile.of(name, text) for name, text in texts.items())
    script = renderer.sh("vm/links.sh.j2", links=list(links))
    return (Step(name="links", title="names of network adapters", script=script, files=files),)
