"""What an OpenVZ container needs in its root file system, and what to ask it once it runs."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.artifacts.lxc import PAGE
from vmgen_build.backends.openvz.net import Net, interfaces, tail
from vmgen_build.installers import installer_for
from vmgen_build.plan.context import manner
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.plan.network import BOOT_WAIT
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.recipe import Recipe

LOGIND = "[Login]\nNAutoVTs=0\nReserveVT=0\n"
"""logind.conf(5)."""


def packages(recipe: Recipe, renderer: Renderer) -> tuple[Step, ...]:
    """What vzctl's scripts call in the guest; none for a system whose network files are not those that they write."""
    system = recipe.hardware.os
    names = system.family.node_packages.get("vzctl", ())
    if not names:
        return ()
    installer = installer_for(system)
    install = installer.install(names, manner(recipe))
    script = renderer.sh("linux/packages.sh.j2", install=install, debconf=[], setup=[], units=[])
    check = renderer.sh("linux/probes/packages.sh.j2", check=installer.is_installed(names))
    step = Step(
        name="packages-openvz",
        title="network tools for OpenVZ",
        script=script,
        network=True,
        installs=True,
        packages=names,
        probes=(Probe("openvz-packages", "openvz: packages", check, "installed"),),
    )
    return (step,)


def steps(recipe: Recipe, net: Net, renderer: Renderer) -> tuple[Step, ...]:
    """As for `packages`. After the step "network", whose /etc/network/interfaces it replaces."""
    if recipe.hardware.os.writers.get("network") != "ifupdown":
        return _without_venet(net, renderer)
    texts = {"interfaces": interfaces(net), "interfaces.tail": tail(net), "logind.conf": LOGIND}
    step = Step(
        name="openvz",
        title="container for OpenVZ",
        script=renderer.sh("openvz/container.sh.j2"),
        files=tuple(StepFile.of(name, text) for name, text in texts.items()),
    )
    return (step,)


def _without_venet(net: Net, renderer: Renderer) -> tuple[Step, ...]:
    """What the step "network" of a system without ifupdown has written of venet links goes."""
    links = [link.name for link in net.venet]
    if not links:
        return ()
    return (Step(name="openvz", title="container for OpenVZ", script=renderer.sh("openvz/venet.sh.j2", links=links)),)


def without(net: Net) -> frozenset[str]:
    """The network step's probes of venet links: they look for the addresses on a device of the link's own name."""
    names = {f"{link.name}-dhcp" for link in net.venet}
    names |= {f"{link.name}-{address.ip}" for link in net.venet for address in link.addresses}
    names |= {f"gateway-{r.link.name}-{r.gateway}" for r in net.routes if r.link in net.venet}
    return frozenset(names)


def probes(recipe: Recipe, net: Net, ram: int, renderer: Renderer) -> Iterator[Probe]:
    """What the container's configuration sets, as it is seen from inside. ram: bytes."""
    yield from _limits(recipe, ram, renderer)
    for link in net.venet:
        for address in link.addresses if link.connected else ():
            script = renderer.sh("openvz/probes/venet_address.sh.j2", address=str(address.ip))
            setting = f"[network] {link.name}: address"
            yield Probe(f"venet-{address.ip}", setting, script, str(address.ip), retry=BOOT_WAIT)
    if any(":" not in address for address in net.venet_addresses()):
        script = renderer.sh("openvz/probes/venet_route.sh.j2")
        yield Probe("venet-route", "[hardware] venet: default route", script, "a default route", retry=BOOT_WAIT)
    for veth in net.veth:
        script = renderer.sh("lxc/probes/hw_addr.sh.j2", link=veth.link.name, address=veth.mac.lower())
        setting = f"[hardware] {veth.link.name}: hw_addr"
        yield Probe(f"{veth.link.name}-hw-addr", setting, script, veth.mac.lower())


def _limits(recipe: Recipe, ram: int, renderer: Renderer) -> Iterator[Probe]:
    limit = str(ram // PAGE * PAGE)
    script = renderer.sh("lxc/probes/limit.sh.j2", file="memory.max", limit=limit)
    yield Probe("ram", "[hardware] ram", script, limit)
    if recipe.hardware.num_cpu:
        limit = f"{recipe.hardware.num_cpu * 100000} 100000"
        script = renderer.sh("lxc/probes/limit.sh.j2", file="cpu.max", limit=limit)
        yield Probe("num_cpu", "[hardware] num_cpu", script, limit)
