"""Builds of a Windows on the stand-in that are kept, stopped, done again, or begun with a disk; and their layers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.vsphere.standin.there import authority_of, session_on
from tests.integration.vsphere.test_library import items_of
from tests.integration.vsphere.windowslab import (
    CANARIES,
    TRIES,
    Done,
    Lab,
    Run,
    built,
    password,
    removed,
    words,
    written,
)
from tests.wine.prefix import is_wines_fault
from vmgen_build.guests.vsphere.rest import logged_in

RECIPE = """\
[hardware]
    vm_id = short
    os = win7
    base = vm:golden@clean
    login = Administrator
    login_password = file:old
    ram = 2G
    [[hdds]]
        [[[hdd0]]]
            type = scsi
    [[eths]]
        [[[eth0]]]
            hw_addr = 00:50:56:12:34:57
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = file:ana
[config]
    hostname = lab-pc
    packages = ./tool.msi
    generalise = no
    [[scripts]]
        [[[last]]]
            run = net start last
"""

LAST = "config.scripts.last.run={}"
WAITS = LAST.format("echo begun\nping -n 100 127.0.0.1 >nul")


@pytest.fixture(scope="module")
def recipe(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("recipe"), RECIPE)


def outcomes(done: Done) -> dict[str, str]:
    events = map(json.loads, done.stdout.splitlines())
    return {event["step"]: event["outcome"] for event in events if event["event"] == "step-finished"}


def of_builds(lab: Lab) -> list[str]:
    """Machines that are no layers, nor the one that all begin with."""
    return [name for name in lab.machines() if not name.startswith("vmgen-layer-") and name != "golden"]


def test_a_machine_is_kept_as_a_template_and_done_again(vmgen: Run, lab: Lab, recipe: Path, tmp_path: Path) -> None:
    """Which takes what is there; without a template nothing runs at all."""
    first = built(vmgen, lab, recipe, tmp_path, "--keep-as", "a windows", anew=True)
    assert set(outcomes(first).values()) == {"built"}
    assert of_builds(lab) == ["a windows"]
    found, devices = removed(lab, "a windows")
    assert found.template and found.power == "poweredOff" and not found.snapshots
    assert devices.count("VirtualE1000") == 1
    orders = len(lab.made.ground.orders)
    again = built(vmgen, lab, recipe, tmp_path)
    assert set(outcomes(again).values()) == {"cached"} and lab.calls == []
    assert not [name for name, _ in lab.made.ground.orders[orders:] if name == "boot"]


def test_a_machine_is_kept_in_a_library(vmgen: Run, lab: Lab, recipe: Path, tmp_path: Path) -> None:
    """Of the layers that are there."""
    built(vmgen, lab, recipe, tmp_path / "first")
    done = built(vmgen, lab, recipe, tmp_path / "out", "--keep-as", "library:Images/windows")
    steps = outcomes(done)
    assert steps.pop("pack") == "built" and set(steps.values()) == {"cached"} and lab.calls == []
    with session_on(lab.made) as session, logged_in(session) as rest:
        [item] = items_of(rest, "Images")
    assert (item["name"], item["type"]) == ("windows", "vm-template")
    assert of_builds(lab) == ["windows"]
    removed(lab, "windows")


def test_the_machine_of_a_step_that_fails_is_kept(vmgen: Run, lab: Lab, recipe: Path, tmp_path: Path) -> None:
    more = ("--on-error", "keep", "--set", LAST.format("net start fails"))
    done = built(vmgen, lab, recipe, tmp_path, *more, code=1)
    [name] = of_builds(lab)
    assert name.startswith("vmgen-kept-short-script-last")
    notes = [event["text"] for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "note"]
    assert [text for text in notes if f"kept the machine of step 'script-last'; it is {name} on " in text]
    found, _ = removed(lab, name)
    assert found.power == "poweredOff"


def test_it_begins_with_a_disk_of_this_host(vmgen: Run, lab: Lab, recipe: Path, tmp_path: Path) -> None:
    """Which is sent once."""
    own = recipe.with_name("own.ini")
    own.write_text(RECIPE.replace("vm:golden@clean", str(lab.disk)).replace("packages = ./tool.msi\n", ""))
    first = built(vmgen, lab, own, tmp_path, anew=True)
    assert set(outcomes(first).values()) == {"built"}
    second = built(vmgen, lab, own, tmp_path, "--set", LAST.format("net start other"))
    assert outcomes(second)["base"] == "cached" and outcomes(second)["script-last"] == "built"
    assert ("start", "other") in [call.argv for call in lab.calls]
    assert of_builds(lab) == []


def begun(lab: Lab, recipe: Path, out: Path, cache: Path) -> subprocess.Popen[str]:
    """A build in the midst of its last step."""
    for _ in range(TRIES):
        tool = subprocess.Popen(
            [sys.executable, "-m", "vmgen_build", *words(lab.made, recipe, out), "--set", WAITS],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"VMGEN_CACHE": str(cache)} | password(lab.made),
        )
        assert tool.stdout is not None
        printed = ""
        while line := tool.stdout.readline():
            printed += line
            if "begun" in line:
                return tool
        error = tool.communicate()[1]
        if not is_wines_fault(printed):
            break
    raise AssertionError(printed + error)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_stopped_in_a_step(vmgen: Run, lab: Lab, recipe: Path, cache: Path, tmp_path: Path, number: int) -> None:
    """Nothing is left on the server, nor here."""
    before = lab.machines()
    tool = begun(lab, recipe, tmp_path / "out", cache)
    tool.send_signal(number)
    out, error = tool.communicate(timeout=120)
    assert tool.returncode == 130, error
    assert "Traceback" not in error and not [one for one in CANARIES if one in out + error]
    left = set(lab.machines()) - set(before)
    assert {name.rpartition("-")[0] for name in left} <= {"vmgen-layer"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == []
    assert_nothing_left(cache / "tmp", tmp_path)


def test_layers_are_listed_and_pruned(vmgen: Run, lab: Lab, recipe: Path, tmp_path: Path) -> None:
    built(vmgen, lab, recipe, tmp_path)
    server = lab.made.server
    place = ("--host", f"vsphere://{server.user}@{server.host}:{server.port}/DC0", "--cafile", authority_of(lab.made))
    listed = vmgen("cache", "ls", *place, "--json", env=password(lab.made))
    names = {json.loads(line)["name"] for line in listed.stdout.splitlines()}
    assert {"further packages", "machine golden, snapshot clean"} <= names, listed.stdout + listed.stderr
    gone = vmgen("cache", "prune", "--all", *place, "--json", env=password(lab.made))
    assert len(gone.stdout.splitlines()) == len(listed.stdout.splitlines()), gone.stdout + gone.stderr
    assert lab.machines() == ["golden"]
