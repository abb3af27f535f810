"""Where machines of a build go on VMware's own simulator, with a cluster of two hosts beside a host, a cluster of
datastores, and storage policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.test_machines import BASE, connected, disks_of, machines_on
from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.policies import find_policy
from vmgen_build.guests.vsphere.properties import values_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite, find_site

DEMANDING, EASY = "vSAN Default Storage Policy", "VVol No Requirements Policy"
EASY_ID = "f4e5bade-15a2-4805-bf8e-52318c4ce443"


@pytest.fixture(scope="module")
def large(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with connected(program, tmp_path_factory.mktemp("large"), "-large") as session:
        yield session


def site_on(session: Session, **wishes: str) -> ServerSite:
    return find_site(session, inventory_of(session), Placement(**wishes), "VM Network")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wishes", "datastore", "host"),
    [
        ({"pool": "DC0_C0", "esxi": "DC0_C0_H1"}, "LocalDS_1", "DC0_C0_H1"),
        ({"esxi": "DC0_C0_H1"}, "LocalDS_1", "DC0_C0_H1"),
        ({"esxi": "DC0_C0/DC0_C0_H0"}, "LocalDS_2", "DC0_C0_H0"),
        ({"esxi": "DC0_H0"}, "LocalDS_1", "DC0_H0"),
        ({"pool": "DC0_C0"}, "LocalDS_2", "DC0_C0_H0"),
        ({"pool": "DC0_H0", "datastore": "DC0_POD0"}, "LocalDS_1", None),
        ({"pool": "DC0_C0", "datastore": "datastore/DC0_POD0"}, "LocalDS_1", "DC0_C0_H0"),
        ({"pool": "DC0_H0", "storage_policy": EASY}, "LocalDS_1", None),
        ({"pool": "DC0_H0", "storage_policy": DEMANDING}, "LocalDS_0", None),
        ({"pool": "DC0_H0", "storage_policy": EASY_ID, "datastore": "DC0_POD0"}, "LocalDS_1", None),
        ({"pool": "DC0_H0", "storage_policy": DEMANDING, "datastore": "DC0_POD0"}, "LocalDS_0", None),
    ],
)
def test_what_is_chosen(large: Session, wishes: dict[str, str], datastore: str, host: str | None) -> None:
    site = site_on(large, **wishes)
    assert (site.datastore.name, site.host and site.host.name) == (datastore, host)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"esxi": "none"}, "--esxi: there is no 'none' on .*; there are DC0_C0_H0, DC0_C0_H1, DC0_H0"),
        ({"pool": "DC0_C0", "esxi": "DC0_H0"}, "'DC0_H0' runs no machines of .*DC0_C0.*; .* DC0_C0_H0, DC0_C0_H1"),
        ({}, "more than one resource pool .*--pool; there are DC0_C0, DC0_H0"),
        (
            {"esxi": "DC0_C0_H1", "datastore": "LocalDS_2"},
            "--datastore: there is no 'LocalDS_2'.* LocalDS_0, LocalDS_1",
        ),
        ({"esxi": "DC0_H0", "datastore": "LocalDS_3"}, "--datastore: there is no 'LocalDS_3'"),
        (
            {"esxi": "DC0_H0", "datastore": "LocalDS_1", "storage_policy": DEMANDING},
            "--datastore: 'LocalDS_1' is none that can be used from DC0_H0 and fits .*'vSAN.*'; there are LocalDS_0",
        ),
        (
            {"esxi": "DC0_H0", "storage_policy": "none"},
            f"--storage-policy: there is no 'none' on .*; there are .*{EASY}",
        ),
    ],
)
def test_what_cannot_be(large: Session, wishes: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        site_on(large, **wishes)


def test_an_empty_cluster_of_datastores(large: Session) -> None:
    folder: Any = inventory_of(large).datacenters[0].ref.datastoreFolder
    large.order("making it", lambda: folder.CreateStoragePod(name="empty"))
    with pytest.raises(
        UsageError, match="no member of the cluster 'empty' can be used from DC0_H0; there are LocalDS_0"
    ):
        site_on(large, esxi="DC0_H0", datastore="empty")


def test_machines_are_made_there_and_with_the_policy(program: Path, tmp_path: Path) -> None:
    """The simulator forgets policies: they are seen in what it was asked."""
    with connected(program, tmp_path, "-large", "-trace") as session:
        placement = Placement(
            "DC0_POD0", "DC0_C0", networks=(("nat", "VM Network"),), esxi="DC0_C0_H1", storage_policy=EASY
        )
        machines = machines_on(session, tmp_path, placement=placement)
        machines.take_in(BASE, disks_of(machines.machine, tmp_path), "base")
        made = machines.new_machine([BASE])
        host = values_of(session, "test", made, ["runtime.host"])["runtime.host"]
        assert values_of(session, "test", host, ["name"])["name"] == "DC0_C0_H1"
        files = values_of(session, "test", made, ["config.files.vmPathName"])["config.files.vmPathName"]
        assert files.startswith("[LocalDS_1]")
    requests = (tmp_path / "server.log").read_text().split("Request: ")
    wanted = rf"<profileId[^>]*>{EASY_ID}</profileId>"
    imports = [text for text in requests if "<ImportVApp " in text]
    clones = [text for text in requests if "<CloneVM_Task " in text]
    assert [len(re.findall(wanted, text)) for text in imports] == [3], "the machine's own, and its two disks"
    assert [len(re.findall(wanted, text)) for text in clones] == [3]
    assert "createNewChildDiskBacking" in clones[0]


def test_an_esxi_has_no_policies(program: Path, tmp_path: Path) -> None:
    with (
        connected(program, tmp_path, "-esx") as session,
        pytest.raises(HostError, match="an ESXi alone has no storage policies: leave --storage-policy out"),
    ):
        site_on(session, storage_policy=EASY)


def test_a_vcenter_without_policies(large: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmgen_build.guests.vsphere.policies.PATH", "/none/sdk")
    with pytest.raises(HostError, match="this server has no storage policies"):
        site_on(large, esxi="DC0_H0", storage_policy=EASY)


def test_policies_are_looked_for_in_a_new_session_where_the_old_one_was_ended(large: Session) -> None:
    large.stub.cookie = 'vmware_soap_session="none"'
    assert find_policy(large, EASY).id == EASY_ID
