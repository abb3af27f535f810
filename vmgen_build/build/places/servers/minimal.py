"""The minimal machine of a plan that runs on a server: made on this host, as files that a server takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.backends.machines.disks import adapter_of
from vmgen_build.build.job import Build
from vmgen_build.build.places.here import note_waiting
from vmgen_build.events import Bus, StepOutput
from vmgen_build.guests.lxc.workshop import LxcWorkshop
from vmgen_build.guests.machines.minimal import minimal_disks, plan_of_root
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import MinimalMachine
from vmgen_build.plan.machine import Machine


@contextmanager
def disks_made_here(build: Build, machine: Machine) -> Iterator[Disks]:
    """Stream-optimized VMDKs in the build's lease. machine: as it is while it is built. Raises VmgenError."""
    base = build.plan.base
    assert isinstance(base, MinimalMachine)
    small = plan_of_root(build.plan, base)
    folder = build.leased / "minimal"
    folder.mkdir(mode=0o700)
    goals = [folder / drive.file for drive in machine.drives]

    def work(bus: Bus) -> None:
        workshop = LxcWorkshop(build.options.store(), build.leased, small, note_waiting(bus))
        with minimal_disks(
            workshop, small, machine, lambda line: bus.emit(StepOutput(step="base", line=line))
        ) as disks:
            for disk, drive, goal in zip(disks.disks, machine.drives, goals, strict=True):
                write_vmdk(disk.path, goal, adapter=adapter_of(drive))
                disk.path.unlink()

    run_isolated(work, build.bus, offline=small.offline)
    drives = zip(machine.drives, goals, strict=True)
    yield Disks(tuple(Disk(drive.name, goal, "vmdk") for drive, goal in drives))
