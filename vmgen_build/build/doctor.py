"""What this host lacks for builds and verifications."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vmgen_build.build.finding import Finding
from vmgen_build.build.requirements import RUNNING, all_base_requirements, other_base_requirements
from vmgen_build.host.needs import NAMESPACES, OVERLAYFS, cgroup_version
from vmgen_build.host.programs import Requirement, find_program
from vmgen_build.host.system import DEBIAN_KEYS, host_system, users_are_kept_from_namespaces
from vmgen_build.text import size

ROOM = {"cache": 4_000_000_000, "temporary files": 200_000_000}
"""Free bytes that a first build of a machine with the usual programs needs."""

PRUNE = "vmgen-build cache prune"

TRIED = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
WERE_TRIED = "Debian 12, Debian 13 and Ubuntu 24.04"


def findings(cache: Path) -> list[Finding]:
    """cache: the folder whose disk builds fill."""
    return [*_system(), *_root(), *_programs(), *_kernel(), *room(cache), *_kinds()]


def _kinds() -> Iterator[Finding]:
    """What --backend and --host may name, that of other packages among it."""
    from vmgen_build.backends.registry import backend_names
    from vmgen_build.build.places.registry import HERE, schemes

    yield Finding("backends", True, ", ".join(backend_names()))
    yield Finding("places", True, ", ".join(scheme for scheme in schemes() if scheme != HERE))


def _system() -> Iterator[Finding]:
    system = host_system()
    untried = "" if system.version in TRIED.get(system.ids[0], ()) else f", which was not tried; {WERE_TRIED} were"
    yield Finding("host", True, f"{system.name}{untried}")
    if not system.is_debian:
        there = DEBIAN_KEYS.exists()
        found = str(DEBIAN_KEYS) if there else "they check what a Debian base is made of"
        yield Finding("Debian's keys", there, found, "debian-archive-keyring")
    if users_are_kept_from_namespaces():
        yield Finding(
            "user namespaces", True, "AppArmor keeps them from ordinary users; a build is root's and needs none"
        )


def _root() -> Iterator[Finding]:
    root = os.geteuid() == 0
    found = "this is root" if root else "building and verifying need it"
    yield Finding("root", root, found, advice="" if root else "Build and verify by sudo, or as root.")


def _programs() -> Iterator[Finding]:
    for command, requirement in sorted({r.command: r for r in requirements()}.items()):
        found = find_program(command)
        yield Finding(command, found is not None, found or f"it {requirement.why}", requirement.package)
    for requirement in other_base_requirements():
        found = find_program(requirement.command)
        yield Finding(
            requirement.command, True, found or f"not here; it {requirement.why}; else an image server gives one"
        )


def requirements() -> list[Requirement]:
    """What running here, making bases and all backends need."""
    from vmgen_build.backends.registry import all_backends, formats_of

    formats = [one for backend in all_backends().values() for one in formats_of(backend)]
    packing = [r for one in formats for r in (*one.requirements, *one.boot_requirements)]
    return [*RUNNING, *all_base_requirements(), *packing]


def _kernel() -> Iterator[Finding]:
    if os.geteuid() != 0 or find_program("unshare") is None:
        known = "overlay" in Path("/proc/filesystems").read_text().split() or _module_there("overlay")
        yield Finding(
            "overlayfs", known, "known to the kernel" if known else "the kernel lacks it", advice=_kernel_advice(known)
        )
    else:
        for trial in (NAMESPACES, OVERLAYFS):
            lack = trial.lack()
            found, advice = (lack.why.removeprefix(f"{trial.what}: "), lack.advice) if lack else ("works", "")
            yield Finding(trial.what, lack is None, found, advice=advice)
    version = cgroup_version()
    yield Finding(
        "cgroup",
        bool(version),
        version or "none is mounted",
        advice="" if version else "Mount the cgroup file system: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _module_there(name: str) -> bool:
    return any(Path("/lib/modules", os.uname().release).rglob(f"{name}.ko*"))


def _kernel_advice(good: bool) -> str:
    return "" if good else "The kernel lacks overlayfs: use a host that has it."


def room(cache: Path) -> Iterator[Finding]:
    for what, folder in (("cache", cache), ("temporary files", Path(os.environ.get("TMPDIR", "/tmp")))):  # noqa: S108
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        good = free >= ROOM[what]
        yield Finding(
            f"disk space ({what})",
            good,
            f"{size(free)} free in {folder}",
            advice="" if good else f"Make room in {folder}: {size(ROOM[what])} are needed; see '{PRUNE}'.",
        )


def qemu_findings() -> Iterator[Finding]:
    """What a machine in QEMU gets of this host."""
    from vmgen_build.errors import HostError
    from vmgen_build.guests.qemu.host import ACCELERATORS, firmware_of_host, power

    try:
        given = power()
    except HostError as error:
        yield Finding("memory", False, str(error))
        return
    yield Finding("processor", True, ACCELERATORS[given.accel])
    yield Finding("memory", True, f"{size(given.memory)} for a machine")
    firmware = firmware_of_host()
    where = str(firmware[0]) if firmware else "firmware of machines with EFI"
    yield Finding("EFI", firmware is not None, where, "ovmf")
