"""What a node gives a container of a build, and plans that could not do with it."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.errors import Problem
from vmgen_build.guests.node.driver import Setup
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.network import links
from vmgen_build.recipe.recipe import Recipe


def setup_of(recipe: Recipe, address: str) -> Setup:
    """address: for the time of the build; else those that the recipe gives its venet adapters."""
    hardware = recipe.hardware
    venets = {name for name, adapter in hardware.eths.items() if adapter.type == "venet"}
    own = [str(a.ip) for link in links(recipe) if link.name in venets for a in link.addresses]
    first = next(iter(hardware.hdds.values()), None)
    return Setup(
        cpus=hardware.num_cpu or 0,
        ram=hardware.ram or 0,
        disk=(first.size if first else None) or 0,
        addresses=(address,) if address else tuple(own),
        arch=hardware.os.arch,
    )


def without_address(recipe: Recipe, plan: Plan, steps: Sequence[Step]) -> list[Problem]:
    """What is wrong, at the adapter, where a container without any address is to run these steps of the plan.

    One that installs packages fetches them first. A mirror that is a folder may lie in the container itself.
    """
    first = next((step.name for step in steps if step.installs), "")
    if not first or (plan.mirror or "").startswith("file:"):
        return []
    hardware = recipe.hardware
    venets = [adapter for adapter in hardware.eths.values() if adapter.type == "venet"]
    adapters = [*venets, *hardware.eths.values()]
    where = adapters[0].at("type") if adapters else hardware.at("eths")
    path = f"[hardware] {adapters[0].name}" if adapters else "[hardware] eths"
    way = "give this one an address in [network]" if venets else "write type = venet for an adapter with an address"
    text = (
        f"step '{first}' fetches packages; a container of an OpenVZ node reaches the network by the address of a venet"
        f" adapter, and no such address is there; {way}, or add --build-address ADDRESS, which it has during the build"
    )
    return [Problem(where, path, text, code="no-build-address")]
