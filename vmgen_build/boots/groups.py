"""Limits of a booted container's memory and processes: cgroups(7), of version 2 or 1, whichever the host has.

They stand in a group above the container's own, so that those of its recipe can be seen, and are within ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.host import memory
from vmgen_build.host import syscalls as sc
from vmgen_build.limits import GUEST_MEMORY, GUEST_PROCESSES

CGROUP_ROOT = Path("/sys/fs/cgroup")

Limits = Callable[[], AbstractContextManager[None]]
"""What starts inside it is limited."""


@dataclass(frozen=True, slots=True)
class _Limited:
    """A controller. v2, v1: the files of its limit."""

    name: str
    v2: str
    v1: str
    amount: int
    more: tuple[tuple[str, str], ...] = ()
    """Further files with what is written to them, of either version, where the host has them."""


@contextmanager
def limited(group: str, scratch: Path, note: Callable[[str], None]) -> Iterator[Limits]:
    """Make the group with its limits; it is removed at the end. group: below the root of each hierarchy.

    note: gets a sentence on each limit that this host cannot set: in a container, say.
    """
    most = min(GUEST_MEMORY.amount, memory.available() // 2)
    no_swap = (("memory.swap.max", "0"), ("memory.memsw.limit_in_bytes", str(most)))
    wanted = (
        _Limited("memory", "memory.max", "memory.limit_in_bytes", most, no_swap),
        _Limited("pids", "pids.max", "pids.max", GUEST_PROCESSES.amount),
    )
    with ExitStack() as undo:
        own: dict[Path, Path] = {}
        for controller in wanted:
            try:
                if not _set_in_v2(controller, group):
                    root = _mounted(controller.name, scratch, undo)
                    own[_set_in_v1(controller, root / group, undo)] = root / _current(controller.name)
            except OSError as error:
                note(f"this host sets no limit of {controller.name} for the booted machine: {error.strerror}")
        yield lambda: _moved(own)


@contextmanager
def _moved(groups: Mapping[Path, Path]) -> Iterator[None]:
    """This process in the groups, and then again in those where it was: version 1 has no other way to begin in one."""
    try:
        for group in groups:
            (group / "cgroup.procs").write_text("0")
        yield
    finally:
        for before in groups.values():
            (before / "cgroup.procs").write_text("0")


def _set_in_v2(controller: _Limited, group: str) -> bool:
    """Whether the host has it in version 2."""
    if controller.name not in (CGROUP_ROOT / "cgroup.controllers").read_text().split():
        return False
    folder = CGROUP_ROOT
    for name in Path(group).parts:
        (folder / "cgroup.subtree_control").write_text(f"+{controller.name}")
        folder /= name
        folder.mkdir(exist_ok=True)
    (folder / controller.v2).write_text(str(controller.amount))
    _set_more(controller, folder)
    return True


def _set_more(controller: _Limited, group: Path) -> None:
    for name, value in controller.more:
        if (group / name).exists():
            (group / name).write_text(value)


def _mounted(name: str, scratch: Path, undo: ExitStack) -> Path:
    folder = scratch / f"cgroup-{name}"
    folder.mkdir()
    sc.mount("cgroup", folder, "cgroup", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC, name)
    undo.callback(sc.unmount, folder, sc.MNT_DETACH)
    return folder


def _set_in_v1(controller: _Limited, group: Path, undo: ExitStack) -> Path:
    group.mkdir(parents=True)
    undo.callback(_remove, group)
    (group / controller.v1).write_text(str(controller.amount))
    _set_more(controller, group)
    return group


def _remove(group: Path) -> None:
    """What is still in use is reaped by the next run (store.lease)."""
    with suppress(OSError):
        group.rmdir()


def _current(controller: str) -> str:
    """This process's own group in version 1."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path.lstrip("/")
    return ""
