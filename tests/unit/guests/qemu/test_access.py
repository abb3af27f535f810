"""How long a machine takes until it can be spoken to, and what is shown of it. A real sshd stands for the machine; of
QEMU, what is asked of it here is a fake."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.sshd import Sshd, make_key, sshd
from vmgen_build.errors import BuildError
from vmgen_build.guests.communicators import ssh
from vmgen_build.guests.communicators.login import GuestLogin
from vmgen_build.guests.qemu import access
from vmgen_build.guests.qemu.access import Ssh, Startup
from vmgen_build.secret import Secret

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sshd lets root in, as root alone")


class FakeQemu:
    """port: what forwarded_port gives. ended: what check_alive raises."""

    def __init__(self, port: int, ended: str = "") -> None:
        self._port, self._ended = port, ended
        self.parts = SimpleNamespace(power=SimpleNamespace(accel="tcg"))

    def forwarded_port(self) -> int:
        return self._port

    def check_alive(self, passed: float, *, silent: bool) -> None:
        assert silent, "a user's machine may show nothing on its serial port"
        if self._ended:
            raise BuildError(self._ended)

    def picture(self, goal: Path) -> None:
        goal.write_bytes(b"\x89PNG")

    def last_words(self) -> str:
        return "its console showed nothing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as started:
        yield started


def startup(folder: Path, qemu: Any, notes: list[str]) -> Startup:
    return Startup(
        qemu=qemu,
        name="lab",
        note=notes.append,
        picture=folder / "screen.png",
        own=True,
        began=time.monotonic(),
    )


def test_each_phase_is_shown_with_its_time(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ADDRESSES", "echo 192.0.2.7/24")
    notes: list[str] = []
    way = Ssh(GuestLogin("root", key=Secret(server.key.read_text())))
    opened = way.opened(startup(tmp_path, FakeQemu(server.port), notes))
    assert opened.run("echo there", 30).out == "there\n"
    way.close()
    assert [note.partition(" after ")[0] for note in notes] == [
        "sshd of the machine answers (TCG, an emulated processor)",
        "logged in as root",
        "the machine is up",
    ]
    assert notes[2].endswith("; its address is 192.0.2.7/24")


def test_a_machine_without_an_address_says_so(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ADDRESSES", "true")
    monkeypatch.setattr(access, "ADDRESS_WAIT", 0.1)
    notes: list[str] = []
    way = Ssh(GuestLogin("root", key=Secret(server.key.read_text())))
    way.opened(startup(tmp_path, FakeQemu(server.port), notes))
    way.close()
    assert notes[2].endswith("it has no address, and steps that use the network will fail")


def test_a_login_that_is_refused_for_long_is_an_error_with_the_screen(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "REFUSED", 0.5)
    way = Ssh(GuestLogin("root", key=Secret(make_key(tmp_path / "other").read_text())))
    with pytest.raises(BuildError, match="the key of login_key is wrong") as error:
        way.opened(startup(tmp_path, FakeQemu(server.port), []))
    assert f"its screen: {tmp_path / 'screen.png'}" in str(error.value)


def test_giving_up_says_what_was_waited_for(tmp_path: Path) -> None:
    way = Ssh(GuestLogin("root", Secret("x")))
    with pytest.raises(BuildError, match=r"did not come up within 0.5 s: a connection to port 22 is refused") as error:
        way.opened(replace(startup(tmp_path, FakeQemu(1), []), patience=0.5))
    assert "its screen: " in str(error.value) and "its console showed nothing" in str(error.value)


def test_a_machine_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    way = Ssh(GuestLogin("root", Secret("x")))
    with pytest.raises(BuildError, match="its kernel panicked"):
        way.opened(startup(tmp_path, FakeQemu(1, "its kernel panicked"), []))
