"""What is looked at after a build ended, in whatever way: is anything left that should not be?"""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.chaos.faults import STOPPED, UNBORN, Blow, Fault
from tests.chaos.process import Run, named, tree
from tests.chaos.world import World, artifacts, sha256_of

CGROUPS = (Path("/sys/fs/cgroup/vmgen-build"), Path("/sys/fs/cgroup/unified/vmgen-build"))
PATIENCE = 15.0
"""Seconds that the kernel and a node have to clear away what a dead build had."""


class Before:
    """What there was before a build: mounts, and processes of this campaign."""

    def __init__(self, campaign: int) -> None:
        self.campaign = campaign
        self.mounts, self.processes = set(_mounts()), set(tree(campaign))

    def left(self, world: World) -> list[str]:
        """What is there beyond that: it must have gone at once, whatever ended the build."""
        found = [f"a process: {named(pid)}" for pid in tree(self.campaign) if pid not in self.processes]
        found += [f"a mount: {line}" for line in _mounts() if line not in self.mounts]
        found += [f"a loop device: {line}" for line in _loops(world.folder)]
        if world.node is not None:
            found += [f"on the node: {line}" for line in world.node.left_over()]
            found += [f"a record on the node: {path}" for path in Path("/var/lib/vmgen-build/builds").glob("*")]
        return found


def settled(look: Callable[[], list[str]]) -> list[str]:
    """What is still there when patience is over."""
    end = time.monotonic() + PATIENCE
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _mounts() -> list[str]:
    """Without the numbers, which change."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [" ".join(line.split()[3:6]) for line in lines]


def _loops(folder: Path) -> list[str]:
    files = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [file for file in files if str(folder) in file]


def unfinished(world: World, pids: list[int]) -> list[str]:
    """What a build that undid its work, or one that followed a killed one, must not leave."""
    found = [f"a scratch folder: {path.name}" for path in _entries(world.cache / "tmp")]
    found += [f"a half file: {path.name}" for path in world.out.iterdir() if path.name.startswith(".")]
    found += [f"in TMPDIR: {path.name}" for path in _entries(world.tmp) if not _is_pythons(path)]
    places = [*world.cache.glob("*/*"), *world.cache.glob("downloads/*/*")]
    parts = [path for path in places if ".part" in path.name]
    found += [f"a half file in the cache: {path.name}" for path in parts]
    found += [f"a cgroup: {group}" for top in CGROUPS for pid in pids for group in top.glob(f"{pid}-*")]
    return found + [f"a lock: {path.name}" for path in _entries(world.cache / "locks") if _is_locked(path)]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_pythons(path: Path) -> bool:
    """Whether it is what Python's tempfile tries a folder by, once in each process, which may be killed meanwhile
    (_get_default_tempdir)."""
    named = re.fullmatch(r"[a-z0-9_]{8}", path.name) is not None
    return named and path.is_file() and path.read_bytes() in (b"", b"blat")


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def broken(world: World, backend: str, *, whole: bool) -> list[str]:
    """What is wrong with the files under final names. whole: whether all must be there."""
    wanted, there = world.references[backend], artifacts(world.out, backend)
    found = [f"other bytes: {name}" for name in there if name in wanted and there[name] != wanted[name]]
    found += [f"an unknown file: {name}" for name in there if name not in wanted]
    if whole:
        found += [f"no artifact {name}" for name in wanted if name not in there]
        listed = world.out / "SHA256SUMS"
        lines = listed.read_text().splitlines() if listed.exists() else []
        sums = dict(reversed(line.split("  ")) for line in lines)
        found += [f"SHA256SUMS lacks {name}" for name in there if sums.get(name) != sha256_of(world.out / name)]
    for path in world.out.glob("*.manifest.json"):
        try:
            files = json.loads(path.read_text())["files"]
        except ValueError:
            found.append(f"half a manifest: {path.name}")
            continue
        if whole:
            found += [f"{path.name} is not of this {f['name']}" for f in files if _differs(world.out / f["name"], f)]
    return found


def _differs(path: Path, listed: Mapping[str, object]) -> bool:
    return not path.exists() or sha256_of(path) != listed["sha256"]


def wrongly_ended(fault: Fault, blow: Blow, run: Run) -> list[str]:
    """What is wrong with the exit code and the messages of the build that the fault happened to."""
    errors, code = run.errors, run.code
    if fault.codes == STOPPED and not run.events and (code in UNBORN or errors.endswith("KeyboardInterrupt\n")):
        return []
    right = fault.codes if blow.hit else fault.codes | {0}
    found = [] if code in right else [f"exit code {code}: {errors[-800:]}"]
    if "Traceback" in errors or "This is a bug" in errors:
        found.append(f"a traceback: {errors[-1500:]}")
    if code == 1 and not fault.says.search(errors):
        found.append(f"the message does not say what is wrong: {errors[-800:]}")
    return found
