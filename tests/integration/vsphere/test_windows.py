"""Whole builds of a Windows on the stand-in, by VMware Tools: Wine runs its batch files, and stubs what they start."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from tests.integration.vsphere.simulator import Line
from tests.integration.vsphere.standin.ground import run_roots
from tests.integration.vsphere.standin.there import session_on
from tests.integration.vsphere.windowslab import (
    CANARIES,
    LINK,
    RECIPE,
    TRIES,
    Done,
    Lab,
    Run,
    password,
    site_of,
    words,
    written,
)
from tests.integration.vsphere.windowslab import built as whole_build
from tests.wine.prefix import Call, is_wines_fault
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.servers.own import access_to, source_of
from vmgen_build.guests.communicators.windows import WindowsCommunicator
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.properties import devices_of, values_of
from vmgen_build.guests.vsphere.site import find_networks
from vmgen_build.guests.vsphere.windows import WindowsMachines, as_started_windows
from vmgen_build.plan.bases import DiskMachine, PlacedMachine
from vmgen_build.plan.machine import own_machine_of
from vmgen_build.recipe.load import load

ADDRESSES = ("interface", "ipv4")

STEPS: dict[str, list[tuple[str, ...]]] = {
    "packages-config": [("msiexec", "/i", r"files\tool.msi", "/qn", "/norestart")],
    "system": [("wmic", "computersystem", "where", "name='LAB-PC'", "call", "rename", "name=lab-pc")],
    "users": [
        (
            *("powershell", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"),
            *("-File", r"C:\Windows\Temp\vmgen\files\users.ps1"),
        ),
    ],
    "network": [
        ("wmic", "nic", "where", "MACAddress='00:50:56:12:34:56'", "get", "NetConnectionID", "/value"),
        (
            *("netsh", *ADDRESSES, "set", "address", f"name={LINK}", "source=static"),
            *("address=10.0.0.2", "mask=255.255.255.0"),
        ),
        (
            *("netsh", *ADDRESSES, "add", "route", "prefix=0.0.0.0/0", f"interface={LINK}"),
            "nexthop=10.0.0.1",
        ),
        (
            *("netsh", *ADDRESSES, "set", "dnsservers", f"name={LINK}", "source=static"),
            *("address=10.0.0.9", "validate=no"),
        ),
        ("wmic", "nic", "where", "MACAddress='02:F9:8D:24:34:A3'", "get", "NetConnectionID", "/value"),
        (
            *("netsh", *ADDRESSES, "set", "address", f"name={LINK}", "source=static"),
            *("address=10.1.0.2", "mask=255.255.255.0"),
        ),
    ],
    "firewall": [
        ("netsh", "advfirewall", "set", "allprofiles", "state", "on"),
        (
            *("netsh", "advfirewall", "firewall", "add", "rule", "name=web & more", "dir=in", "action=allow"),
            *("protocol=TCP", "localport=8000"),
        ),
    ],
    "script-slow": [("net", "start", "slow")],
}
"""Step -> what it starts."""


@dataclass(frozen=True)
class Built:
    """How the whole build ended. calls: of stubs. orders: names of those that the guest got meanwhile, in order."""

    done: subprocess.CompletedProcess[str]
    out: Path
    calls: list[Call]
    orders: list[tuple[str, dict[str, Any]]]
    log: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.done.stdout.splitlines()]


@pytest.fixture(scope="module")
def built(vmgen: Run, lab: Lab, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The whole build, over a line that is cut in the middle of its step `script-slow`."""
    for number in range(TRIES):
        out, before = tmp_path_factory.mktemp("o") / "out", len(lab.made.ground.orders)
        done = cut_in_the_midst(vmgen, lab, out, *(("--no-cache",) if number else ()))
        if not is_wines_fault(done.stdout):
            break
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    log = next(json.loads(text)["log"] for text in done.stdout.splitlines() if '"build-started"' in text)
    return Built(done, out, lab.calls, lab.made.ground.orders[before:], Path(log).read_text())


def cut_in_the_midst(vmgen: Run, lab: Lab, out: Path, *more: str) -> Done:
    """What stubs were started with before is forgotten."""
    line, ended = Line(lab.made.server.port), threading.Event()
    lab.forget()

    def cut() -> None:
        while not ended.wait(0.2):
            if any(call.argv == ("start", "slow") for call in lab.calls):
                time.sleep(1.5)
                line.cut()
                return

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        return vmgen(*words(lab.made, lab.recipe, out, line.port), *more, env=password(lab.made), timeout=150)
    finally:
        ended.set()
        cutter.join()
        line.close()


def test_each_step_starts_what_its_recipe_means(built: Built) -> None:
    found = [(call.program, *call.argv) for call in built.calls]
    assert found == [line for step in STEPS.values() for line in step]
    ended = [event for event in built.events if event["event"] == "step-finished"]
    assert [event["step"] for event in ended] == ["base", *STEPS, "pack"]
    assert {event["outcome"] for event in ended} == {"built"}


def test_restarts_are_seen_and_the_machine_ends_by_its_own_services(built: Built) -> None:
    """Once for the installer's code 3010 and the layer that follows; for the computer's name; at the end."""
    names = [name for name, _ in built.orders]
    assert (names.count("boot"), names.count("stop")) == (3, 3)
    notes = [event["text"] for event in built.events if event["event"] == "note"]
    assert len([text for text in notes if text.startswith("VMware Tools run after")]) == 3
    lines = {event["line"] for event in built.events if event["event"] == "step-output"}
    assert {"vmgen-build: a restart is due", "begun", "ended"} <= lines


def test_steps_are_started_as_windows_starts_programs(built: Built) -> None:
    """With a nonce each, in a working directory that is nobody's to remove, and the variables that Windows has."""
    started = [asked for name, asked in built.orders if name == "start" and r"\vmgen\script.bat" in asked["arguments"]]
    assert len(started) == len(STEPS)
    nonces = {asked["arguments"].split()[4] for asked in started}
    assert len(nonces) == len(STEPS) and {len(one) for one in nonces} == {32}
    for asked in started:
        assert asked["program"] == r"C:\Windows\System32\cmd.exe"
        assert asked["folder"] == r"C:\Windows" and asked["variables"] == []
    zeroed = [asked["arguments"] for name, asked in built.orders if asked.get("program", "").endswith("fsutil.exe")]
    assert len(zeroed) == 2 and all(text.startswith("file setzerodata offset=0 length=") for text in zeroed)


def test_the_image_and_what_is_left(built: Built, lab: Lab, tmp_path: Path) -> None:
    """Disks as the server had them, without the step's folder; the manifest; no password anywhere."""
    subprocess.run(["tar", "-xf", built.out / "lab.ova", "-C", tmp_path], check=True)
    [disk], [descriptor] = tmp_path.glob("*.vmdk"), tmp_path.glob("*.ovf")
    assert "windows7" in descriptor.read_text().lower() or 'id="105"' in descriptor.read_text()
    root = tmp_path / "root"
    run_roots("unpack", disk, root)
    assert not list((root / "prefix/drive_c/windows/temp").glob("vmgen*"))
    assert (root / "prefix/drive_c/windows/regedit.exe").exists()
    manifest = (built.out / "lab.ova.manifest.json").read_text()
    found = json.loads(manifest)
    assert found["packages"] == [] and found["base"]["method"] == "disk-machine"
    texts = [built.log, built.done.stdout, built.done.stderr, manifest, descriptor.read_text()]
    texts += [file.read_text("latin-1") for file in root.rglob("*") if file.is_file() and not file.is_symlink()]
    assert not [one for one in CANARIES for text in texts if one in text]
    assert not [one for one in CANARIES if one in json.dumps(built.orders)]
    assert {name.rpartition("-")[0] for name in lab.machines()} == {"", "vmgen-layer"}


def test_a_step_that_fails(vmgen: Run, built: Built, lab: Lab, tmp_path: Path) -> None:
    """What was installed is there still; its name, its code, its last lines; nothing is left on the server."""
    before = lab.machines()
    more = ("--set", "config.scripts.slow.run=echo begun\nnet start fails")
    done = whole_build(vmgen, lab, lab.recipe, tmp_path / "out", *more, code=1)
    assert "script-slow" in done.stderr and "the service fails" in done.stderr
    assert "vmgen-build: step script-slow: command 1 (cmd /d) ended with code 7" in done.stderr
    assert [call.argv for call in lab.calls][-1] == ("start", "fails")
    assert lab.calls[0].program == "wmic", "the installer ran anew"
    assert lab.machines() == before


def test_a_machine_has_the_adapters_of_its_recipe(built: Built, lab: Lab, cache: Path, tmp_path: Path) -> None:
    """And orders work in it: files go there and come back, a restart is another boot, what takes too long is ended."""
    read, state = load(lab.recipe), "c" * 64
    lab.forget()
    with session_on(lab.made) as session:
        inventory = inventory_of(session)
        source = source_of(session, inventory, read)
        assert source is not None
        site = site_of(session)
        base = DiskMachine(PlacedMachine("golden"), "tools", "Administrator", "{}")
        machines = WindowsMachines(
            maker=Maker(session, site, "0" * 12, "2-0"),
            store=BuildOptions(cache=cache).store(),
            machine=as_started_windows(own_machine_of(read)),
            access=access_to(base, read),
            folder=tmp_path / "home",
            note=print,
            waiting=print,
            picture=tmp_path / "screen.png",
            networks=find_networks(session, inventory, ["VM Network", "DC0_DVPG0"]),
        )
        machines.clone_in(state, source, True, "of the test")
        with machines.started([state]) as machine:
            devices = devices_of(session, machine._machine)  # type: ignore[attr-defined]
            cards = [each for each in devices if isinstance(each, vim.vm.device.VirtualEthernetCard)]
            assert [(card.addressType, card.macAddress) for card in cards] == [
                ("manual", "00:50:56:12:34:56"),
                ("manual", "02:f9:8d:24:34:a3"),
            ]
            assert {type(card).__name__.rpartition(".")[2] for card in cards} == {"VirtualE1000"}
            kinds = [type(card.backing).__name__.rpartition(".")[2] for card in cards]
            assert kinds == ["NetworkBackingInfo", "DistributedVirtualPortBackingInfo"]
            extra = values_of(session, "looking", machine._machine, ["config.extraConfig"])["config.extraConfig"]  # type: ignore[attr-defined]
            assert {one.key: one.value for one in extra}["ethernet1.checkMACAddress"] == "FALSE"
            assert_orders(machine.communicator, tmp_path)
            machine.restart()
            assert machine.communicator.run("@echo off\r\necho again\r\n").out == "again\n"
        machines.maker.destroy(machines.layers.get(state).machine)


def assert_orders(there: Any, folder: Path) -> None:
    assert isinstance(there, WindowsCommunicator)
    assert there.facts.nt == (6, 1) and there.facts.administrator
    one, two = folder / "one", folder / "two"
    one.write_bytes(b"content\r\n")
    there.put(one, r"C:\users\public\one.txt")
    there.get(r"c:\Users\PUBLIC\one.txt", two)
    assert two.read_bytes() == one.read_bytes()
    ran = there.run("@echo off\r\ncd\r\ntype C:\\users\\public\\one.txt\r\nexit /b 300\r\n")
    assert (ran.code, ran.out.lower()) == (300, "c:\\windows\ncontent\n")
    assert there.run("@ping -n 30 127.0.0.1 >nul\r\n", 1.0).code == 124
    there.delete(r"C:\nosuchfolder")


def test_another_windows_than_the_recipe_says(vmgen: Run, lab: Lab, tmp_path: Path) -> None:
    before = set(lab.machines())
    path = written(tmp_path, RECIPE.replace("os = win7", "os = win10-pro"))
    done = vmgen(*words(lab.made, path, tmp_path / "out"), env=password(lab.made), timeout=150)
    message = "machine golden, snapshot clean is a Windows 6.1, and Windows 10 Pro is 10.0; write the os that it is"
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert {one.rpartition("-")[0] for one in set(lab.machines()) - before} <= {"vmgen-layer"}
