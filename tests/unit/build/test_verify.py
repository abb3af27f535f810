"""How probes are asked: against a real shell and real sockets of this machine, which stands for the booted one."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from vmgen_build.boots.model import Booted
from vmgen_build.boots.network import knock
from vmgen_build.build import verify as v
from vmgen_build.errors import HostError
from vmgen_build.events import Bus, Event, ProbeDone
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.limits import Limit
from vmgen_build.plan.model import Probe


class Shell(Communicator):
    """This machine's own shell."""

    def run(self, script: str, timeout: float | None = None) -> Ran:
        ran = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, timeout=timeout)
        return Ran(ran.returncode, ran.stdout)

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None: ...

    def get(self, remote: str, local: Path) -> None: ...

    def delete(self, remote: str) -> None: ...


class Here(Booted):
    @property
    def communicator(self) -> Communicator:
        return Shell()

    def reach(self, address: str, port: int) -> str:
        return knock(address, port)


def asked(*probes: Probe) -> list[tuple[str, str]]:
    return [(done.outcome, done.found) for done in v.ask_all(Here(), probes, Bus())]


def test_outcomes_and_what_was_found() -> None:
    assert asked(
        Probe("a", "s", "echo first; echo second"),
        Probe("b", "s", "echo other; exit 1", "this"),
        Probe("c", "s", "exit 1", "this"),
        Probe("d", "s", "echo none here; exit 77"),
        Probe("e", "s", "", kind="telepathy"),
    ) == [
        ("holds", "first"),
        ("fails", "other, not this"),
        ("fails", "nothing, not this"),
        ("skipped", "none here"),
        ("skipped", "this version knows no probe of the kind 'telepathy'"),
    ]


def test_what_qemu_user_does_not_know_is_skipped_and_all_else_is_not() -> None:
    class Emulated(Here):
        emulated = True

    probes = (
        Probe("eth0-dhcp", "[network] eth0: dhcp", "echo no address; exit 1", "an address", retry=60.0),
        Probe("eth1-static", "[network] eth1: address", "echo 192.0.2.7/24"),
        Probe("program-netcat", "[network] netcat", "echo none; exit 1"),
        Probe("hostname", "[config] hostname", "echo other; exit 1", "lab"),
    )
    start = time.monotonic()
    found = [(done.outcome, done.found) for done in v.ask_all(Emulated(), probes, Bus())]
    assert found == [
        ("skipped", "qemu-user has no DHCP and no packet filter to ask (no address)"),
        ("holds", "192.0.2.7/24"),
        ("fails", "none"),
        ("fails", "other, not lab"),
    ]
    assert time.monotonic() - start < 30


def test_what_does_not_hold_yet_is_asked_again(tmp_path: Path) -> None:
    script = f"echo x >> {tmp_path}/asked; [ $(wc -l < {tmp_path}/asked) -ge 3 ]"
    start = time.monotonic()
    assert asked(Probe("late", "s", script, retry=20.0), Probe("never", "s", "exit 1", retry=0.3)) == [
        ("holds", ""),
        ("fails", ""),
    ]
    assert time.monotonic() - start < 5
    assert (tmp_path / "asked").read_text() == "x\n" * 3


def test_each_result_is_reported_once() -> None:
    reported: list[Event] = []
    probes = [Probe("never", "s", "exit 1", retry=0.5), Probe("yes", "s", "")]
    results = v.ask_all(Here(), probes, Bus(reported.append))
    assert [event.probe for event in reported if isinstance(event, ProbeDone)] == ["yes", "never"]
    assert [result.probe for result in results] == ["never", "yes"]


def test_ports_from_outside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert asked(Probe("p", "s", f"127.0.0.1 {port}", "open", "tcp-open")) == [("holds", "open")]
        assert asked(Probe("p", "s", f"127.0.0.1 {port}", "closed", "tcp-closed")) == [("fails", "open, not closed")]
    assert asked(Probe("p", "s", f"127.0.0.1 {port}", "open", "tcp-open")) == [("holds", "open")], "refused at once"


def test_root_is_needed_and_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="needs root: run it with sudo"):
        v.verify(tmp_path / "x.tar", Bus(), v.VerifyOptions(tmp_path))


def test_issue_8_8_all_questions_together_have_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v, "GUEST_TIME", Limit("guest-time", "x", 1, "s"))
    probes = [Probe("slow", "s", "sleep 1.1"), *[Probe("more", "s", f"echo >>{tmp_path}/asked")] * 3]
    late = ("fails", "not asked: it is more than the limit 'guest-time' allows (1.0 s; docs/security.md)")
    assert asked(*probes) == [("holds", ""), late, late, late]
    assert not (tmp_path / "asked").exists()


def test_issue_8_8_what_fails_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v, "GUEST_TIME", Limit("guest-time", "x", 1, "s"))
    ((outcome, found),) = asked(Probe("never", "s", "exit 1", retry=500))
    assert outcome == "fails" and "'guest-time'" in found
