"""A throwaway copy of an artifact, started for somebody who uses it: a container, or a machine in QEMU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.boots.console import Console
from vmgen_build.boots.model import Boot, Use
from vmgen_build.boots.up import system_of
from vmgen_build.build.using.image import Image
from vmgen_build.build.using.ports import SSH, Opened, Port, listening
from vmgen_build.errors import UsageError
from vmgen_build.events import Bus
from vmgen_build.host.architectures import requirements_of
from vmgen_build.host.channel import WorkerBus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.host.programs import require_programs, require_root
from vmgen_build.store.lease import lease, reap

SHELL = ("/bin/sh", "-c", "cd; [ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l")
"""What a shell is, where no command is named."""


@dataclass(frozen=True, slots=True)
class UseOptions:
    """trusted: as of boots.model.Boot. window: a machine's screen is shown, and not its console."""

    cache: Path
    trusted: bool = False
    window: bool = False


def run_image(image: Image, ports: Sequence[Port] | None, options: UseOptions, bus: Bus) -> None:
    """Until it ends by itself, or its console is left. ports: None for those that its recipe opens.

    Raises VmgenError; KeyboardInterrupt once all is gone.
    """
    if options.window:
        _check_window(image)
    bus.note(f"{image.path.name} is unpacked")
    wanted = [Port(0, port) for port in image.open_ports] if ports is None else ports
    with listening(wanted) as opened, _ready(image, options) as scratch:

        def work(worker_bus: WorkerBus) -> None:
            console = Console()
            use = Use(console, image.addresses, image.gateways, options.window)
            boot = _boot(image, scratch, use, options, worker_bus)
            with image.format.boot(image.path, image.manifest, boot) as machine:
                for port in opened:
                    port.lead_to(machine)
                _say(image, opened, options.window, worker_bus)
                if options.window:
                    console.drop()
                    machine.show()
                elif not console.join(_reminder(image)):
                    machine.wait()
            if not options.window:
                worker_bus.note(f"\n{image.path.name}: the machine is gone; the image is as it was")

        run_isolated(work, bus, net=True)


def _check_window(image: Image) -> None:
    """Raises UsageError for a container, HostError where no window can be opened."""
    from vmgen_build.boots.qemu.window import viewer

    if not image.is_machine:
        raise UsageError(f"--window: {image.path} is a container, which has no screen; leave --window out")
    viewer()


def shell_in(image: Image, command: Sequence[str], options: UseOptions, bus: Bus) -> int:
    """Boot a container, and run a command in it on our terminal: its exit code. Raises VmgenError; UsageError for a
    machine."""
    if image.is_machine:
        raise UsageError(
            f"{image.path} is a whole machine, which nobody enters without a login: 'vmgen-build run {image.path}'"
            f" shows its console; 'vmgen-build shell RECIPE -b {image.backend.name}' opens the root that it is made of"
        )
    with _ready(image, options) as scratch:

        def work(worker_bus: WorkerBus) -> int:
            boot = _boot(image, scratch, Use(), options, worker_bus)
            with image.format.boot(image.path, image.manifest, boot) as machine:
                worker_bus.settle()
                return machine.shell(command or SHELL)

        return run_isolated(work, bus, net=True)


@contextmanager
def _ready(image: Image, options: UseOptions) -> Iterator[Path]:
    """A scratch folder, once this host is known to have what a boot needs."""
    require_root("an image is run in namespaces of its own, which needs root")
    require_programs([*image.format.boot_requirements, *requirements_of(image.arch)])
    reap(options.cache)
    with lease(options.cache) as folder:
        scratch = folder.absolute() / "run"
        scratch.mkdir()
        yield scratch


def _boot(image: Image, scratch: Path, use: Use, options: UseOptions, bus: WorkerBus) -> Boot:
    up = system_of(str(image.manifest["os"])).up
    return Boot(bus, scratch, image.format.boot_timeout, up, options.trusted, image.arch, use)


def _reminder(image: Image) -> str:
    """For the prompt, which may stand a screen below what `_say` says."""
    users = f"users: {', '.join(image.users)}; " if image.users else ""
    return f"({users}Ctrl-] ends the machine)"


def _say(image: Image, opened: Sequence[Opened], window: bool, bus: Bus) -> None:
    """What a user must know before the console has the terminal."""
    for port in opened:
        bus.note(port.shown)
    if image.users:
        bus.note(f"its users: {', '.join(image.users)}")
        for port in (one for one in opened if one.there == SSH):
            bus.note(f"from another terminal: {port.ssh(image.users[0])}")
    if window:
        bus.note(f"{image.path.name}: its screen is a window; closing it ends the machine, and nothing of it stays")
    else:
        bus.note(f"{image.path.name}: this is its console; Ctrl-] ends the machine, and nothing of it stays")
    bus.settle()
