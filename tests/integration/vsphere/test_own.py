"""Whole builds on the stand-in that begin with a machine of the user's own: one that the server has, or a disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from tests.integration.leftovers import assert_nothing_left
from tests.integration.terminals import at_terminal
from tests.integration.vsphere.standin.ground import run_roots
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import authority_of, session_on, trusted_stand_in
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.facts import facts_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.registry import place_at
from vmgen_build.build.places.servers.own import source_of
from vmgen_build.errors import RecipeError, UsageError
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.vsphere.access import ByTools
from vmgen_build.guests.vsphere.discs import Disc
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.inventory import Machine as Found
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.machines import VsphereMachine, VsphereMachines, as_started
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite, find_site
from vmgen_build.guests.vsphere.tags import BUILD
from vmgen_build.host.tls import Trust
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CANARY = "c4n4ry-0wn"
ADDRESS = "127.0.0.9"

OWN = f"""\
[hardware]
    vm_id = own
    os = debian-12
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
    packages = open-vm-tools, openssh-server, sudo
"""

MORE = {
    "etc/resolv.conf": Path("/etc/resolv.conf").read_text(),
    "etc/systemd/system/default.target": "[Unit]\nWants=own.service\n",
    "etc/systemd/system/own.service": "[Service]\nType=oneshot\nExecStart=sh /etc/own\n",
    "etc/own": f"exec >/dev/null 2>&1\nmkdir -p /run/sshd\nssh-keygen -A\n/usr/sbin/sshd -o ListenAddress={ADDRESS}\n",
    "boot/grub/i386-pc/boot.img": "\0" * 510 + "\x55\xaa",
    "boot/grub/i386-pc/core.img": "\0" * 1024,
}
"""This host's network, which is the guests', what a boot starts, and a boot loader that loads nothing."""

LAB = """\
[hardware]
    vm_id = lab
    os = debian-12
    base = {base}
    {login}
    ram = 512M
    [[hdds]]
        [[[hdd0]]]
            size = {size}
{disks}
[config]
    hostname = lab
    [[scripts]]
        [[[one]]]
            run = "id -u; echo made >/srv/made"
"""
SECOND = "        [[[hdd1]]]\n            size = 100M\n"
BY_TOOLS = "login = ana\n    login_password = file:password"
BY_SSH = f"{BY_TOOLS}\n    communicator = ssh"


def recipe(folder: Path, base: object, login: str, size: str = "2G", disks: str = "") -> Path:
    (folder / "password").write_text(f"{CANARY}\n")
    path = folder / "lab.ini"
    path.write_text(LAB.format(base=base, login=login, size=size, disks=disks))
    return path


def machine_for(size: str, disks: str, folder: Path) -> Machine:
    folder.mkdir()
    return as_started(machine_of(load(recipe(folder, "vm:golden", BY_TOOLS, size, disks))))


@pytest.fixture(scope="module")
def disk(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own: a root of Debian with some users, and no kernel, which guests of the stand-in need not."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.ini").write_text(OWN)
    done = vmgen(folder / "own.ini", "--compression", "none", "-o", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    root, out = folder / "rootfs", folder / "out"
    out.mkdir()
    [image] = folder.glob("own-lxc-*.tar")
    subprocess.run(["tar", "-xpf", image, "-C", folder, "--numeric-owner", "rootfs"], check=True)
    for name, text in MORE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text, "latin-1")
        (root / name).chmod(0o755)
    description = folder / "machine.json"
    description.write_text(machine_for("2G", "", folder / "m").to_json())
    run_roots("pack", description, 2**31, out, root)
    shutil.rmtree(root)
    return out / "hdd0.vmdk"


@pytest.fixture(scope="module")
def made(program: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """With the machine `golden`, and its snapshot `clean`."""
    folder = tmp_path_factory.mktemp("s")
    machine = machine_for("2G", "", folder / "m")
    with trusted_stand_in(program, folder, folder, machine) as server:
        server.settings.change(address=ADDRESS)
        with session_on(server) as session:
            maker = Maker(session, site_of(session), "0" * 12, "1-0")
            copy = folder / machine.drives[0].file
            shutil.copy(disk, copy)
            wanted = Wanted("golden", maker.mark(BUILD), machine, Disks((Disk("hdd0", copy, "vmdk"),)))
            maker.snapshot(import_machine(session, maker.site, wanted), "clean", "of the test")
        before = golden(server)
        yield server
        assert before == golden(server)


def site_of(session: Session) -> ServerSite:
    return find_site(session, inventory_of(session), Placement(networks=(("nat", "VM Network"),)), "VM Network")


def machines_of(made: StandIn) -> tuple[Found, ...]:
    with session_on(made) as session:
        return inventory_of(session).machines


def of_builds(made: StandIn) -> list[str]:
    return [each.name for each in machines_of(made) if each.name.startswith("vmgen-build-")]


def golden(made: StandIn) -> tuple[object, ...]:
    [one] = [each for each in machines_of(made) if each.name == "golden"]
    return one.power, [each.name for each in one.snapshots], one.template


def words(made: StandIn, recipe: Path, out: Path) -> list[str]:
    place = f"vsphere://{made.server.user}@{made.server.host}:{made.server.port}/DC0"
    options = ["--host", place, "--cafile", str(authority_of(made)), "--map", "nat=VM Network"]
    return [str(recipe), "-b", "vmware", *options, "-o", str(out), "--json"]


def password(made: StandIn) -> dict[str, str]:
    return {"VMGEN_VSPHERE_PASSWORD": made.server.password}


def content(ova: Path, folder: Path) -> dict[str, Any]:
    """Names of the disks in it, and what the root file system holds of what steps made."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", ova, "-C", folder], check=True)
    disks = sorted(folder.glob("*.vmdk"))
    run_roots("unpack", disks[0], folder / "root")
    root = folder / "root"
    traces = [name for name in ("var/lib/vmgen-build", "run/vmgen-build") if (root / name).exists()]
    return {"disks": len(disks), "made": (root / "srv/made").read_text(), "traces": traces}


def assert_built(done: subprocess.CompletedProcess[str], out: Path, folder: Path, disks: int) -> str:
    """What was noted."""
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    assert content(out / "lab.ova", folder / "content") == {"disks": disks, "made": "made\n", "traces": []}
    events = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [event["line"] for event in events if event["event"] == "step-output" and event["step"] == "script-one"]
    assert "0" in lines
    return "\n".join(event["text"] for event in events if event["event"] == "note")


def test_a_linked_clone_by_tools(vmgen: Run, made: StandIn, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = vmgen(*words(made, recipe(tmp_path, "vm:vm/golden@clean", BY_TOOLS), out), env=password(made))
    notes = assert_built(done, out, tmp_path, 1)
    assert "cloning the machine vm/golden, snapshot clean on" in notes and "VMware Tools run after" in notes
    assert {each.name.rpartition("-")[0] for each in machines_of(made)} == {"", "vmgen-layer"}
    assert [name for name, _ in made.ground.orders].count("import") == 1


def test_a_full_clone_by_ssh_with_more_disks(vmgen: Run, made: StandIn, tmp_path: Path) -> None:
    """A second build takes the layer that is there."""
    out = tmp_path / "out"
    made.ground.machine = machine_for("3G", SECOND, tmp_path / "m")
    path = recipe(tmp_path, "vm:golden", BY_SSH, "3G", SECOND)
    notes = assert_built(vmgen(*words(made, path, out), env=password(made)), out, tmp_path, 2)
    assert f"the machine's address is {ADDRESS}" in notes and "logged in as ana after" in notes
    again = vmgen(*words(made, path, tmp_path / "again"), env=password(made))
    assert again.returncode == 0 and "cloning" not in again.stdout


def test_by_ssh_a_step_that_fails_opens_a_shell(made: StandIn, cache: Path, tmp_path: Path) -> None:
    """On the caller's terminal, in the machine, which is gone afterwards."""
    path = recipe(tmp_path, "vm:golden@clean", BY_SSH)
    more = ["--on-error", "shell", "--set", "config.scripts.one.run=echo begun; exit 3"]
    options = [word for word in words(made, path, tmp_path / "out") if word != "--json"]
    program = [sys.executable, "-m", "vmgen_build", *options, *more]
    with at_terminal(program, {"VMGEN_CACHE": str(cache)} | password(made)) as user:
        seen = user.read_until("this shell is where it failed")
        assert "logged in as ana after" in seen and CANARY not in seen
        user.read_until("#")
        assert of_builds(made)
        user.type("echo $((40 + 2)) $(id -u) $(cat /etc/hostname) $(tty)")
        user.read_until("42 0 lab /dev/pts/")
        user.type("exit")
        assert "step 'script-one'" in user.read_until("failed with exit code 3")
        assert user.process.wait(120) == 1
    assert of_builds(made) == []
    assert_nothing_left(cache / "tmp", tmp_path / "out")


def test_a_disk_of_this_host(vmgen: Run, made: StandIn, disk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made.ground.machine = machine_for("2G", "", tmp_path / "m")
    imports = [name for name, _ in made.ground.orders].count("import")
    done = vmgen(*words(made, recipe(tmp_path, disk, BY_TOOLS), out), env=password(made))
    notes = assert_built(done, out, tmp_path, 1)
    assert "sending the machine of hdd0.vmdk to" in notes
    assert [name for name, _ in made.ground.orders].count("import") == imports + 1


def test_orders_of_one_who_uses_sudo_and_a_restart(made: StandIn, cache: Path, tmp_path: Path) -> None:
    read = load(recipe(tmp_path, "vm:golden@clean", BY_TOOLS))
    state, one, home = "c" * 64, tmp_path / "one", tmp_path / "home"
    one.write_text("content\n")
    with session_on(made) as session:
        source = source_of(session, inventory_of(session), read)
        assert source is not None
        machines = VsphereMachines(
            maker=Maker(session, site_of(session), "0" * 12, "2-0"),
            store=BuildOptions(cache=cache).store(),
            machine=as_started(machine_of(read)),
            access=ByTools(GuestLogin.of(read.hardware)),
            folder=home,
            note=print,
            waiting=print,
            picture=tmp_path / "screen.png",
            discs=[Disc(one, connected=True)],
        )
        machines.clone_in(state, source, True, "of the test")
        with machines.started([state]) as machine:
            assert isinstance(machine, VsphereMachine)
            disc = disc_in(session, machine._machine)
            assert disc.read_text() == "content\n"
            machine.communicator.put(one, "/etc/one", 0o640)
            machine.restart()
            assert machine.communicator.run("id -u; stat -c '%a %U' /etc/one").out == "0\n640 root\n"
            machine.communicator.get("/etc/one", tmp_path / "two")
            machine.communicator.delete("/etc/one")
            assert machine.communicator.run("[ ! -e /etc/one ]").code == 0
        assert (tmp_path / "two").read_text() == "content\n" and not disc.exists()
        machines.maker.destroy(machines.layers.get(state).machine)


def disc_in(session: Session, machine: Any) -> Path:
    """Of this host: where the simulator has the file in the machine's CD drive."""
    found = values_of(session, "looking", machine, ["config.hardware.device", "datastore"])
    [drive] = [each for each in found["config.hardware.device"] if isinstance(each, vim.vm.device.VirtualCdrom)]
    assert drive.connectable.startConnected
    store = values_of(session, "looking", found["datastore"][0], ["info.url"])["info.url"]
    return Path(store, drive.backing.fileName.partition("] ")[2])


@pytest.mark.parametrize(
    ("base", "login", "size", "message"),
    [
        ("vm:silver", BY_TOOLS, "2G", "base: there is no machine 'silver' on the server; there are golden"),
        ("vm:golden@dirty", BY_TOOLS, "2G", "base: 'golden' has no snapshot 'dirty'; it has clean"),
        ("vm:golden@clean", BY_TOOLS, "3G", "size: a linked clone's disks cannot grow: write clone = full"),
        ("vm:golden", BY_TOOLS, "1G", "size: the disk of vm:golden has 2.1 GB; give it more, or leave size out"),
        (
            "vm:golden",
            f"{BY_TOOLS}\n    firmware = efi",
            "2G",
            "firmware: vm:golden boots by bios; write firmware = bios",
        ),
    ],
)
def test_what_cannot_be_is_named_at_its_line(
    made: StandIn,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    login: str,
    size: str,
    message: str,
) -> None:
    assert message in refusal(made, cache, recipe(tmp_path, base, login, size), monkeypatch)


def test_a_shell_needs_ssh(made: StandIn, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, "vm:golden", BY_TOOLS)
    text = refusal(made, cache, path, monkeypatch, on_error="shell")
    assert (
        text
        == "--on-error shell: there is no shell by VMware Tools; write communicator = ssh, or take: --on-error keep"
    )


def refusal(made: StandIn, cache: Path, path: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> str:
    monkeypatch.setenv("VMGEN_VSPHERE_PASSWORD", made.server.password)
    host = f"vsphere://{made.server.user}@{made.server.host}:{made.server.port}/DC0"
    trust = Trust(authority_of(made))
    options = BuildOptions(cache=cache, backends=("vmware",), host=host, trust=trust, **more)
    read = load(path)
    with pytest.raises((RecipeError, UsageError)) as error:
        place_at(options).look(read, backend_named("vmware"), facts_for(read, cache, offline=False))
    return str(error.value)


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("vm:golden@clean", {"base vm:golden@clean": True, "its VMware Tools": True, "it can be cloned": True}),
        ("vm:silver", {"base vm:silver": False}),
    ],
)
def test_doctor_knows_a_base(vmgen: Run, made: StandIn, base: str, found: dict[str, bool]) -> None:
    place = f"vsphere://{made.server.user}@{made.server.host}:{made.server.port}/DC0"
    trust = ["--cafile", authority_of(made)]
    done = vmgen("doctor", "--host", place, *trust, "--base", base, "--json", env=password(made))
    lines = {each["what"]: each["good"] for each in map(json.loads, done.stdout.splitlines())}
    assert {name: lines.get(name) for name in found} == found, done.stderr
    assert done.returncode == (0 if all(lines.values()) else 1)


def test_a_user_who_is_not_root(vmgen: Run, made: StandIn, tmp_path: Path) -> None:
    login = BY_TOOLS.replace("ana", "bob")
    done = vmgen(*words(made, recipe(tmp_path, "vm:golden@clean", login), tmp_path / "out"), env=password(made))
    assert (
        done.returncode == 1 and "the user 'bob' of the machine is not root, and sudo wants a password" in done.stderr
    )
    assert CANARY not in done.stderr + done.stdout
    assert of_builds(made) == []
