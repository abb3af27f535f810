"""Machines of a build against VMware's own simulator, as far as that goes: import by lease, states, linked clones,
hardware, power, what is removed; as a vCenter and as an ESXi."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.simulator import Simulator, make_authority, make_certificate, started
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.guests.vsphere.access import BuildLogin
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import Login
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.keeping import KeptLayer, layers_in, prune_layers
from vmgen_build.guests.vsphere.layers import Layers
from vmgen_build.guests.vsphere.login import KEY
from vmgen_build.guests.vsphere.machines import VsphereMachines, as_built
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.reaping import left_by_the_dead, machines_found, remove
from vmgen_build.guests.vsphere.session import Session, opened
from vmgen_build.guests.vsphere.site import find_site
from vmgen_build.guests.vsphere.specs import marked
from vmgen_build.guests.vsphere.tags import layer_name, mark_of
from vmgen_build.host.tls import Trust
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.plan.model import Step
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.store.layers import Store, Sweep

OWNER, TAG = "0123456789ab", "4242-0123abcd"
BASE = "b" * 64
RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
num_cpu = 2
ram = 770
[[hdds]]
[[[system]]]
size = 16M
[[[data]]]
size = 8M
controller = pvscsi
scsi_index = 1
"""


@contextmanager
def connected(program: Path, folder: Path, *options: str) -> Iterator[Session]:
    ca = make_authority(folder, "authority")
    certificate = make_certificate(ca, "server", "IP:127.0.0.2")
    words = ("-listen", "127.0.0.2", "-certificate", str(certificate), *options)
    with started(program, folder / "server.log", *words) as server:
        yield from _sessions(server, ca)


def _sessions(server: Simulator, ca: Path) -> Iterator[Session]:
    login = Login(server.user, Secret(server.password), "the test", Trust(ca))
    with opened(Address(server.host, server.port), login, 20) as session:
        yield session


@pytest.fixture()
def vcenter(program: Path, tmp_path: Path) -> Iterator[Session]:
    with connected(program, tmp_path) as session:
        yield session


def machines_on(session: Session, folder: Path, tag: str = TAG, placement: Placement | None = None) -> VsphereMachines:
    (folder / "lab.ini").write_text(RECIPE)
    cache = folder / "cache"
    claim_cache(cache)
    chosen = placement or Placement(networks=(("nat", "VM Network"),))
    site = find_site(session, inventory_of(session), chosen, chosen.network_for("nat"))
    return VsphereMachines(
        maker=Maker(session, site, OWNER, tag),
        store=Store(cache),
        machine=as_built(machine_of(load(folder / "lab.ini"))),
        access=BuildLogin("lab"),
        folder=folder / "home",
        note=lambda _text: None,
        waiting=lambda _state: None,
        picture=folder / "screen.png",
    )


def disks_of(machine: Machine, folder: Path) -> Disks:
    disks = []
    for drive in machine.drives:
        assert drive.size is not None
        raw = folder / f"{drive.name}.raw"
        with raw.open("wb") as file:
            file.write(os.urandom(100_000))
            file.truncate(drive.size)
        disks.append(Disk(drive.name, write_vmdk(raw, folder / drive.file).path, "vmdk"))
    return Disks(tuple(disks))


def names(session: Session) -> list[str]:
    return [machine.name for machine in inventory_of(session).machines]


def test_a_state_is_there_whole_and_machines_begin_with_it(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    maker = machines.maker
    assert not machines.holds(BASE)
    machines.take_in(BASE, disks_of(machines.machine, tmp_path), "minimal machine")
    assert machines.holds(BASE) and names(vcenter) == [layer_name(BASE)]
    layer = machines.layers.get(BASE)
    assert layer.mark.state == BASE and layer.mark.owner == OWNER and layer.mark.title == "minimal machine"
    sizes = [size for size in (tmp_path / "server.log").read_text().splitlines() if "nfc POST" in size]
    assert len(sizes) == 2

    made = machines.new_machine([BASE])
    config = values_of(vcenter, "test", made, ["config", "name"])
    assert config["name"] == f"vmgen-build-{OWNER}-{TAG}"
    hardware = config["config"].hardware
    assert (hardware.numCPU, hardware.memoryMB) == (2, 772)
    assert {one.key: one.value for one in config["config"].extraConfig}[KEY] == machines.access.settings()[KEY]
    mark = mark_of(config["config"].annotation)
    assert mark is not None and (mark.kind, mark.tag) == ("build", TAG)
    maker.done("on", made.PowerOnVM_Task)

    snapshot = maker.snapshot(made, "c" * 24, "a step")
    step = Step(name="one", title="a step", script="#!/bin/sh\n")
    machines.keep_state(made, snapshot, step, [BASE])
    assert machines.holds(step.id)
    assert machines.layers.get(step.id).mark.below == (BASE[:24],)
    maker.clear()
    assert sorted(names(vcenter)) == sorted([layer_name(BASE), layer_name(step.id)])


def test_who_is_late_with_a_state_takes_the_other_one(vcenter: Session, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, late = machines_on(vcenter, tmp_path), machines_on(vcenter, tmp_path / "other", "77-0123abcd")
    assert not late.holds(BASE)
    first.take_in(BASE, disks_of(first.machine, tmp_path), "theirs")
    late.take_in(BASE, disks_of(late.machine, tmp_path / "other"), "ours")
    assert names(vcenter) == [layer_name(BASE)]
    assert late.layers.get(BASE).mark.title == "theirs"


def test_what_is_half_made_is_no_state_and_is_removed(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    disks = disks_of(machines.machine, tmp_path)
    disks.disks[1].path.write_bytes(b"KDMV no disk")
    with pytest.raises(BuildError):
        machines.take_in(BASE, disks, "broken")
    assert not machines.holds(BASE)
    machines.maker.clear()
    assert names(vcenter) == []


def test_what_a_dead_build_left_is_found_and_nothing_else(vcenter: Session, tmp_path: Path) -> None:
    for tag, owner in ((TAG, OWNER), ("43-0123abcd", OWNER), (TAG, "f" * 12)):
        folder = tmp_path / f"{owner}{tag}"
        folder.mkdir()
        machines = machines_on(vcenter, folder, tag)
        machines.maker.owner = owner
        machines.take_in(BASE, disks_of(machines.machine, folder), "base")
        made = machines.maker.clone(
            machines.layers.get(BASE).machine, machines.layers.get(BASE).snapshot, "", _marked(machines.maker)
        )
        machines.maker.done("on", made.PowerOnVM_Task)
    found = machines_found(vcenter, inventory_of(vcenter))
    assert len(found) == 4
    left = left_by_the_dead(found, OWNER, lambda tag: tag.startswith("43"))
    assert [one.name for one in left] == [f"vmgen-build-{OWNER}-{TAG}"]
    before = inventory_of(vcenter)
    remove(vcenter, left[0].ref, before.datacenters[0].ref)
    assert len(names(vcenter)) == 3
    assert sorted(one.name for one in machines_found(vcenter, before)) == names(vcenter), "it has gone since"


def test_layers_are_listed_and_pruned_where_no_build_uses_them(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    maker, other = machines.maker, "c" * 64
    machines.take_in(BASE, disks_of(machines.machine, tmp_path), "minimal machine")
    (tmp_path / "later").mkdir()
    later = machines_on(vcenter, tmp_path / "later", "77-0123abcd")
    later.take_in(other, disks_of(later.machine, tmp_path / "later"), "another")
    made = machines.new_machine([BASE])

    def layers() -> list[KeptLayer]:
        return layers_in(vcenter, inventory_of(vcenter), maker.site.folder)

    assert {(one.entry.id, one.entry.name) for one in layers()} == {(BASE, "minimal machine"), (other, "another")}
    assert len(prune_layers(vcenter, layers(), machines.store, Sweep(dry=True))) == 2
    assert prune_layers(vcenter, layers(), machines.store, Sweep(older=3600)) == []
    with machines.in_use(other):
        assert prune_layers(vcenter, layers(), machines.store, Sweep()) == []
    assert [entry.id for entry in prune_layers(vcenter, layers(), machines.store, Sweep())] == [other]
    maker.destroy(made)
    assert [entry.id for entry in prune_layers(vcenter, layers(), machines.store, Sweep())] == [BASE]
    assert names(vcenter) == []


def _marked(maker: Maker) -> Any:
    return marked(maker.mark("build"))


def test_another_s_machine_with_a_build_s_name_stays(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    machines.take_in(BASE, disks_of(machines.machine, tmp_path), "base")
    layer, maker = machines.layers.get(BASE), machines.maker
    other = replace(maker.mark("build"), owner="f" * 12)
    maker.clone(layer.machine, layer.snapshot, "", marked(other))
    maker.clear()
    assert maker.name() in names(vcenter)
    assert left_by_the_dead(machines_found(vcenter, inventory_of(vcenter)), OWNER, lambda _: False) == []


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement(datastore="none"), "there is no 'none'.*there are LocalDS_0"),
        (Placement(pool="none"), "--pool: there is no 'none'"),
        (Placement(folder="none"), "--folder: there is no 'none'"),
        (Placement(networks=(("nat", "none"),)), "--map: there is no 'none'.*VM Network"),
        (Placement(), "more than one network.*--map nat=NAME.*DC0_DVPG0.*VM Network"),
    ],
)
def test_what_is_not_there(vcenter: Session, tmp_path: Path, placement: Placement, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        machines_on(vcenter, tmp_path, placement=placement)


def test_a_place_by_its_path(vcenter: Session, tmp_path: Path) -> None:
    placement = Placement("LocalDS_0", "DC0_H0", "DC0/vm", (("nat", "DC0_DVPG0"),))
    machines = machines_on(vcenter, tmp_path, placement=placement)
    assert machines.maker.site.network.kind == "DistributedVirtualPortgroup"
    machines.take_in(BASE, disks_of(machines.machine, tmp_path), "base")
    made = machines.new_machine([BASE])
    devices = values_of(vcenter, "test", made, ["config.hardware.device"])["config.hardware.device"]
    assert any(hasattr(getattr(device, "backing", None), "port") for device in devices)


def test_an_esxi_keeps_no_states(program: Path, tmp_path: Path) -> None:
    with connected(program, tmp_path, "-esx") as session:
        machines = machines_on(session, tmp_path)
        assert isinstance(machines.layers, Layers) and not machines.maker.clones
        machines.take_in(BASE, disks_of(machines.machine, tmp_path), "base")
        assert machines.holds(BASE) and not machines.holds("c" * 64)
        assert names(session) == [f"vmgen-build-{OWNER}-{TAG}"]
        machines.maker.clear()
        assert names(session) == []
