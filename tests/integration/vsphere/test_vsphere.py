"""The tool's own client against VMware's own simulator of a vCenter and an ESXi: what is there, tasks, privileges, and
the doctor."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.sessions import CANARY, logins, session_of
from tests.integration.vsphere.simulator import Simulator, started
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.vsphere import wire
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.privileges import KEEPING, OPERATIONS, SETTING_UP, rights
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.tasks import wait_for
from vmgen_build.host.tls import Trust
from vmgen_build.limits import Limit

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture()
def posts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each request that goes out."""
    seen: list[str] = []
    real = HTTPSConnection.request

    def request(self: HTTPSConnection, method: str, url: str, *more: Any, **words: Any) -> None:
        seen.append(f"{method} {url}")
        real(self, method, url, *more, **words)

    monkeypatch.setattr(HTTPSConnection, "request", request)
    return seen


def test_an_answer_in_parts_is_the_whole(
    server: Simulator, program: Path, ca: Path, certificate: Path, session: Session, posts: list[str], tmp_path: Path
) -> None:
    parts = inventory_of(session)
    assert len(posts) == math.ceil(len(parts.items) / 5) > 1
    options = ("-listen", "127.0.0.2", "-certificate", str(certificate), "-machines", "3")
    with started(program, tmp_path / "log", *options) as other, session_of(other, Trust(ca)) as single:
        whole = inventory_of(single)
    assert [i.name for i in parts.items.values()] == [i.name for i in whole.items.values()]
    assert [m.name for m in parts.machines] == ["DC0_H0_VM0", "DC0_H0_VM1", "DC0_H0_VM2"]
    assert {m.power for m in parts.machines} == {"poweredOn"} and not any(m.template for m in parts.machines)
    [store] = parts.datastores
    assert store.usable and 0 < store.free <= store.capacity
    assert [c.cluster for c in parts.computes] == [False] and [h.usable for h in parts.hosts] == [True]
    assert parts.path(parts.machines[0]) == "DC0/vm/DC0_H0_VM0"


def test_an_answer_that_does_not_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "VSPHERE_ANSWER", Limit("vsphere-answer", "one answer", 2000))
    with pytest.raises(HostError, match="the limit 'vsphere-answer'"):
        inventory_of(session)


def test_two_thousand_machines_in_one_question(
    program: Path, ca: Path, certificate: Path, posts: list[str], tmp_path: Path
) -> None:
    options = ("-listen", "127.0.0.2", "-certificate", str(certificate), "-machines", "2000")
    with started(program, tmp_path / "log", *options) as server, session_of(server, Trust(ca), silence=600) as session:
        before = len(posts)
        assert len(inventory_of(session).machines) == 2000
        assert len(posts) - before == 1


def test_templates_and_snapshots_are_seen(session: Session) -> None:
    from pyVmomi import vim

    seen = {machine.name: machine for machine in inventory_of(session).machines}
    ref: Any = seen["DC0_H0_VM2"].ref
    wait_for(session, session.order("a snapshot", lambda: ref.CreateSnapshot_Task("clean", "", False, False)), "it")
    wait_for(session, session.order("switching off", lambda: ref.PowerOffVM_Task()), "it")
    session.order("making a template", lambda: ref.MarkAsTemplate())
    machine = next(m for m in inventory_of(session).machines if m.name == "DC0_H0_VM2")
    assert machine.template and machine.power == "poweredOff"
    assert [snapshot.name for snapshot in machine.snapshots] == ["clean"]
    assert isinstance(machine.snapshots[0].ref, vim.vm.Snapshot)


def odd_machine(session: Session) -> Any:
    """The one that main.go gives other tasks."""
    return next(machine.ref for machine in inventory_of(session).machines if machine.name.endswith("_VM0"))


def test_a_task_that_fails_at_last(session: Session) -> None:
    percents: list[int] = []
    ref = odd_machine(session)
    task = session.order("suspending lab", lambda: ref.SuspendVM_Task())
    with pytest.raises(HostError) as caught:
        wait_for(session, task, "suspending lab", progress=percents.append)
    text = str(caught.value)
    assert "suspending lab: no room for [LocalDS_0] lab/lab.vmss on the datastore LocalDS_0: free some" in text
    assert "No space left" in text and percents == sorted(percents) and 90 in percents


def test_a_task_that_says_nothing_more(session: Session) -> None:
    ref = odd_machine(session)
    task, began = session.order("restarting", lambda: ref.ResetVM_Task()), time.monotonic()
    with pytest.raises(BuildError, match="restarting lab: its task has told nothing new for 1 s and is running"):
        wait_for(session, task, "restarting lab", silence=1)
    assert time.monotonic() - began >= 1


def test_a_fault_names_what_it_is_about(session: Session) -> None:
    folder: Any = session.content.rootFolder
    session.order("a folder", lambda: folder.CreateFolder("taken"))
    with pytest.raises(HostError, match="making a folder: 'taken' is taken there by another"):
        session.order("making a folder", lambda: folder.CreateFolder("taken"))


def test_a_bug_of_ours_stays_one(session: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        session.read("dividing", lambda: 1 // 0)


def test_the_privileges_that_are_asked_for_are_known_there(session: Session) -> None:
    """Its roles were those of a vCenter 6.5."""
    manager: Any = session.content.authorizationManager
    known = {name for role in manager.roleList for name in role.privilege}
    assert len(known) > 200
    operations = [*OPERATIONS, *SETTING_UP, *KEEPING]
    assert [n for operation in operations for n in operation.privileges if n not in known] == []
    found = rights(session, inventory_of(session))
    assert all(right.known and not right.lacking for right in found)
    assert [right.operation for right in found] == operations


def doctor(vmgen: Run, server: Simulator, *words: object, password: str = "", user: str = "") -> Any:
    env = {"VMGEN_VSPHERE_PASSWORD": password or server.password, "VMGEN_VSPHERE_USER": user or server.user}
    return vmgen("doctor", "--host", f"vsphere://{server.host}:{server.port}", *words, env=env)


def test_the_doctor_of_a_vcenter(program: Path, ca: Path, certificate: Path, vmgen: Run, tmp_path: Path) -> None:
    refused = "VirtualMachine.Provisioning.Clone,Network.Assign"
    options = ("-listen", "127.0.0.2", "-certificate", str(certificate), "-machines", "2", "-datacenters", "2")
    with started(program, tmp_path / "log", *options, "-refused", refused) as server:
        several = doctor(vmgen, server, "--cafile", ca)
        assert several.returncode == 2 and "has several datacenters" in several.stderr and "DC0, DC1" in several.stderr
        host = f"vsphere://user@{server.host}:{server.port}"
        env = {"VMGEN_VSPHERE_PASSWORD": server.password}
        found = vmgen("doctor", "--host", f"{host}/DC1", "--cafile", ca, env=env)
        wrong = vmgen("doctor", "--host", f"{host}/DC7", "--cafile", ca, env=env)
    assert wrong.returncode == 2 and "'DC7' is no datacenter there; there are DC0, DC1" in wrong.stderr
    lines = [" ".join(line.split()) for line in found.stdout.splitlines()]
    assert found.returncode == 1 and found.stderr == ""
    assert f"ok connection vsphere://{server.host}:{server.port}/DC1, signed by an authority of {ca}" in lines
    assert any(line.startswith("ok server vCenter 6.5.0 build") for line in lines)
    assert "ok account user" in lines and "ok machines 2, of them templates: 0" in lines
    assert "ok datacenter DC1; there are also DC0" in lines and "ok hosts DC1_H0" in lines
    assert any(line.startswith("ok networks DC1_DVPG0") for line in lines)
    assert any(line.startswith("ok datastore LocalDS_0 ") and " free" in line for line in lines)
    assert "MISSING may clone a machine or template lacks VirtualMachine.Provisioning.Clone on DC1" in lines
    assert "MISSING may connect it to a network lacks Network.Assign on network/DC1_DVPG0" in lines
    assert "ok may make a machine on DC1" in lines and any("kept as machines named" in line for line in lines)


TEMPLATE = "may keep it as a template {}lacks VirtualMachine.Provisioning.MarkAsTemplate on DC0"
LIBRARY = "may keep it in a content library {}lacks ContentLibrary.AddLibraryItem on the root folder"
ALONE = "; --keep-as alone needs it"


def test_the_doctor_knows_what_keep_as_needs(
    program: Path, ca: Path, certificate: Path, vmgen: Run, tmp_path: Path
) -> None:
    """An account may lack what its builds do not do."""
    refused = "VirtualMachine.Provisioning.MarkAsTemplate,ContentLibrary.AddLibraryItem"
    refused += ",VirtualMachine.Interact.PutUsbScanCodes"
    options = ("-listen", "127.0.0.2", "-certificate", str(certificate), "-refused", refused)
    with started(program, tmp_path / "log", *options) as server:
        without, template, library = (
            doctor(vmgen, server, "--cafile", ca, *more)
            for more in ((), ("--keep-as", "lab"), ("--keep-as", "library:Images/lab"))
        )
    assert [done.returncode for done in (without, template, library)] == [0, 1, 1]
    lines = [[" ".join(line.split()) for line in done.stdout.splitlines()] for done in (without, template, library)]
    template_may, library_may = f"ok {TEMPLATE.format('no: ')}{ALONE}", f"ok {LIBRARY.format('no: ')}{ALONE}"
    assert {template_may, library_may} <= set(lines[0])
    keys = "lacks VirtualMachine.Interact.PutUsbScanCodes on DC0; [hardware] base = iso:FILE alone needs it"
    assert f"ok may have Setup make a machine from its medium no: {keys}" in lines[0]
    assert {f"MISSING {TEMPLATE.format('')}", library_may} <= set(lines[1])
    assert {template_may, f"MISSING {LIBRARY.format('')}"} <= set(lines[2])


def test_the_doctor_of_an_esxi(program: Path, ca: Path, certificate: Path, vmgen: Run, tmp_path: Path) -> None:
    options = ("-esx", "-listen", "127.0.0.2", "-certificate", str(certificate), "-machines", "2", "-silent")
    with started(program, tmp_path / "log", *options) as server:
        found = doctor(vmgen, server, "--cafile", ca)
        kept = doctor(vmgen, server, "--cafile", ca, "--keep-as", "lab")
    assert kept.returncode == 1 and "an ESXi keeps no templates" in kept.stdout
    lines = [" ".join(line.split()) for line in found.stdout.splitlines()]
    assert found.returncode == 0 and any(line.startswith("ok server ESXi 6.5.0 build") for line in lines)
    assert "ok datacenter ha-datacenter" in lines and "ok networks VM Network" in lines
    assert "ok privileges not known: the server does not tell those of the account" in lines


def test_insecure_says_so_each_time(server: Simulator, vmgen: Run) -> None:
    found = doctor(vmgen, server, "--insecure")
    assert found.returncode == 0 and "NOT verified (--insecure)" in found.stdout
    assert found.stderr.startswith("warning: --insecure: the server's certificate is not checked")
    assert doctor(vmgen, server).returncode == 1


def test_the_password_is_nowhere(
    server: Simulator, ca: Path, certificate: Path, vmgen: Run, cache: Path, tmp_path: Path
) -> None:
    """While it runs: in no argument and no environment. In the server's log in the login's request alone."""
    config = tmp_path / "vmgen-build/hosts.ini"
    config.parent.mkdir()
    config.write_text(f"[{server.host}]\nuser = {server.user}\npassword = {CANARY}\ncafile = {ca}\n")
    config.chmod(0o600)
    for env in (
        {"VMGEN_VSPHERE_USER": server.user, "VMGEN_VSPHERE_PASSWORD": CANARY, "XDG_CONFIG_HOME": "/nonexistent"},
        {"XDG_CONFIG_HOME": str(tmp_path)},
    ):
        seen = watched_doctor(server, env, ["--cafile", str(ca)] if "VMGEN_VSPHERE_USER" in env else [])
        assert seen.count("cmdline") > 3 and CANARY not in seen
    logged = server.log.read_text(errors="replace")
    requests = [part for part in logged.split("Request: ")[1:] if CANARY in part]
    assert requests and all("<Login " in request for request in requests)
    assert all(request.count(CANARY) == 1 for request in requests)


def watched_doctor(server: Simulator, env: dict[str, str], options: list[str]) -> str:
    """All that it prints, and all arguments and environments that /proc shows of it meanwhile, once it has begun."""
    command = [sys.executable, "-m", "vmgen_build", "doctor", "--host", f"vsphere://{server.host}:{server.port}"]
    with subprocess.Popen(
        [*command, *options], env=os.environ | env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        seen, before = [], logins(server)
        while process.poll() is None:
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(f"cmdline {file.read_bytes()!r}")
                except OSError:
                    continue
            if logins(server) > before:
                with suppress(OSError):
                    seen.append(Path(f"/proc/{process.pid}/environ").read_text())
            time.sleep(0.02)
        assert process.stdout is not None
        seen.append(process.stdout.read())
    assert process.returncode == 0 and logins(server) == before + 1, seen[-1]
    return "\n".join(seen)
