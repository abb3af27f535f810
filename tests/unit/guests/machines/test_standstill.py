"""The scripts that bring a machine's file systems to a stand, and its settings. They run in sh here, with programs of
the test's own in place of those that need a machine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from vmgen_build.guests.machines.settings import settings_for
from vmgen_build.guests.machines.standstill import FROZEN, GUARD_TIME, GUARDED, RELEASED, THAWED
from vmgen_build.plan.minimal import WORK

PROGRAMS = {
    "findmnt": "printf '%s\\n' / /boot /srv",
    "fsfreeze": 'echo "$@" >>"$FOLDER/order"',
    "sync": ":",
}


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def ran(script: str, folder: Path) -> int:
    path = f"{folder}/bin:{os.environ['PATH']}"
    text = script.replace(WORK, str(folder / "work"))
    return subprocess.run(["dash", "-c", text], env={"PATH": path, "FOLDER": str(folder)}).returncode


def order(folder: Path) -> list[str]:
    return (folder / "order").read_text().splitlines()


THERE = ["--freeze /srv", "--freeze /boot", "--freeze /"]
BACK = ["--unfreeze /", "--unfreeze /boot", "--unfreeze /srv"]


def test_inner_file_systems_stop_first_and_go_on_last(folder: Path) -> None:
    assert ran(FROZEN, folder) == 0 and ran(THAWED, folder) == 0
    assert order(folder) == THERE + BACK


def test_whoever_comes_in_time_lets_them_go_on(folder: Path) -> None:
    assert ran(GUARDED, folder) == 0
    assert order(folder) == THERE
    assert ran(RELEASED, folder) == 0
    assert order(folder) == THERE + BACK


def test_a_guard_lets_them_go_on_where_nobody_comes_and_says_so(folder: Path) -> None:
    assert ran(GUARDED.replace(f" {GUARD_TIME} ", " 1 "), folder) == 0
    end = time.monotonic() + 30
    while len(order(folder)) < 6 and time.monotonic() < end:
        time.sleep(0.1)
    assert order(folder) == THERE + BACK
    assert ran(RELEASED, folder) != 0


def test_the_scripts_are_sound(tmp_path: Path) -> None:
    for number, text in enumerate((FROZEN, THAWED, GUARDED, RELEASED)):
        path = tmp_path / f"{number}.sh"
        path.write_text(text)
        done = subprocess.run(["shellcheck", "-s", "sh", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_this_host_is_reached_under_its_address_there() -> None:
    settings = {"sources": b"deb http://127.0.0.1:3142/debian x\ndeb http://localhost/y\n", "other": b"http://[::1]/"}
    found = settings_for(settings, "[fd00::1]", "")
    assert found == {
        "sources": b"deb http://[fd00::1]:3142/debian x\ndeb http://[fd00::1]/y\n",
        "other": b"http://[fd00::1]/",
    }
    assert settings_for({}, "10.0.2.2", "nameserver 10.0.2.3\n") == {"resolv.conf": b"nameserver 10.0.2.3\n"}
