"""What whole builds on the stand-in are begun with, stopped by, and leave there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.test_machine_guest import RECIPE as GUEST
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import authority_of, session_on
from vmgen_build.guests.vsphere.inventory import inventory_of

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Done = subprocess.CompletedProcess[str]

CANARY = "c4n4ry-R3cipe"
FOREIGN = "vmgen-build-ffffffffffff-1-00000000"
"""Of another owner."""

LEASE = 60
"""Seconds that the server waits for a build that was killed. The next one looks within them."""

SLOW = 1 << 18
"""Bytes in a second."""

SCRIPT = "config.scripts.one.run={}"
FAILS = SCRIPT.format("echo begun; exit 3")


def recipe_in(folder: Path) -> Path:
    """That of the other machine guests, with a password that is known by its sight."""
    goal, text = folder / "guest.ini", GUEST.read_text().replace("alesia", CANARY)
    assert CANARY in text
    goal.write_text(text)
    (folder / "hostile.bin").write_bytes((GUEST.parent / "hostile.bin").read_bytes())
    return goal


def make_foreign(made: StandIn) -> None:
    from pyVmomi import vim

    with session_on(made) as session:
        [datacenter] = session.content.rootFolder.childEntity  # type: ignore[attr-defined]
        pool = datacenter.hostFolder.childEntity[0].resourcePool
        files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
        config = vim.vm.ConfigSpec(name=FOREIGN, files=files, annotation="somebody's", memoryMB=64, numCPUs=1)
        datacenter.vmFolder.CreateVM_Task(config, pool)
        while FOREIGN not in names(made):
            time.sleep(0.1)


def foreign_of(made: StandIn) -> tuple[str, str]:
    with session_on(made) as session:
        [one] = [each for each in inventory_of(session).machines if each.name == FOREIGN]
        ref: Any = one.ref
        return str(ref.config.annotation), str(ref.config.modified)


def names(made: StandIn) -> list[str]:
    with session_on(made) as session:
        return [machine.name for machine in inventory_of(session).machines]


def of_builds(made: StandIn) -> list[str]:
    """What no build may leave."""
    return [name for name in names(made) if not name.startswith("vmgen-layer-") and name != FOREIGN]


def words(made: StandIn, recipe: Path, out: Path) -> list[str]:
    place = f"vsphere://{made.server.user}@{made.server.host}:{made.server.port}/DC0"
    options = ["--host", place, "--cafile", str(authority_of(made)), "--map", "nat=VM Network"]
    return [str(recipe), "-b", "vmware", *options, "-o", str(out)]


def password(made: StandIn) -> dict[str, str]:
    return {"VMGEN_VSPHERE_PASSWORD": made.server.password}


def killed(made: StandIn, process: subprocess.Popen[str], moves: Callable[[], bool]) -> str:
    """The machine that a build leaves which is killed while its disks are on their way."""
    try:
        while process.poll() is None and not moves():
            time.sleep(0.5)
        process.kill()
        output, _ = process.communicate()
    finally:
        made.settings.reset()
    assert process.returncode == -signal.SIGKILL, output
    [left] = of_builds(made)
    return left


def received(made: StandIn) -> int:
    """Bytes of disks that the server has got."""
    return sum(file.stat().st_size for file in made.settings.path.parent.glob("disks-*/disk-*.vmdk"))


def sent(made: StandIn) -> int:
    """How often the server has begun to send a disk."""
    return made.server.log.read_text(errors="replace").count("nfc GET disk-0.vmdk")


def begun(made: StandIn, cache: Path, recipe: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vmgen_build", *words(made, recipe, out), "-v", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"VMGEN_CACHE": str(cache)} | password(made),
    )


def until_seen(process: subprocess.Popen[str], moment: str) -> None:
    assert process.stdout is not None
    lines = []
    while moment not in (line := process.stdout.readline()):
        lines.append(line)
        assert line, "".join(lines)


def until_order(process: subprocess.Popen[str], made: StandIn, name: str, before: int) -> None:
    while [one for one, _ in made.ground.orders].count(name) <= before:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        time.sleep(0.05)


def assert_locked(name: str, done: Done) -> None:
    text = " ".join(done.stderr.split())
    assert f"{name}, which a build that was killed left, goes with a later one: " in text, done.stderr
    assert "another task is at work on it: wait until it has ended" in text
    assert "Traceback" not in text
