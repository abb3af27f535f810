"""A finished machine kept on VMware's own simulator, as far as that goes: a copy with the recipe's hardware under the
build's name, which becomes a template with its own name at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.standin.there import There, session_on, trusted_stand_in
from tests.integration.vsphere.test_machines import BASE, OWNER, TAG, connected, disks_of, machines_on, names
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.vsphere.goal import Goal
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.login import KEY
from vmgen_build.guests.vsphere.machines import VsphereMachines
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.publishing import Publisher, check_goal
from vmgen_build.guests.vsphere.reaping import left_by_the_dead, machines_found
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import find_networks
from vmgen_build.guests.vsphere.tags import layer_name, mark_of
from vmgen_build.plan.machine import Machine, Nic, machine_of
from vmgen_build.recipe.load import load

NICS = (
    Nic(name="eth0", hw_addr="00:50:56:11:11:11", type="nat", adapter="e1000", bridge=None, connected=True),
    Nic(name="eth1", hw_addr="00:50:56:22:22:22", type="bridged", adapter="vmxnet3", bridge=None, connected=False),
)
MEANWHILE = f"vmgen-build-{OWNER}-{TAG}-template"


@pytest.fixture()
def vcenter(program: Path, tmp_path: Path) -> Iterator[Session]:
    with connected(program, tmp_path, "-trace") as session:
        yield session


def built_on(session: Session, machines: VsphereMachines, folder: Path) -> Any:
    """What stands for the finished machine."""
    machines.take_in(BASE, disks_of(machines.machine, folder), "base")
    return machines.new_machine([BASE])


def publisher_of(session: Session, machines: VsphereMachines, folder: Path, goal: Goal) -> Publisher:
    machine: Machine = replace(machine_of(load(folder / "lab.ini")), nics=NICS)
    networks = find_networks(session, inventory_of(session), ["VM Network", "DC0_DVPG0"])
    return Publisher(maker=machines.maker, goal=goal, machine=machine, networks=networks, key=KEY)


def test_it_is_a_template_with_the_recipe_s_hardware(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    maker = machines.maker
    publisher = publisher_of(vcenter, machines, tmp_path, Goal("lab 2026"))
    check_goal(vcenter, maker.site, publisher.goal)
    built = built_on(vcenter, machines, tmp_path)
    publisher.take(built)
    assert MEANWHILE in names(vcenter) and "lab 2026" not in names(vcenter)
    maker.destroy(built)
    assert "lab 2026" in publisher.finish()
    maker.clear()
    assert sorted(names(vcenter)) == ["lab 2026", layer_name(BASE)]

    [kept] = [one for one in inventory_of(vcenter).machines if one.name == "lab 2026"]
    assert kept.template and kept.power == "poweredOff" and not kept.snapshots
    config = values_of(vcenter, "test", kept.ref, ["config"])["config"]
    assert (config.hardware.numCPU, config.hardware.memoryMB) == (2, 772)
    cards = [one for one in config.hardware.device if hasattr(one, "macAddress")]
    assert [type(one).__name__.rpartition(".")[2] for one in cards] == ["VirtualE1000", "VirtualVmxnet3"]
    assert cards[0].backing.deviceName == "VM Network" and cards[1].backing.port.portgroupKey
    assert [one.connectable.startConnected for one in cards] == [True, False]
    assert not {one.macAddress for one in cards} & {nic.hw_addr for nic in NICS}
    assert not [one for one in config.extraConfig if one.key == KEY and one.value]
    mark = mark_of(config.annotation)
    assert mark is not None and (mark.kind, mark.owner, mark.title) == ("template", OWNER, "lab")
    clone = (tmp_path / "server.log").read_text().rpartition("<CloneVM_Task ")[2].partition("</CloneVM_Task>")[0]
    assert "moveAllDiskBackingsAndConsolidate" in clone and "<snapshot" not in clone


def test_what_is_not_finished_goes_with_its_build_or_the_next(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    publisher = publisher_of(vcenter, machines, tmp_path, Goal("lab"))
    publisher.take(built_on(vcenter, machines, tmp_path))
    left = left_by_the_dead(machines_found(vcenter, inventory_of(vcenter)), OWNER, lambda _tag: False)
    assert [one.name for one in left] == [f"vmgen-build-{OWNER}-{TAG}", MEANWHILE]
    machines.maker.clear()
    assert names(vcenter) == [layer_name(BASE)]


def test_a_name_that_is_there_is_refused(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    built_on(vcenter, machines, tmp_path)
    taken = layer_name(BASE)
    with pytest.raises(UsageError, match=f"'{taken}' is there already, in the folder 'vm' of"):
        check_goal(vcenter, machines.maker.site, Goal(taken))
    machines.maker.clear()


def test_an_esxi_keeps_no_templates(program: Path, tmp_path: Path) -> None:
    with connected(program, tmp_path, "-esx") as session:
        machines = machines_on(session, tmp_path)
        with pytest.raises(UsageError, match="is an ESXi, which keeps no templates; name its vCenter"):
            check_goal(session, machines.maker.site, Goal("lab"))


def test_on_the_stand_in_somebody_else_takes_the_name_meanwhile(
    program: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("s")
    (tmp_path / "raw").write_bytes(os.urandom(1 << 20) + bytes(15 << 20))
    disk = write_vmdk(tmp_path / "raw", tmp_path / "disk.vmdk").path
    with trusted_stand_in(program, folder, folder, None) as made, session_on(made) as session:
        there = There(session, disk, "16M", tmp_path)
        maker, network = there.maker, there.maker.site.network
        publisher = Publisher(maker=maker, goal=Goal("kept"), machine=there.machine, networks=[network], key=KEY)
        publisher.take(there.made)
        maker.rename(there.made, "kept")
        with pytest.raises(HostError, match="'kept' is taken there by another"):
            publisher.finish()
        assert sorted(names(session)) == ["kept", f"{maker.name()}-template"]
        maker.clear()
        assert names(session) == ["kept"]
        maker.rename(there.made, "other")
        publisher.take(there.made)
        maker.destroy(there.made)
        publisher.finish()
        maker.clear()
        [kept] = inventory_of(session).machines
        assert kept.name == "kept" and kept.template
        maker.destroy(kept.ref)
