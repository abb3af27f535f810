"""Machines of a build that do not come up, or do not let the build in: what is said, the picture, and what is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import RECIPE, There, session_on, trusted_stand_in
from tests.integration.vsphere.standin.tiny import tiny_root
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.errors import BuildError
from vmgen_build.guests.vsphere import waiting
from vmgen_build.guests.vsphere.access import BuildLogin
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.login import ACCOUNT, KEY
from vmgen_build.guests.vsphere.machines import VsphereMachines, as_built
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.specs import marked
from vmgen_build.host.files import sha256_of
from vmgen_build.limits import Limit
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Store

MB = 1 << 20
STATE = "b" * 64


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    with (folder / "raw").open("wb") as file:
        file.write(os.urandom(MB))
        file.truncate(20 * MB)
    return write_vmdk(folder / "raw", folder / "disk.vmdk").path


@pytest.fixture(scope="module")
def made(program: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("s")
    (folder / "lab.ini").write_text(RECIPE.format(size="20M", firmware="bios"))
    tiny_root(folder / f"standin-{sha256_of(disk)[:24]}", "other", ACCOUNT, KEY)
    with trusted_stand_in(program, folder, folder, as_built(machine_of(load(folder / "lab.ini")))) as server:
        yield server


@pytest.fixture()
def session(made: StandIn) -> Iterator[Session]:
    made.settings.reset()
    made.ground.refuses_logins = False
    with session_on(made) as session:
        yield session


@pytest.fixture()
def machines(session: Session, disk: Path, tmp_path: Path) -> Iterator[VsphereMachines]:
    """There is a state, and nothing else is left afterwards."""
    there = There(session, disk, "20M", tmp_path)
    claim_cache(tmp_path / "cache")
    own = VsphereMachines(
        maker=there.maker,
        store=Store(tmp_path / "cache"),
        machine=there.machine,
        access=BuildLogin("lab"),
        folder=tmp_path / "out",
        note=lambda _text: None,
        waiting=lambda _state: None,
        picture=tmp_path / "screen.png",
    )
    there.maker.configure(there.made, marked(there.maker.mark("layer", state=STATE)))
    own.layers.add(there.made, STATE)
    yield own
    [layer] = inventory_of(session).machines
    assert layer.name.startswith("vmgen-layer-")
    there.maker.destroy(layer.ref)


def refused(machines: VsphereMachines) -> str:
    """Why it does not start."""
    with pytest.raises(BuildError) as caught, machines.started([STATE]):
        pass
    return str(caught.value)


def test_a_machine_that_comes_up_is_spoken_to(machines: VsphereMachines) -> None:
    with machines.started([STATE]) as running:
        assert running.communicator.run("echo out; echo err >&2; exit 3", 20).code == 3
        boot = running.communicator.run("cat /proc/sys/kernel/random/boot_id", 20).out
        running.restart()
        assert running.communicator.run("cat /proc/sys/kernel/random/boot_id", 20).out not in ("", boot)
        running.picture(machines.picture)
    assert machines.picture.read_bytes().startswith(b"\x89PNG\r\n")


def test_tools_that_never_come(machines: VsphereMachines, made: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "VSPHERE_BOOT", Limit("vsphere-boot", "until it is up", 2, "s"))
    made.settings.change(tools_after=-1)
    text = refused(machines)
    assert "did not come up in time: it waits for VMware Tools" in text and "limit 'vsphere-boot'" in text
    assert f"its screen: {machines.picture}" in text
    assert machines.picture.read_bytes().startswith(b"\x89PNG\r\n")


def test_a_question(machines: VsphereMachines, made: StandIn) -> None:
    made.settings.change(question="Did you move this machine?")
    text = refused(machines)
    assert "the machine waits for an answer: 'Did you move this machine?'" in text
    assert f"its screen: {machines.picture}" in text


def test_a_login_that_is_refused(machines: VsphereMachines, made: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "VSPHERE_LOGIN", Limit("vsphere-login", "until it lets in", 2, "s"))
    made.ground.refuses_logins = True
    text = refused(machines)
    assert "does not let the build in" in text and "the guest refuses user or password" in text


def test_passwords_are_nowhere(machines: VsphereMachines, made: StandIn) -> None:
    """Of the server and of the guest: in no order to the guest, and on none of its disks; there is a hash alone."""
    assert isinstance(machines.access, BuildLogin)
    password, hashed = machines.access._login.password.reveal(), machines.access._login.hashed
    with machines.started([STATE]) as running:
        running.communicator.run("cat /etc/shadow", 20)
    assert made.server.password not in str(made.ground.orders) and password not in str(made.ground.orders)
    written = [file.read_bytes() for file in made.ground.folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert any(hashed.encode() in data for data in written)
    assert not [data for data in written if password.encode() in data or made.server.password.encode() in data]
