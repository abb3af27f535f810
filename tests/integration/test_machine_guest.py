"""A plan that runs in a whole machine, in QEMU, from no image at all: what comes out is what the local way gives."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.scripted import start
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.build.engine import _plan
from vmgen_build.build.facts import facts_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.registry import place_at
from vmgen_build.events import Bus
from vmgen_build.guests.machines.guest import MachineGuest
from vmgen_build.guests.qemu.access import BuildAgent
from vmgen_build.guests.qemu.machines import QemuMachines, as_built
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Image
from vmgen_build.plan.machine import FILE, Machine
from vmgen_build.plan.model import Plan, Step, StepFile
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret
from vmgen_build.store.content import tree_digest
from vmgen_build.store.layers import Store
from vmgen_build.store.lease import lease
from vmgen_build.systems.model import STEP_FOLDER

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = Path(__file__).parent / "recipes/guest.ini"
QEMU = ("--host", "qemu:")
FOLDER = STEP_FOLDER


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {e["step"]: e["outcome"] for e in events if e["event"] == "step-finished"}


@pytest.fixture(scope="module")
def failed(vmgen: Run, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The first build: it ends at the recipe's own script."""
    out = tmp_path_factory.mktemp("failed")
    broken = ["--set", "config.scripts.one.run=echo broken; exit 3", "--on-error", "keep"]
    done = vmgen(RECIPE, "-b", "vmware", *QEMU, "-o", out, *broken)
    assert_nothing_left(cache / "tmp", out)
    assert list(out.iterdir()) == []
    return done


@pytest.fixture(scope="module")
def built(
    vmgen: Run, failed: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The second one, of the mended recipe."""
    out = tmp_path_factory.mktemp("built")
    done = vmgen(RECIPE, "-b", "vmware", *QEMU, "-o", out, "--json")
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return out, done


def test_a_step_that_fails_is_named_and_its_machine_can_be_kept(failed: subprocess.CompletedProcess[str]) -> None:
    assert failed.returncode == 1
    assert "step 'script-one' failed with exit code 3" in failed.stderr
    assert "  broken" in failed.stderr
    disk = re.search(r"-drive file=(\S+),format=qcow2", failed.stderr)
    assert disk, failed.stderr
    kept = Path(disk[1])
    checked = subprocess.run(["qemu-img", "check", kept], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"rm -rf {kept.parent}" in failed.stderr
    shutil.rmtree(kept.parent)


def test_the_next_build_goes_on_from_what_was_installed(
    built: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    found = outcomes(built[1])
    there = ("base", "packages-config")
    assert {name: found[name] for name in there} == dict.fromkeys(there, "cached")
    assert {found[name] for name in ("users", "network", "script-one", "generalise", "pack")} == {"built"}


def test_it_holds_what_the_local_way_gives(
    vmgen: Run, built: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Each file, its content, owner, mode and time; the disk's own bytes differ, since a machine has written to it."""
    here, there = trees_of(vmgen, RECIPE, built[0], tmp_path)
    assert here == there, "\n".join(sorted(here ^ there))
    assert len(here) > 5000


def trees_of(vmgen: Run, recipe: Path, built: Path, scratch: Path) -> tuple[set[str], set[str]]:
    """Lines of `content_of`: of the machine as the local way makes it, and of the one in the folder `built`."""
    local = scratch / "local"
    done = vmgen(recipe, "-b", "vmware", "-o", local)
    assert done.returncode == 0, done.stderr[-4000:]
    trees = []
    for name, folder in (("here", local), ("there", built)):
        subprocess.run(["tar", "-C", scratch, "-xf", folder / "guest.ova", "guest-hdd0.vmdk"], check=True)
        image = (scratch / "guest-hdd0.vmdk").rename(scratch / f"{name}.vmdk")
        trees.append(content_of(image, scratch / name)[1])
    return trees[0], trees[1]


def content_of(image: Path, scratch: Path) -> tuple[str, set[str]]:
    """The digest of a disk's tree, and a line for each file in it."""
    scratch.mkdir()
    base = Image(image, "vmdk", sha256_of(image))

    def work(_: Bus) -> tuple[str, set[str]]:
        root = scratch / "root"
        unpack_disk(base, scratch, root)
        lines = set()
        for path in root.rglob("*"):
            status = path.lstat()
            digest = sha256_of(path) if path.is_file() and not path.is_symlink() else ""
            target = os.readlink(path) if path.is_symlink() else ""
            where = path.relative_to(root)
            lines.add(f"{where} {status.st_mode:o} {status.st_uid}:{status.st_gid} {target}{digest}")
        return tree_digest(root), lines

    return run_isolated(work, Bus())


def test_verify_holds(vmgen: Run, built: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    done = vmgen("verify", built[0] / "guest.ova")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_nothing(
    cache: Path, failed: subprocess.CompletedProcess[str], tmp_path: Path, number: signal.Signals
) -> None:
    """While the machine boots, and in the midst of a step."""
    out = tmp_path / "out"
    words = [RECIPE, "-b", "vmware", *QEMU, "-o", out, "-v", "--set", "config.scripts.one.run=echo begun; sleep 600"]
    process = start(cache, *words)
    assert process.stdout is not None
    moment = "| begun" if number == signal.SIGKILL else "host name, time, language ..."
    while moment not in (line := process.stdout.readline()):
        assert line, "it ended"
    if number == signal.SIGINT:
        time.sleep(3)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -9), output
    assert "Traceback" not in output
    assert_nothing_left(cache, tmp_path)
    assert list(out.iterdir()) == []


@pytest.fixture(scope="module")
def plan(cache: Path, request: pytest.FixtureRequest) -> Plan:
    """Its base is there."""
    options = BuildOptions(cache=cache, backends=("vmware",), host="qemu:")
    recipe = load(RECIPE)
    facts = facts_for(recipe, cache, offline=False)
    look = place_at(options).look(recipe, backend_named("vmware"), facts)
    made = _plan(recipe, "vmware", options, look.facts)
    if not options.store().holds(made.base.id):
        request.getfixturevalue("failed")
    return made


def step(name: str, script: str, **more: Any) -> Step:
    return Step(name=name, title=name, script=f"#!/bin/sh\nset -eu\n{script}\n", **more)


def test_steps(cache: Path, plan: Plan, tmp_path: Path) -> None:
    """All that a step may do, in one machine."""
    blob = os.urandom(20_000)

    def work(bus: Bus) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with lease(cache) as leased:
            machine = as_built(Machine.from_json(plan.build_recipe[FILE]))
            machines = QemuMachines(
                store=Store(cache),
                machine=machine,
                access=BuildAgent(),
                folder=leased / "machines",
                note=bus.note,
                waiting=lambda _: None,
                picture=tmp_path / "screen.png",
                indexes=lambda: None,
            )
            with machines.started([plan.base.id]) as running:
                guest = MachineGuest(running, plan, (plan.base.id,), lambda name: tmp_path / name)

                def run(one: Step) -> tuple[int, list[str]]:
                    lines: list[str] = []
                    return guest.run_step(one, lines.append).code, lines

                found["lines"] = run(step("lines", "seq 3000; printf 'ä no end'; exit 7"))
                file = StepFile.of("blob", blob, 0o640)
                put = f"cd {FOLDER}/files; sha256sum <blob; stat -c %a blob; install -m 0600 blob /srv/blob"
                found["files"] = run(step("files", put, files=(file,)))
                canary = "from-the-canary-in-the-test"
                look = f"cd {FOLDER}/secrets; stat -c %a s; grep -c canary s"
                found["secret"] = run(step("secret", look, secrets={"s": Secret(canary)}))
                search = "grep -rlsI from-the-[c]anary /dev/shm /etc /root /run /srv /tmp /var/tmp /var/lib/vmgen* || :"
                found["search"] = run(step("search", search))
                found["late"] = run(step("late", "sleep 987 & echo begun; sleep 987", timeout=4.0))
                found["left"] = run(
                    step("left", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[s]leep 987' || :")
                )
                found["apart"] = run(step("apart", "ip route | wc -l"))
                found["online"] = run(step("online", "ip route; cat /etc/resolv.conf", network=True))
                found["own"] = run(step("own", "cat /etc/resolv.conf 2>/dev/null || echo none"))
                times = []
                for _ in range(20):
                    began = time.monotonic()
                    running.communicator.run("true", 10)
                    times.append(time.monotonic() - began)
                found["seconds"] = statistics.median(times)
                boot = "cat /proc/sys/kernel/random/boot_id"
                found["boots"] = [run(step("before", boot)), run(step("reboot", "echo x >/srv/x", reboot=True))]
                found["boots"].append(run(step("after", f"{boot}; cat /srv/x")))
                running.picture(tmp_path / "screen.png")
        return found

    found = run_isolated(work, Bus())
    assert found["lines"] == (7, [*map(str, range(1, 3001)), "ä no end"])
    assert found["files"] == (0, [f"{hashlib.sha256(blob).hexdigest()}  -", "640"])
    assert found["secret"] == (0, ["400", "1"])
    assert found["search"] == (0, [])
    assert found["late"] == (124, ["begun"])
    assert found["left"] == (0, ["0"])
    assert found["apart"] == (0, ["0"])
    code, lines = found["online"]
    assert code == 0 and lines[0].startswith("default via 10.0.2.2 ") and lines[-1] == "nameserver 10.0.2.3"
    assert "nameserver 10.0.2.3" not in found["own"][1]
    (_, before), _, (_, after) = found["boots"]
    assert before[0] != after[0] and after[1] == "x"
    print(f"an order takes {found['seconds']:.3f} s (median of 20)")
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG\r\n")
