"""Guests for real, here and on the stand-in of a node: steps that take too long, exit codes, restarts, bases."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from tests.integration.sshd import sshd
from tests.node.node import Node
from vmgen_build.build.engine import plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.guests.lxc.workshop import LxcWorkshop
from vmgen_build.guests.model import StepExecutor, StepResult
from vmgen_build.guests.node.driver import Driver, Setup
from vmgen_build.guests.node.guardian import guarded
from vmgen_build.guests.node.guest import NodeGuest
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.node.workshop import node_supply
from vmgen_build.guests.runners import connect, parse_host
from vmgen_build.host import landlock
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import OsTemplate, Tarball
from vmgen_build.plan.model import Plan, Step
from vmgen_build.recipe.load import load
from vmgen_build.store.layers import Store
from vmgen_build.store.lease import lease

T = TypeVar("T")

RECIPE = "[hardware]\nvm_id = 4104\nos = debian-12-amd64\n"
SLOW = """\
#!/bin/sh
echo begun
setsid sleep 86731 &
sleep 86732 &
trap '' TERM
while :; do sleep 86733; done
"""
"""Leaves its session, goes to the background, and does not mind SIGTERM."""

ADDRESS = "192.168.41.4"


def still_running() -> list[str]:
    found = subprocess.run(["pgrep", "-fa", "sleep 8673[123]"], capture_output=True, text=True)
    return found.stdout.splitlines()


def step(name: str, script: str, **more: object) -> Step:
    return Step(name=name, title="", script=f"#!/bin/sh\nset -eu\n{script}\n", **more)  # type: ignore[arg-type]


def ignore(line: str) -> None:
    return


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "lab.ini"
    path.write_text(RECIPE)
    return path


@pytest.fixture()
def plan(cache: Path, recipe: Path) -> Plan:
    return plan_for(load(recipe), "lxc", BuildOptions(output=recipe.parent, cache=cache))


def here(cache: Path, plan: Plan, work: Callable[[LxcWorkshop], T]) -> T:
    """In a worker as a build has it; the base is made where it is not there."""

    def inside(_bus: Bus) -> T:
        workshop = LxcWorkshop(Store(cache), leased, plan, lambda _id: None)
        with workshop.claim(plan.base.id):
            if not workshop.holds(plan.base.id):
                workshop.make_base(plan.base, plan, ignore)
        return work(workshop)

    with lease(cache) as leased:
        return run_isolated(inside, Bus())


def too_long(guest: StepExecutor) -> tuple[StepResult, float, list[str], StepResult]:
    """What comes of a step that runs too long, how long that took, what is left of it, and what comes of the next."""
    began = time.monotonic()
    slow = guest.run_step(Step(name="slow", title="", script=SLOW, timeout=3.0), ignore)
    took = time.monotonic() - began
    return slow, took, still_running(), guest.run_step(step("next", "ls -A /run"), ignore)


def check_too_long(outcome: tuple[StepResult, float, list[str], StepResult]) -> None:
    slow, took, left, following = outcome
    assert not slow.ok and 3 <= took < 40
    assert "step 'slow' took longer than 3 s and was ended" in str(slow.failure())
    assert slow.tail == ("begun",)
    assert left == []
    assert following.ok, following


def codes(guest: StepExecutor) -> list[bool]:
    return [guest.run_step(step("three", "exit 3", success=wanted), ignore).ok for wanted in ((0,), (0, 3))]


LISTENING = "vmgen-test-listening"
CONNECT = (
    "socket(S, PF_UNIX, SOCK_STREAM, 0); for (@ARGV) { exit 0 if connect(S, pack_sockaddr_un(chr(0) . $_)) } exit 1"
)
"""perl: whether one of the abstract sockets of these names answers."""

ESCAPES = {
    "writes a setting of the host's kernel": "echo x >/proc/sys/kernel/core_pattern",
    "makes /proc/sys writable": "mount -o remount,rw,bind /proc/sys",
    "mounts proc anew": "mount -t proc proc /mnt",
    "mounts a file system": "mount -t tmpfs none /mnt",
    "makes /sys writable": "mount -o remount,rw /sys",
    "writes below /sys": "echo x >/sys/kernel/profiling",
    "writes the host's cgroups": "mkdir /sys/fs/cgroup/mine",
    "asks the kernel to do something at once": "echo h >/proc/sysrq-trigger",
    "reads the host's disk by a node in its root": "mknod /tmp/disk b $disk && head -c 1 /tmp/disk",
    "reads the host's disk by a node in /dev": "mknod /dev/disk b $disk && head -c 1 /dev/disk",
    "reads the kernel's memory": "test -s /proc/kcore",
    "becomes root of a user namespace": "unshare --user true",
    "becomes root of a user namespace by clone": "unshare --fork --user true",
    "may administer the system": "test $((0x$(sed -n 's/CapBnd:.//p' /proc/self/status) >> 21 & 1)) = 1",
    "changes the clock": "date -s 2001-01-01",
    "opens a file by its handle": "perl -e 'exit(syscall(304, 0, pack(q(Iiq), 8, 1, 2), 0) < 0 && $!{EPERM} ? 1 : 0)'",
    "speaks to lxc by its abstract socket": f"perl -MSocket -e '{CONNECT}' $(sed -n 's/.*@//p' /proc/net/unix)",
    "speaks to a program of the host by its abstract socket": f"perl -MSocket -e '{CONNECT}' {LISTENING}",
    "sees the host's processes": "test $(ls -d /proc/[0-9]* | wc -l) -gt 30",
}
"""What a step must not be able to do to this host, and the shell line that would do it."""


def escaped(guest: StepExecutor, *, network: bool) -> list[str]:
    """Which of the escapes work in a step, and that a step does what package managers do."""
    disk = os.stat("/dev/vda" if os.path.exists("/dev/vda") else "/dev/sda").st_rdev
    lines = [f"disk='{os.major(disk)} {os.minor(disk)}'", "exec 2>/dev/null"]
    lines += [f"if ( {line} ) >/dev/null; then echo {shlex.quote(name)}; fi" for name, line in ESCAPES.items()]
    lines += ["install -o 1000 -g 1000 -m 4755 /bin/true /tmp/own", "chroot / su -s /bin/sh nobody -c /tmp/own"]
    lines += ["echo works"]
    found: list[str] = []
    result = guest.run_step(step("escape", "\n".join(lines), network=network), found.append)
    assert result.ok, found
    return found


def test_issue_8_2_a_step_has_a_wall_around_it(cache: Path, plan: Plan) -> None:
    def work(workshop: LxcWorkshop) -> list[list[str]]:
        with workshop.guest(plan, [plan.base.id]) as guest:
            return [escaped(guest, network=network) for network in (False, True)]

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{LISTENING}")
        server.listen(1)
        alone, networked = here(cache, plan, work)
    assert alone == ["works"]
    before_linux_6_12 = [line for line in ESCAPES if "a program of the host" in line]
    assert networked == (["works"] if landlock.version() >= 6 else [*before_linux_6_12, "works"])


def test_a_step_that_takes_too_long_is_ended_here(cache: Path, plan: Plan) -> None:
    def work(workshop: LxcWorkshop) -> tuple[StepResult, float, list[str], StepResult]:
        with workshop.guest(plan, [plan.base.id]) as guest:
            return too_long(guest)

    check_too_long(here(cache, plan, work))
    assert still_running() == []


def test_exit_codes_and_restarts_here(cache: Path, plan: Plan) -> None:
    def work(workshop: LxcWorkshop) -> tuple[list[bool], StepResult]:
        with workshop.guest(plan, [plan.base.id]) as guest:
            first = guest.run_step(step("first", "touch /run/mark; echo kept >/srv/kept", reboot=True), ignore)
            assert first.ok
            return codes(guest), guest.run_step(step("second", "[ ! -e /run/mark ]; cat /srv/kept"), ignore)

    judged, second = here(cache, plan, work)
    assert judged == [False, True]
    assert second.ok and second.tail == ("kept",)


@pytest.fixture(params=[VzDriver, LxcDriver])
def node_guest(
    request: pytest.FixtureRequest, node: Node, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NodeGuest]:
    """A container on the stand-in by ssh, of either kind."""
    node.begin()
    with sshd(tmp_path, prefix=node.inside([]), environment={"HOME": str(tmp_path)}) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        with connect(parse_host(server.url)) as runner:
            driver: Driver = request.param(runner, f"test-{os.getpid()}")
            own = driver.os_templates()
            if "debian-12-x86_64" not in own:
                with (node.cache / "debian-12-x86_64.tar.gz").open("rb") as file:
                    driver.put_os_template("debian-12-x86_64", file)
            with guarded(driver) as guardian:
                guest = NodeGuest(guardian, plan, node_supply(runner, plan), lambda _guest, _step: None)
                guest.create("debian-12-x86_64", "4104", Setup(addresses=(ADDRESS,)), [plan.base.id])
                yield guest
            if "debian-12-x86_64" not in own:
                runner.run(["rm", "-f", f"{driver.cache}/debian-12-x86_64.tar.gz"])
    node.clear()
    assert node.left_over() == []


@pytest.mark.node
def test_a_step_that_takes_too_long_is_ended_on_a_node(node_guest: NodeGuest) -> None:
    check_too_long(too_long(node_guest))


@pytest.mark.node
def test_exit_codes_and_restarts_on_a_node(node_guest: NodeGuest) -> None:
    assert codes(node_guest) == [False, True]
    first = node_guest.run_step(step("first", "touch /run/mark; echo kept >/srv/kept", reboot=True), ignore)
    assert first.ok
    second = node_guest.run_step(step("second", "[ ! -e /run/mark ]; cat /srv/kept"), ignore)
    assert second.ok and second.tail == ("kept",)


@pytest.fixture()
def archive(cache: Path, plan: Plan, tmp_path: Path) -> Path:
    """The base of the plan, packed as others pack a root."""

    def work(workshop: LxcWorkshop) -> None:
        with workshop.in_use(plan.base.id):
            tree = workshop.store.tree(plan.base.id)
            subprocess.run(["tar", "--zstd", "--numeric-owner", "-cf", goal, "-C", tree, "."], check=True)

    goal = tmp_path / "root.tar.zst"
    here(cache, plan, work)
    return goal


def test_a_guest_starts_from_a_tarball(own_cache: Path, plan: Plan, archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()

    def work(workshop: LxcWorkshop) -> StepResult:
        with workshop.guest(workshop_plan, [workshop_plan.base.id]) as guest:
            return guest.run_step(step("look", "stat -c %U:%G /etc/shadow; . /etc/os-release; echo $ID"), ignore)

    workshop_plan = replace(plan, base=Tarball(archive, digest))
    looked = here(own_cache, workshop_plan, work)
    assert looked.ok and looked.tail == ("root:shadow", "debian")

    workshop_plan = replace(plan, base=Tarball(archive, "0" * 64))
    with pytest.raises(BuildError, match=f"has the sha256 {digest}, and 0000"):
        here(own_cache, workshop_plan, work)


def test_an_os_template_is_completed_here(own_cache: Path, plan: Plan, archive: Path) -> None:
    """It brings package sources of its own and lacks a package."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    folder = own_cache / "downloads/ostemplates"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(archive, folder / "debian-12-test.tar.gz")
    system = plan.system
    packages = ("dbus", "less")
    base = OsTemplate("debian-12-test", digest, "debian", system.codename, system.arch, packages, plan.epoch)
    from_template = replace(plan, base=base)

    def work(workshop: LxcWorkshop) -> StepResult:
        with workshop.guest(from_template, [base.id]) as guest:
            return guest.run_step(
                step("look", "command -v less; cat /etc/apt/sources.list; cat /usr/sbin/policy-rc.d; ls /run"), ignore
            )

    looked = here(own_cache, from_template, work)
    assert looked.ok and looked.tail == ("/usr/bin/less", "#!/bin/sh", "exit 101", "vmgen"), looked
