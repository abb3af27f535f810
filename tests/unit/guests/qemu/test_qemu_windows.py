"""A Windows in QEMU: until it can be spoken to, and how it ends. Of QEMU, what is asked of it here is a fake; the guest
agent is that of test_windowsagent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.guests.communicators.test_windowsagent import FakeWindowsAgent, printing
from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators.windowsagent import WindowsAgent
from vmgen_build.guests.qemu import windows as module
from vmgen_build.guests.qemu.access import Startup
from vmgen_build.guests.qemu.windows import WindowsByAgent, WindowsQemuMachine, as_started_windows
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

VERSION = b"\r\nMicrosoft Windows [Version 6.1.7601]\r\nActive code page: 437\r\n"


class FakeQemu:
    """code: what it ends with; None where it does not."""

    def __init__(self, wire: socket.socket, code: int | None = 0) -> None:
        self.guest_agent, self._code = wire, code
        self.parts = SimpleNamespace(power=SimpleNamespace(accel="tcg"))
        self.orders: list[str] = []
        self.control = SimpleNamespace(execute=lambda command: self.orders.append(command))

    def check_alive(self, passed: float, *, silent: bool) -> None:
        assert silent

    def picture(self, goal: Path) -> None:
        goal.write_bytes(b"\x89PNG")

    def last_words(self) -> str:
        return "its console showed nothing"

    def wait(self, seconds: float) -> int:
        assert seconds == 3600
        if self._code is None:
            raise BuildError("QEMU did not end")
        return self._code

    def __exit__(self, *_: object) -> None:
        self.orders.append("gone")


@pytest.fixture()
def wires() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


@pytest.fixture()
def agent(wires: tuple[socket.socket, socket.socket]) -> FakeWindowsAgent:
    return FakeWindowsAgent(wires[1], printing(VERSION))


@pytest.fixture()
def notes() -> list[str]:
    return []


@pytest.fixture()
def startup(wires: tuple[socket.socket, socket.socket], tmp_path: Path, notes: list[str]) -> Startup:
    return Startup(
        qemu=cast(Any, FakeQemu(wires[0])),
        name="lab",
        note=notes.append,
        picture=tmp_path / "screen.png",
        own=True,
        began=time.monotonic(),
        patience=WindowsByAgent.patience,
    )


def test_it_is_up_once_its_agent_takes_orders(agent: FakeWindowsAgent, startup: Startup, notes: list[str]) -> None:
    there = WindowsByAgent().opened(startup)
    assert isinstance(there, WindowsAgent) and there.facts.nt == (6, 1)
    assert [note.partition(" after ")[0] for note in notes] == [
        "the machine's guest agent answers (TCG, an emulated processor)",
        "the machine is up",
    ]


def test_an_agent_without_rights(agent: FakeWindowsAgent, startup: Startup) -> None:
    agent.batch = printing(VERSION, 1)
    with pytest.raises(BuildError, match="let its service log on as LocalSystem"):
        WindowsByAgent().opened(startup)


def test_without_an_agent_its_screen_is_shown(startup: Startup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER", 0.1)
    monkeypatch.setattr("vmgen_build.guests.qemu.access.ANSWER", 0.1)
    with pytest.raises(BuildError, match=r"within 0.5 s: .* install virtio-win-guest-tools.exe of virtio-win") as error:
        WindowsByAgent().opened(replace(startup, patience=0.5))
    assert f"its screen: {startup.picture}" in str(error.value)


def running(wire: socket.socket, code: int | None) -> tuple[WindowsQemuMachine, FakeQemu]:
    machine, qemu = object.__new__(WindowsQemuMachine), FakeQemu(wire, code)
    machine._qemu = cast(Any, qemu)
    machine._communicator = WindowsAgent(wire, lambda: "the console", 1)
    machine._machines = cast(Any, SimpleNamespace(access=WindowsByAgent()))
    return machine, qemu


def test_its_end_is_ordered_once(
    wires: tuple[socket.socket, socket.socket], agent: FakeWindowsAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmgen_build.guests.communicators.agentline.REFUSAL", 0.1)
    agent.silent.add("guest-shutdown")
    machine, qemu = running(wires[0], 0)
    machine._halt()
    machine._halt()
    assert qemu.orders == ["gone"] and machine._is_off


def test_an_agent_that_refuses_or_is_silent_leaves_the_power_button(
    wires: tuple[socket.socket, socket.socket], agent: FakeWindowsAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER", 0.1)
    agent.refused["guest-shutdown"] = "not found"
    machine, qemu = running(wires[0], 0)
    machine._halt()
    agent.silent.add("guest-sync-delimited")
    again, other = running(wires[0], 0)
    again._halt()
    assert qemu.orders == other.orders == ["system_powerdown", "gone"]


@pytest.mark.parametrize(
    ("code", "text"), [(None, "a Windows is not to be cut off"), (-9, "ended with code -9 while Windows was shutting")]
)
def test_one_that_was_cut_off_is_no_state_to_keep(
    wires: tuple[socket.socket, socket.socket],
    agent: FakeWindowsAgent,
    monkeypatch: pytest.MonkeyPatch,
    code: int | None,
    text: str,
) -> None:
    monkeypatch.setattr("vmgen_build.guests.communicators.agentline.REFUSAL", 0.1)
    agent.silent.add("guest-shutdown")
    machine, _ = running(wires[0], code)
    with pytest.raises(BuildError, match=text):
        machine._halt()
    assert not machine._is_off


def test_it_has_the_devices_of_its_edition_and_the_addresses_of_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "disk.qcow2").write_bytes(b"QFI\xfb")
    (tmp_path / "lab.ini").write_text(
        "[hardware]\nvm_id = lab\nos = winxppro\nbase = disk.qcow2\n[[eths]]\n[[[eth0]]]\nhw_addr = 00:50:56:12:34:56\n"
        "[[cds]]\n[[[cd0]]]\nimage =\n"
    )
    machine = as_started_windows(machine_of(load(tmp_path / "lab.ini")))
    assert [drive.bus for drive in machine.drives] == ["ide"] and machine.cds == ()
    assert [(nic.adapter, nic.hw_addr) for nic in machine.nics] == [("pcnet32", "00:50:56:12:34:56")]
