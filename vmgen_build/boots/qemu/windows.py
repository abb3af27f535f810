"""A throwaway copy of a Windows, booted in QEMU and spoken to by its guest agent. Runs inside a worker of
host.namespaces, whose network leads nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.model import Boot, Booted
from vmgen_build.boots.network import dhcp_server, make_bridges
from vmgen_build.boots.qemu.boot import ARCHITECTURES, Booting, watched
from vmgen_build.boots.qemu.copies import throwaway
from vmgen_build.boots.qemu.net import joined, open_taps
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.communicators.windowsagent import WindowsAgent
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.access import ANSWER, LOOK
from vmgen_build.guests.qemu.args import reduced, replaced
from vmgen_build.guests.qemu.host import ACCELERATORS, own_firmware, power
from vmgen_build.guests.qemu.process import Parts
from vmgen_build.guests.qemu.windows import NO_RIGHTS, local_time
from vmgen_build.host.undo import Undo
from vmgen_build.plan.machine import Machine
from vmgen_build.text import duration

ELSEWHERE = "or ask it on a server: --host vsphere://NAME --recipe FILE"

NO_AGENT = (
    "its QEMU guest agent does not answer: an image that VMware Tools made has none. Put virtio-win-guest-tools.exe of"
    f" virtio-win into the machine that it is made from, {ELSEWHERE}"
)

WITHOUT_DRIVER = ("lsilogic", "pvscsi")
"""Kinds of drives (Drive.kind) for which QEMU has no controller that Windows has a driver for."""


class WindowsBooted(Booted):
    def __init__(self, agent: WindowsAgent) -> None:
        self._agent = agent

    @property
    def communicator(self) -> Communicator:
        return self._agent

    def reach(self, address: str, port: int) -> str:
        return "not reached: nothing is asked of a Windows from outside"


@contextmanager
def booted_windows(
    machine: Machine, disks: Sequence[Disk], boot: Boot, cds: Mapping[int, Path]
) -> Iterator[WindowsBooted]:
    """As boots.qemu.boot.booted_vm, once its agent answers. Nothing is written to its disks but by itself."""
    _check(machine)
    given, bus = power(), boot.bus
    for sentence in (*reduced(machine, given), *replaced(machine)):
        bus.note(sentence, level="warning")
    with Undo() as undo:
        copies = throwaway(machine, disks, boot.scratch)
        nics = joined(machine.nics)
        undo.enter_context(dhcp_server(make_bridges(nics), boot.scratch))
        firmware = own_firmware(boot.scratch) if machine.firmware == "efi" else None
        taps = undo.enter_context(open_taps(nics))
        parts = Parts(machine, copies, cds, firmware, taps, given, guest_agent=True, clock=local_time(), resets=True)
        qemu = undo.enter_context(Booting(parts, boot))
        undo.enter_context(watched(boot.scratch, qemu.console.file, qemu.errors, qemu.stop))
        agent, began = WindowsAgent(qemu.guest_agent, qemu.last_words), time.monotonic()
        _wait(qemu, agent, boot.timeout)
        passed = duration(time.monotonic() - began)
        bus.note(f"booted in {passed} ({ACCELERATORS[given.accel]}): its guest agent answers")
        if not agent.facts.administrator:
            raise BuildError(NO_RIGHTS)
        yield WindowsBooted(agent)


def _check(machine: Machine) -> None:
    """Raises HostError for one that cannot start here."""
    if machine.arch not in ARCHITECTURES:
        raise HostError(f"no {machine.arch} machine can be booted here: use --no-boot")
    lacking = [drive.name for drive in machine.drives if drive.kind in WITHOUT_DRIVER]
    if lacking:
        raise HostError(
            f"Windows does not find its disks {', '.join(lacking)} in QEMU, which has no such SCSI controller that"
            f" Windows has a driver for; look at the file alone by --no-boot, {ELSEWHERE}"
        )


def _wait(qemu: Booting, agent: WindowsAgent, timeout: float) -> None:
    """Until the agent answers. Raises BuildError."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < timeout:
        qemu.check_alive(passed, silent=True)
        if agent.answers(ANSWER):
            return
        time.sleep(LOOK)
    raise BuildError(f"the machine did not come up within {timeout:g} s: {NO_AGENT}\n{qemu.last_words()}")
