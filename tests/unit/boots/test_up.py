"""What counts as up, asked of a real shell with a stand-in for systemctl(1)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.boots.up import probe, state_of, system_of, waits_for
from vmgen_build.errors import HostError
from vmgen_build.guests.model import Communicator, Ran
from vmgen_build.host.run import run
from vmgen_build.systems.model import ANY_INIT_UP


class Shell(Communicator):
    """This machine's own shell, in which systemctl is a script that does as systemctl(1) documents: is-system-running
    prints the state and ends with 0 for "running" alone."""

    def __init__(self, folder: Path, state: str, failed: str = "") -> None:
        self._path = f"{folder}:{os.environ['PATH']}"
        script = f"""#!/bin/sh
case "$1" in
is-system-running) echo {state}; [ {state} = running ] ;;
list-units) [ -z "{failed}" ] || echo "{failed} loaded failed failed Something" ;;
list-jobs) echo " 12 stuck.service start running" ;;
esac
"""
        (folder / "systemctl").write_text(script)
        (folder / "systemctl").chmod(0o755)

    def run(self, script: str, timeout: float | None = None) -> Ran:
        done = run(["sh", "-s"], data=script.encode(), env={"PATH": self._path}, timeout=timeout)
        return Ran(done.code, done.text + done.err.decode())

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None: ...

    def get(self, remote: str, local: Path) -> None: ...

    def delete(self, remote: str) -> None: ...


@pytest.mark.parametrize(
    ("word", "up", "broken"),
    [
        ("running", True, False),
        ("degraded", True, False),
        ("starting", False, False),
        ("initializing", False, False),
        ("maintenance", False, True),
        ("stopping", False, True),
    ],
)
def test_states(tmp_path: Path, word: str, up: bool, broken: bool) -> None:
    state = state_of(Shell(tmp_path, word), system_of("debian-12").up, 10)
    assert (state.text, state.up, state.broken) == (word, up, broken)


@pytest.mark.parametrize(("calls", "up"), [("1 1", True), ("0 0", False), ("1 0", False)])
def test_an_init_of_before_systemd_is_up_when_no_rc_is_about_to_start(tmp_path: Path, calls: str, up: bool) -> None:
    """System V's init writes the runlevel before it starts rc: the first look may come between the two."""
    for name, script in {
        "runlevel": "echo N 3",
        "pgrep": f"set -- {calls}; [ ! -e {tmp_path}/asked ] || shift; : >{tmp_path}/asked; exit $1",
        "sleep": ":",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    script = ANY_INIT_UP.replace("/run/systemd/system", f"{tmp_path}/none")
    state = state_of(Shell(tmp_path, "running"), script, 10)
    assert (state.up, state.text.split()[0]) == (up, "running," if up else "starting")


def test_what_failed_and_what_is_waited_for_is_named(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "maintenance", "bad.service")
    state = state_of(shell, probe(system_of("debian-12").up).script, 10)
    assert state.text.split() == ["maintenance,", "but", "these", "units", "failed:", "bad.service"]
    assert state.broken
    assert waits_for(shell, 10) == "it waits for:\n  12 stuck.service start running\n"


def test_a_manifest_of_no_known_system() -> None:
    with pytest.raises(HostError, match="names no system that this version knows: 'beos-5'"):
        str(system_of("beos-5").up)
