"""A machine of the user's own: made here once, started as it is, spoken to by ssh and by the QEMU guest agent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.terminals import at_terminal
from vmgen_build.artifacts.result import Disks
from vmgen_build.backends.registry import backend_named
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.build.engine import _plan
from vmgen_build.build.facts import facts_for
from vmgen_build.build.job import Build
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.registry import place_at
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.communicators.ssh import HostKey, Refused, log_in
from vmgen_build.guests.machines.guest import MachineGuest
from vmgen_build.guests.qemu.machines import QemuMachine
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Image
from vmgen_build.plan.model import Step
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret
from vmgen_build.store.lease import lease

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [pytest.mark.integration, pytest.mark.machine]

CANARY = "canary-own-machine-7"

OWN = f"""\
[hardware]
    vm_id = own
    os = debian-12
    ram = 512M
    [[hdds]]
        [[[hdd0]]]
            size = 2G
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = {CANARY}
            sudo = nopasswd
        [[[bob]]]
            name = bob
            passwd = {CANARY}
[config]
    hostname = own
    packages = openssh-server, sudo
"""

LAB = """\
[hardware]
    vm_id = lab
    os = debian-12
    base = {image}
    {login}
    ram = 512M
    [[hdds]]
        [[[hdd0]]]
            size = 3G
        [[[hdd1]]]
            size = 100M
[config]
    hostname = lab
    [[scripts]]
        [[[one]]]
            run = "echo broken; exit 3"
"""
BY_SSH = "login = ana\n    login_password = env:OWN_PASSWORD"


@pytest.fixture(scope="module")
def image(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's machine, made by the local way."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.ini").write_text(OWN)
    done = vmgen(folder / "own.ini", "-b", "kvm", "-o", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "own-kvm-amd64.qcow2"


def recipe(folder: Path, image: Path, login: str) -> Path:
    path = folder / "lab.ini"
    path.write_text(LAB.format(image=image, login=login))
    return path


def step(name: str, script: str, **more: Any) -> Step:
    return Step(name=name, title=name, script=f"#!/bin/sh\nset -eu\n{script}\n", **more)


def test_by_ssh(image: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging in, wrong ways in, steps, a restart, and the disks at the end."""
    monkeypatch.setenv("OWN_PASSWORD", CANARY)
    read = load(recipe(tmp_path, image, BY_SSH))
    options = BuildOptions(cache=cache, backends=("kvm",), host="qemu:")
    place, backend = place_at(options), backend_named("kvm")
    look = place.look(read, backend, facts_for(read, cache, offline=False))
    plan = _plan(read, "kvm", options, look.facts)
    before = sha256_of(image)
    notes: list[str] = []

    def work(bus: Bus) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with lease(cache) as leased:
            build = Build(
                recipe=read,
                plan=plan,
                backend=backend,
                place=place,
                look=look,
                bus=bus,
                log=tmp_path / "log",
                leased=leased,
            )
            with place.workshop(build) as shop:
                if not shop.holds(plan.base.id):
                    shop.make_base(plan.base, plan, print)
                with shop.guest(plan, [plan.base.id]) as guest:
                    assert isinstance(guest, MachineGuest)
                    found |= _asked(guest)
                with shop.result([plan.base.id]) as result:
                    assert isinstance(result, Disks)
                    found["disks"] = _content(result, leased)
        return found

    bus = Bus()
    bus.add(lambda event: notes.append(getattr(event, "text", "")))
    found = run_isolated(work, bus)
    assert "the password of login_password is wrong" in found["wrong"]
    assert "allow that user 'sudo' without a password" in found["bob"]
    assert found["first"] == (0, ["0", "own", "400", "1"])
    (_, boot), (code, _), (_, after) = found["boots"]
    assert code == 0 and boot != after[:1] and after[1:] == ["made"]
    assert found["disks"] == {"names": ["hdd0", "hdd1"], "made": "made\n", "traces": [], "canary": False}
    assert sha256_of(image) == before
    shown = "\n".join(notes)
    assert "sshd of the machine answers" in shown and "logged in as ana after" in shown and "10.0.2.15" in shown
    assert CANARY not in shown
    assert_nothing_left(cache / "tmp", tmp_path)


def _asked(guest: MachineGuest) -> dict[str, Any]:
    machine = guest.machine
    assert isinstance(machine, QemuMachine)
    port = machine._running.forwarded_port()

    def refusal(login: GuestLogin) -> str:
        try:
            log_in(("127.0.0.1", port), login, HostKey()).close()
        except (Refused, BuildError) as error:
            return str(error)
        return "it was let in"

    def run(one: Step) -> tuple[int, list[str]]:
        lines: list[str] = []
        return guest.run_step(one, lines.append).code, lines

    secret = f"cd {guest._folder}/secrets; stat -c %a s; grep -c secret s"
    look = "cat /proc/sys/kernel/random/boot_id"
    return {
        "wrong": refusal(GuestLogin("ana", Secret("wrong"))),
        "bob": refusal(GuestLogin("bob", Secret(CANARY))),
        "first": run(step("first", f"id -u; hostname; {secret}", secrets={"s": Secret("a secret")})),
        "boots": [
            run(step("boot", look)),
            run(step("reboot", "echo made >/srv/made", reboot=True)),
            run(step("after", f"{look}; cat /srv/made")),
        ],
    }


def _content(disks: Disks, scratch: Path) -> dict[str, Any]:
    """Of the root file system that came home."""
    first = disks.disks[0]
    folder, root = scratch / "content", scratch / "content/root"
    folder.mkdir()
    unpack_disk(Image(first.path, "raw", sha256_of(first.path)), folder, root)
    traces = ["var/lib/vmgen-build", "dev/shm/vmgen-build", "tmp/vmgen-build"]
    files = [
        path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20
    ]
    return {
        "names": [disk.name for disk in disks.disks],
        "made": (root / "srv/made").read_text(),
        "traces": [name for name in traces if (root / name).exists()],
        "canary": any(CANARY.encode() in path.read_bytes() for path in files),
    }


def test_by_the_agent_a_step_that_fails_opens_a_shell(image: Path, cache: Path, tmp_path: Path) -> None:
    """On the caller's terminal, which types what a person would."""
    words = [sys.executable, "-m", "vmgen_build", recipe(tmp_path, image, "communicator = agent"), "-b", "kvm"]
    words += ["--host", "qemu:", "--on-error", "shell", "-o", tmp_path / "out"]
    with at_terminal(words, {"VMGEN_CACHE": str(cache)}) as user:
        seen = user.read_until("this shell is where it failed")
        assert "guest agent answers" in seen and "10.0.2.15" in seen
        user.type("")
        user.read_until("#")
        user.type("echo $((40 + 2)) $(id -u) $(hostname) $(tty)")
        user.read_until("42 0 own /dev/ttyS2")
        user.type("exit")
        text = user.read_until("failed with exit code 3")
        assert "step 'script-one'" in text
        assert user.process.wait(120) == 1
    assert_nothing_left(cache / "tmp", tmp_path / "out")


def test_the_plan_that_is_written_holds_no_password(image: Path, vmgen: Run, tmp_path: Path) -> None:
    done = vmgen(
        recipe(tmp_path, image, BY_SSH), "-b", "kvm", "--host", "qemu:", "--dry-run", env={"OWN_PASSWORD": CANARY}
    )
    assert done.returncode == 0 and CANARY not in done.stdout + done.stderr
    assert json.dumps(done.stdout).count("machine of own-kvm-amd64.qcow2") == 1
