"""A throwaway copy of a machine, started in QEMU in order to be used: nothing of ours is put into it, and its boot is
not waited for. Runs inside a worker of host.namespaces."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.model import Boot, Booted, IPAddress
from vmgen_build.boots.network import answer_as_gateway, connected, dhcp_server, make_bridges, stated
from vmgen_build.boots.qemu import window
from vmgen_build.boots.qemu.boot import ARCHITECTURES, Booting, Mute, watched
from vmgen_build.boots.qemu.copies import throwaway
from vmgen_build.boots.qemu.net import joined, open_taps
from vmgen_build.boots.up import system_of
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.model import Communicator
from vmgen_build.guests.qemu.args import reduced, replaced
from vmgen_build.guests.qemu.host import ACCELERATORS, own_firmware, power
from vmgen_build.guests.qemu.process import Parts, Qemu
from vmgen_build.guests.qemu.windows import local_time
from vmgen_build.host.undo import Undo
from vmgen_build.plan.machine import Machine

ENDING = 10.0
"""Seconds that QEMU may take to end once its machine has."""


class VmUsed(Booted):
    """leases: the file of the DHCP server. known: the machine's own addresses."""

    def __init__(self, qemu: Qemu, leases: Path, known: Sequence[IPAddress]) -> None:
        self._qemu, self._leases, self._known = qemu, leases, known

    @property
    def communicator(self) -> Communicator:
        return Mute("nothing of ours is in it")

    def reach(self, address: str, port: int) -> str:
        return self.communicator.run("").out

    def connect(self, port: int) -> socket.socket:
        return connected([*self._known, *self._leased()], port)

    def wait(self) -> None:
        """Raises BuildError where QEMU ended otherwise than with its machine."""
        if self._qemu.wait(ENDING) != 0:
            raise BuildError(f"QEMU ended by itself\n{self._qemu.last_words()}")

    def show(self) -> None:
        window.show(self._qemu, lambda: self._qemu.ended)

    def _leased(self) -> list[IPAddress]:
        """What the machine was given: dnsmasq(8) writes the time, the MAC address, the address and more."""
        macs = {nic.hw_addr.lower() for nic in self._qemu.parts.machine.nics}
        found = []
        with suppress(OSError):
            rows = [line.split() for line in self._leases.read_text(errors="replace").splitlines()]
            found = [ip_address(row[2]) for row in rows if len(row) > 2 and row[1].lower() in macs]
        return found


@contextmanager
def used_machine(machine: Machine, disks: Sequence[Disk], boot: Boot, cds: Mapping[int, Path]) -> Iterator[VmUsed]:
    """Copy and start; everything is gone after it. disks, cds: as of boots.qemu.boot.booted_vm. boot: with a console.

    Raises BuildError, HostError.
    """
    assert boot.use is not None and boot.console is not None
    if machine.arch not in ARCHITECTURES:
        raise HostError(f"no {machine.arch} machine can be run here")
    given, nics = power(), joined(machine.nics)
    for sentence in (*reduced(machine, given), *replaced(machine)):
        boot.bus.note(sentence)
    boot.bus.note(f"the processor: {ACCELERATORS[given.accel]}")
    with Undo() as undo:
        copies = throwaway(machine, disks, boot.scratch)
        undo.enter_context(dhcp_server(make_bridges(nics), boot.scratch))
        answer_as_gateway(stated(boot.use.addresses, boot.use.gateways), nics)
        firmware = own_firmware(boot.scratch) if machine.firmware == "efi" else None
        taps = undo.enter_context(open_taps(nics))
        clock = local_time() if system_of(machine.os).kind == "windows" else "utc"
        end = boot.console.as_socket()
        parts = Parts(
            machine, copies, cds, firmware, taps, given, clock=clock, resets=True, terminal=end, window=boot.use.window
        )
        qemu = undo.enter_context(Booting(parts, boot))
        boot.console.given()
        undo.enter_context(watched(boot.scratch, qemu.console.file, qemu.errors, qemu.stop, boot.time))
        yield VmUsed(qemu, boot.scratch / "leases", [address.ip for _, address in boot.use.addresses])
