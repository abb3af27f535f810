"""A finished machine put into a content library of VMware's own simulator, by its REST interface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.test_machines import BASE, connected, machines_on, names
from tests.integration.vsphere.test_publishing import built_on, publisher_of
from vmgen_build.errors import HostError, UsageError
from vmgen_build.guests.vsphere.goal import Goal
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.library import ITEMS, LIBRARIES
from vmgen_build.guests.vsphere.publishing import check_goal
from vmgen_build.guests.vsphere.rest import API, NEW, OLD, Rest, logged_in
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tags import layer_name
from vmgen_build.limits import Limit
from vmgen_build.secret import Secret

VERSIONS = {"/rest": "", "/api": "8.0.2.0"}
"""Of the vSphere API, by what content libraries are asked by; "" for the simulator's own, which is 6.5."""


@pytest.fixture(scope="module", params=VERSIONS)
def vcenter(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """One that has the one interface alone, and one that has both: there the newer one is used, as its log tells."""
    folder, version = tmp_path_factory.mktemp("library"), VERSIONS[request.param]
    with connected(program, folder, "-api", version) as session:
        make_library(session, "Images", "LOCAL")
        make_library(session, "Theirs", "SUBSCRIBED")
        yield session
    asked = re.findall(r"^api (\S+ \S+)$", (folder / "server.log").read_text(), re.MULTILINE)
    assert bool(asked) == bool(version)
    if asked:
        assert {"POST /api/vcenter/vm-template/library-items", "DELETE /api/session"} < set(asked)


def make_library(session: Session, name: str, kind: str) -> None:
    [store] = inventory_of(session).datastores
    storage = [{"datastore_id": store.id, "type": "DATASTORE"}]
    spec = {"name": name, "type": kind, "storage_backings": storage}
    with logged_in(session) as rest:
        rest.create("/content/local-library", spec, "making a library", "create_spec")


def items_of(rest: Rest, library: str) -> list[Any]:
    [id_] = rest.find(LIBRARIES, {"name": library}, "looking")
    ids = rest.find(ITEMS, {"library_id": id_}, "looking") or []
    return [rest.get(ITEMS, "looking", each) for each in ids]


def test_it_is_an_item_of_the_library(vcenter: Session, tmp_path: Path) -> None:
    machines = machines_on(vcenter, tmp_path)
    maker = machines.maker
    publisher = publisher_of(vcenter, machines, tmp_path, Goal("lab", "Images"))
    check_goal(vcenter, maker.site, publisher.goal)
    built = built_on(vcenter, machines, tmp_path)
    publisher.take(built)
    maker.destroy(built)
    with logged_in(vcenter) as rest:
        assert items_of(rest, "Images") == []
    assert "lab, in the content library 'Images'" in publisher.finish()
    maker.clear()
    with logged_in(vcenter) as rest:
        [item] = items_of(rest, "Images")
    assert (item["name"], item["type"]) == ("lab", "vm-template")
    assert sorted(names(vcenter)) == ["lab", layer_name(BASE)]
    [kept] = [one for one in inventory_of(vcenter).machines if one.name == "lab"]
    assert kept.template
    with pytest.raises(UsageError, match="the library 'Images' has an item 'lab' already"):
        check_goal(vcenter, maker.site, Goal("lab", "Images"))


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("none", "there is no library 'none' on .*; there are Images$"),
        ("images", "there is no library 'images'"),
        ("Theirs", "'Theirs' shows what another holds; name one that is local"),
    ],
)
def test_a_library_that_takes_nothing(vcenter: Session, tmp_path: Path, library: str, message: str) -> None:
    site = machines_on(vcenter, tmp_path).maker.site
    with pytest.raises(UsageError, match=message):
        check_goal(vcenter, site, Goal("lab", library))


def test_a_server_without_the_interface(vcenter: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("OLD", "NEW"):
        monkeypatch.setattr(f"vmgen_build.guests.vsphere.rest.{form}", replace(OLD, session="/none"))
    with pytest.raises(HostError, match="the server lacks this interface"), logged_in(vcenter):
        pass


def test_a_newer_server_that_lacks_the_newer_interface(vcenter: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmgen_build.guests.vsphere.rest.API", (6,))
    monkeypatch.setattr("vmgen_build.guests.vsphere.rest.NEW", replace(NEW, root="/none"))
    with logged_in(vcenter) as rest:
        assert len(rest.find(LIBRARIES, {"name": "Images"}, "looking")) == 1


def test_a_login_that_is_refused_and_no_password_in_the_message(
    vcenter: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcenter.login.__class__, "password", Secret(""), raising=False)
    with pytest.raises(HostError, match="does not take the login"), logged_in(vcenter):
        pass


def test_an_answer_has_its_limit(vcenter: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmgen_build.guests.vsphere.rest.VSPHERE_REST", Limit("vsphere-rest", "an answer", 10))
    with pytest.raises(HostError, match="the limit 'vsphere-rest' allows"), logged_in(vcenter):
        pass


def test_what_the_server_refuses_has_its_reason(vcenter: Session) -> None:
    with logged_in(vcenter) as rest:
        [images] = rest.find(LIBRARIES, {"name": "Images"}, "looking")
        spec = {"library_id": images, "name": "twice", "type": "ovf"}
        rest.create(ITEMS, spec, "making an item", "create_spec")
        reason = r" \(INVALID_ARGUMENT it is so\)" if vcenter.about.api_numbers >= API else ""
        with pytest.raises(HostError, match=f"making an item: it answers 400{reason}:"):
            rest.create(ITEMS, spec, "making an item", "create_spec")
