"""Whole machines as guests, without one: the plan that begins with a minimal machine, what is kept, and how a step is
followed. The scripts that are for the machine run in sh here, in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from vmgen_build.artifacts.disk.stacked import flattened
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.build.engine import _plan
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.model import Look
from vmgen_build.build.places.qemu import QemuPlace
from vmgen_build.build.places.registry import place_class
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.guests.machines.minimal import minimal_problems
from vmgen_build.guests.machines.model import Hypervisor, RunningMachine
from vmgen_build.guests.machines.workshop import MachineWorkshop, kept_states, stages_there
from vmgen_build.guests.qemu.machines import holds
from vmgen_build.guests.vsphere.login import ACCOUNT, login_script
from vmgen_build.plan.bases import MinimalMachine
from vmgen_build.plan.context import Facts
from vmgen_build.plan.minimal import AGENT, removal
from vmgen_build.plan.model import Plan
from vmgen_build.plan.text.render import Renderer
from vmgen_build.recipe.load import load
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import TREE, Store

RECIPE = """\
[hardware]
vm_id = lab
os = debian-12
[users]
[[users]]
[[[user0]]]
name = {user}
passwd = alesia
[config]
packages = ed
hostname = {host}
"""


def plan(folder: Path, *, user: str = "ana", host: str = "lab", size: str = "", backend: str = "kvm") -> Plan:
    path = folder / "lab.ini"
    path.write_text(RECIPE.format(user=user, host=host).replace("[users]\n", f"{size}[users]\n", 1))
    options = BuildOptions(cache=folder / "cache", backends=(backend,), host="qemu:")
    return _plan(load(path), backend, options, Facts(agent="the agent"))


@pytest.mark.parametrize(("system", "refused"), [("debian-12", False), ("ubuntu-24.04", False), ("fedora-42", True)])
def test_a_machine_that_takes_no_orders_is_refused_at_its_line(tmp_path: Path, system: str, refused: bool) -> None:
    path = tmp_path / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = {system}\n")
    texts = [str(problem) for problem in minimal_problems(load(path))]
    assert bool(texts) is refused
    assert all(":3: [hardware] os: no whole machine of fedora-42 runs a build yet" in text for text in texts)


def test_the_kernel_is_the_base_s_and_no_step_of_the_machine_s(tmp_path: Path) -> None:
    made = plan(tmp_path)
    base = made.base
    assert isinstance(base, MinimalMachine)
    assert [step.name for step in base.steps] == ["packages-machine", "machine", "tools-kvm", "build-agent"]
    assert [step.name for step in made.steps] == ["packages-config", "system", "users", "network", "generalise"]
    assert made.steps[0].parent == base.id
    assert {"qemu-guest-agent", "kernel"} <= {probe.name for probe in made.all_probes()}


def test_what_is_edited_daily_leaves_the_base_as_it_is(tmp_path: Path) -> None:
    first, other = plan(tmp_path), plan(tmp_path, user="bea", host="desk")
    assert first.base.id == other.base.id
    assert first.steps[0].id == other.steps[0].id and first.last_id != other.last_id


def test_another_disk_is_another_base(tmp_path: Path) -> None:
    larger = "[[hdds]]\n[[[hdd0]]]\nsize = 3G\n"
    assert plan(tmp_path).base.id != plan(tmp_path, size=larger).base.id


def test_no_layer_of_a_container_is_taken_for_one_of_a_machine(tmp_path: Path) -> None:
    machine = plan(tmp_path)
    options = BuildOptions(cache=tmp_path / "cache", backends=("kvm",))
    local = _plan(load(tmp_path / "lab.ini"), "kvm", options, Facts())
    assert not {stage.id for stage in machine.stages} & {stage.id for stage in local.stages}


def test_the_scripts_are_sound(tmp_path: Path) -> None:
    base = plan(tmp_path).base
    assert isinstance(base, MinimalMachine)
    texts = {"agent": base.steps[-1].script, "removal": removal(base, Renderer(None))}
    paths = []
    for name, text in texts.items():
        paths.append(tmp_path / f"{name}.sh")
        paths[-1].write_text(text)
        subprocess.run(["dash", "-n", paths[-1]], check=True)
    ran = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert AGENT in texts["removal"]


def test_who_takes_orders_by_tools_has_an_account_that_goes_again(tmp_path: Path) -> None:
    path = tmp_path / "lab.ini"
    path.write_text(RECIPE.format(user="ana", host="lab"))
    options = BuildOptions(cache=tmp_path / "cache", backends=("vmware",), host="vsphere://vcenter")
    facts = Facts(agent=login_script(), login=ACCOUNT)
    made = _plan(load(path), "vmware", options, facts)
    base = made.base
    assert isinstance(base, MinimalMachine) and base.login == ACCOUNT
    agent = base.steps[-1]
    assert "vmgen-build:x:0:0::/root:/bin/sh" in agent.script and "vmgen-build:*:::::::" in agent.script
    files = {file.name: (file.content or b"").decode() for file in agent.files}
    assert "Before=open-vm-tools.service\n" in files["vmgen-build-agent.service"]
    assert "Wants=open-vm-tools.service\n" in files["vmgen-build.target"]
    assert base.id != _plan(load(path), "vmware", options, Facts(agent=login_script())).base.id
    texts = [agent.script, removal(base, Renderer(None)), login_script(), Renderer(None).sh("vm/build-network.sh.j2")]
    for number, text in enumerate(texts):
        script = tmp_path / f"{number}.sh"
        script.write_text(text)
        checked = subprocess.run(["shellcheck", "-s", "sh", script], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("answer", ["$6$salt$Hash./", "$6$x/y:0:0", "", "a|b"])
def test_a_hash_is_set_and_nothing_else_is(tmp_path: Path, answer: str) -> None:
    """rpctool: stands for VMware's program, which needs a hypervisor."""
    shadow, rpctool = tmp_path / "shadow", tmp_path / "vmware-rpctool"
    before = "root:*:19000:0:99999:7:::\nvmgen-build:*:::::::\n"
    shadow.write_text(before)
    rpctool.write_text(f"#!/bin/sh\n[ \"$*\" = 'info-get guestinfo.vmgen-build.login' ] && printf '%s\\n' '{answer}'\n")
    rpctool.chmod(0o755)
    script = login_script().replace("/etc/shadow", str(shadow))
    done = subprocess.run(["dash", "-c", script], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True)
    fine = answer.startswith("$6$salt")
    assert (done.returncode == 0) == fine
    assert shadow.read_text() == (before.replace("build:*:", f"build:{answer}:") if fine else before)


class Kept(Hypervisor):
    """Remembers states, and starts nothing."""

    where = "the test"

    ended = 0

    def __init__(self, *states: str) -> None:
        self.states = list(states)
        self.begun: list[Sequence[str]] = []

    def holds(self, state: str) -> bool:
        return state in self.states

    @contextmanager
    def claim(self, state: str) -> Iterator[None]:
        yield

    @contextmanager
    def in_use(self, state: str) -> Iterator[None]:
        yield

    @contextmanager
    def written_back(self, states: Sequence[str]) -> Iterator[None]:
        yield

    def take_in(self, state: str, disks: Disks, title: str) -> None:
        self.states.append(state)

    @contextmanager
    def started(self, states: Sequence[str]) -> Iterator[RunningMachine]:
        self.begun.append(states)
        yield Mock(spec=RunningMachine, has_indexes=False)
        self.ended += 1


@contextmanager
def no_disks(_: object) -> Iterator[Disks]:
    yield Disks((Disk("hdd0", Path("hdd0.raw")),))


def workshop(made: Plan, hypervisor: Hypervisor) -> MachineWorkshop:
    return MachineWorkshop(made, hypervisor, no_disks, Path, ExitStack())


def test_what_stands_before_a_state_that_is_there_need_not_be_made(tmp_path: Path) -> None:
    made = plan(tmp_path)
    ids = [stage.id for stage in made.stages]
    assert stages_there(made, lambda _: False) == 0
    assert stages_there(made, {ids[0]}.__contains__) == 1
    assert stages_there(made, {ids[1]}.__contains__) == 2, "the base is within it"
    assert stages_there(made, {ids[0], ids[2]}.__contains__) == 1, "no state is kept after a step that installs nothing"
    assert kept_states(made, {ids[0], ids[1], ids[2]}.__contains__) == (ids[0], ids[1])
    shop = workshop(made, Kept(ids[0], ids[1]))
    assert [shop.holds(one) for one in ids[:4]] == [True, True, False, False]


def test_the_machine_begins_with_the_last_state_and_lives_on(tmp_path: Path) -> None:
    made = plan(tmp_path)
    ids = [stage.id for stage in made.stages]
    hypervisor = Kept(ids[0], ids[1])
    shop = workshop(made, hypervisor)
    with shop.guest(made, ids[:2]) as guest:
        guest.after += (ids[2],)  # type: ignore[attr-defined]
    with shop.guest(made, ids[:3]):
        pass
    assert hypervisor.begun == [[ids[0], ids[1]]]


def test_where_another_build_has_made_a_layer_meanwhile_the_machine_begins_anew(tmp_path: Path) -> None:
    made = plan(tmp_path)
    ids = [stage.id for stage in made.stages]
    hypervisor = Kept(ids[0])
    shop = workshop(made, hypervisor)
    with shop.guest(made, ids[:1]):
        pass
    hypervisor.states.append(ids[1])
    with shop.guest(made, ids[:2]) as guest:
        assert guest.after == tuple(ids[:2])  # type: ignore[attr-defined]
    assert hypervisor.begun == [[ids[0]], [ids[0], ids[1]]]
    assert hypervisor.ended == 1


def test_a_state_above_an_image_that_was_made_anew_is_not_taken(tmp_path: Path) -> None:
    """Its blocks are elsewhere, although it holds the same files."""
    cache = tmp_path / "cache"
    claim_cache(cache)
    store = Store(cache)
    base, upper = "a" * 64, "b" * 64

    def add(state: str, below: dict[str, float]) -> None:
        scratch = cache / f"scratch-{time.monotonic_ns()}"
        (scratch / TREE).mkdir(parents=True)
        store.add(state, scratch, name="x", parents=(), extra={"below": below})

    add(base, {})
    add(upper, {base: store.meta(base)["created"]})
    assert holds(store, base) and holds(store, upper)
    add(base, {})
    assert holds(store, base) and not holds(store, upper)


def test_a_state_that_has_gone_meanwhile_is_an_error(tmp_path: Path) -> None:
    made = plan(tmp_path)
    ids = [stage.id for stage in made.stages]
    with pytest.raises(BuildError, match="has gone"), workshop(made, Kept(ids[0])).guest(made, ids[:2]):
        pass


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")
def test_images_above_each_other_are_one_disk(tmp_path: Path) -> None:
    """The upper ones hide what is below, and what none of them holds is zero."""
    images = []
    for number in range(3):
        raw, image = tmp_path / f"{number}.raw", tmp_path / f"{number}.qcow2"
        with raw.open("wb") as file:
            file.truncate(4 << 20)
            for at in range(number, 3):
                file.seek(at << 20)
                file.write(bytes([65 + number]) * 1000)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
        images.append(image)
    goal = Disk("hdd0", tmp_path / "whole.raw")
    flattened(images, goal, tmp_path)
    content = goal.path.read_bytes()
    assert len(content) == 4 << 20
    assert [content[at << 20 : (at << 20) + 1] for at in range(4)] == [b"A", b"B", b"C", b"\0"]
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", images[1]], check=True)
    with pytest.raises(BuildError, match="leads to another file"):
        flattened(images, Disk("hdd0", tmp_path / "other.raw"), tmp_path)
    assert not (tmp_path / "other.raw").exists()


@pytest.mark.parametrize("host", ["qemu://", "qemu:///system", "qemu"])
def test_qemu_runs_here_alone(host: str) -> None:
    with pytest.raises(UsageError):
        place_class(host)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"backends": ("lxc",)}, "the image of lxc is no disk"),
        ({"build_address": "192.0.2.1"}, "--build-address"),
    ],
)
def test_options_that_mean_nothing_there(tmp_path: Path, more: dict[str, object], text: str) -> None:
    options = BuildOptions(**{"cache": tmp_path, "backends": ("kvm",), "host": "qemu:"} | more)  # type: ignore[arg-type]
    place = QemuPlace(options)
    with pytest.raises(UsageError, match=text):
        place.check_options()
        place.check_building()


def test_doctor_needs_no_backend(tmp_path: Path) -> None:
    QemuPlace(BuildOptions(cache=tmp_path, host="qemu:")).check_options()


def test_what_it_asks_of_this_host(tmp_path: Path) -> None:
    place = QemuPlace(BuildOptions(cache=tmp_path / "cache", backends=("kvm",), host="qemu:"))
    commands = {one.command for one in place.requirements(plan(tmp_path), Look(Facts()))}
    assert {"qemu-system-x86_64", "lxc-execute", "mmdebstrap"} <= commands
