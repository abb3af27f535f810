"""Whole builds on the stand-in, by the command line: what comes home, what goes on from where, what is left there."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.test_machine_guest import outcomes, trees_of
from tests.integration.vsphere.building import (
    CANARY,
    FAILS,
    LEASE,
    SCRIPT,
    SLOW,
    Done,
    Run,
    assert_locked,
    begun,
    foreign_of,
    killed,
    make_foreign,
    names,
    of_builds,
    password,
    received,
    recipe_in,
    sent,
    until_order,
    until_seen,
    words,
)
from tests.integration.vsphere.standin.client import until
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import session_on, trusted_stand_in
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.machines import as_built
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

AS_EXPORTED = ("--format", "ova-as-exported")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recipe_in(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def made(program: Path, cache: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """With a machine of another owner from the beginning, which stays as it is to the end."""
    machine = as_built(machine_of(load(recipe)))
    with trusted_stand_in(program, tmp_path_factory.mktemp("s"), cache, machine, "-trace") as server:
        make_foreign(server)
        before = foreign_of(server)
        yield server
        assert before == foreign_of(server)


@pytest.fixture(scope="module")
def killed_import(cache: Path, made: StandIn, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The very first build."""
    made.settings.change(rate=SLOW, lease_timeout=LEASE)
    process = begun(made, cache, recipe, tmp_path_factory.mktemp("killed"), "--set", FAILS)
    return killed(made, process, lambda: received(made) > 0)


@pytest.fixture(scope="module")
def killed_export(
    vmgen: Run,
    built: tuple[Path, Done],
    cache: Path,
    made: StandIn,
    recipe: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Done]:
    """And the next build, which ends at the recipe's own script; the server has given the lease up then."""
    before, out = sent(made), tmp_path_factory.mktemp("killed")
    made.settings.change(rate=SLOW, lease_timeout=LEASE)
    left = killed(made, begun(made, cache, recipe, out, *AS_EXPORTED), lambda: sent(made) > before)
    over = time.monotonic() + LEASE + 1
    done = vmgen(*words(made, recipe, out), "--set", FAILS, env=password(made))
    time.sleep(max(0.0, over - time.monotonic()))
    return left, done


@pytest.fixture(scope="module")
def as_exported(
    vmgen: Run, killed_export: tuple[str, Done], made: StandIn, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    out = tmp_path_factory.mktemp("exported")
    done = vmgen(*words(made, recipe, out), *AS_EXPORTED, env=password(made))
    assert done.returncode == 0, done.stderr[-4000:]
    return out, done


@pytest.fixture(scope="module")
def failed(
    vmgen: Run, killed_import: str, made: StandIn, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """The next build: it ends at the recipe's own script. What the server was to get of the one before has gone."""
    out = tmp_path_factory.mktemp("failed")
    done = vmgen(*words(made, recipe, out), "--set", FAILS, env=password(made))
    until(lambda: killed_import not in names(made), LEASE)
    return done


@pytest.fixture(scope="module")
def built(
    vmgen: Run, failed: Done, made: StandIn, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    out = tmp_path_factory.mktemp("built")
    done = vmgen(*words(made, recipe, out), "--json", env=password(made))
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return out, done


def test_a_step_that_fails_is_named_and_layers_stay(failed: Done, made: StandIn) -> None:
    assert failed.returncode == 1, failed.stderr[-4000:]
    assert "step 'script-one' failed with exit code 3" in failed.stderr and "  begun" in failed.stderr
    assert of_builds(made) == []
    assert len([name for name in names(made) if name.startswith("vmgen-layer-")]) == 2


def test_a_build_that_was_killed_while_its_disks_went_there(killed_import: str, failed: Done, made: StandIn) -> None:
    """The server removes what it has not got whole."""
    assert killed_import.endswith("-base")
    assert_locked(killed_import, failed)


def test_a_machine_can_be_kept(vmgen: Run, failed: Done, made: StandIn, recipe: Path, tmp_path: Path) -> None:
    more = ["--set", FAILS, "--on-error", "keep"]
    done = vmgen(*words(made, recipe, tmp_path / "out"), *more, env=password(made))
    assert done.returncode == 1
    [name] = of_builds(made)
    assert name.startswith("vmgen-kept-") and name in done.stderr
    with session_on(made) as session:
        [kept] = [each for each in inventory_of(session).machines if each.name == name]
        assert kept.power == "poweredOff"
        ref: Any = kept.ref
        ref.Destroy_Task()
        while of_builds(made):
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"question": "Did you move it?"}, "the machine waits for an answer: 'Did you move it?'"),
        ({"tools_after": 0.2}, "failed with exit code 3"),
    ],
)
def test_a_build_that_fails_leaves_nothing(
    vmgen: Run, failed: Done, made: StandIn, recipe: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    made.settings.change(**settings)
    try:
        done = vmgen(*words(made, recipe, tmp_path / "out"), "--set", FAILS, env=password(made))
    finally:
        made.settings.reset()
    assert done.returncode == 1 and message in done.stderr, done.stderr[-3000:]
    assert "Traceback" not in done.stderr and of_builds(made) == []
    picture = re.search(r"its screen: (\S+)", done.stderr)
    assert not picture or Path(picture[1]).read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("phase", ["boot", "step"])
def test_a_build_that_is_stopped(
    cache: Path, failed: Done, made: StandIn, recipe: Path, tmp_path: Path, phase: str, number: signal.Signals
) -> None:
    """One that was killed leaves its machine, which the next run takes away."""
    boots = [one for one, _ in made.ground.orders].count("boot")
    made.settings.change(tools_after=600 if phase == "boot" else 0.2)
    process = begun(made, cache, recipe, tmp_path / "out", "--set", SCRIPT.format("echo begun; sleep 600"))
    try:
        if phase == "boot":
            until_order(process, made, "boot", boots)
        else:
            until_seen(process, "| begun")
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
    finally:
        made.settings.reset()
        process.kill()
    assert process.returncode == (130 if number == signal.SIGINT else -9), output
    assert "Traceback" not in output
    assert_nothing_left(cache / "tmp", tmp_path)
    left = of_builds(made)
    assert bool(left) == (number == signal.SIGKILL)
    if left:
        again = begun(made, cache, recipe, tmp_path / "again", "--set", FAILS)
        output, _ = again.communicate()
        assert f"what a build that was killed left: {left[0]}" in output and "exit code 3" in output
        assert of_builds(made) == []


def test_a_session_that_is_ended_meanwhile(
    cache: Path, failed: Done, made: StandIn, recipe: Path, tmp_path: Path
) -> None:
    """A step goes on in the machine, and the build asks for it by a new session, or says what happened."""
    process = begun(made, cache, recipe, tmp_path / "out", "--set", SCRIPT.format("echo begun; sleep 6; exit 3"))
    until_seen(process, "| begun")
    with session_on(made) as session:
        manager: Any = session.content.sessionManager
        manager.TerminateSession([each.key for each in manager.sessionList if each.key != session.key])
    output, _ = process.communicate()
    assert process.returncode == 1 and ("exit code 3" in output or "the session has ended" in output), output
    assert "Traceback" not in output and of_builds(made) == []


def test_the_next_build_goes_on_from_what_was_installed(built: tuple[Path, Done], made: StandIn) -> None:
    found = outcomes(built[1])
    there = ("base", "packages-config")
    assert {name: found[name] for name in there} == dict.fromkeys(there, "cached")
    assert {found[name] for name in ("users", "network", "script-one", "generalise", "pack")} == {"built"}
    assert [name for name, _ in made.ground.orders].count("import") == 1
    assert of_builds(made) == []


def test_it_holds_what_the_local_way_gives(vmgen: Run, built: tuple[Path, Done], recipe: Path, tmp_path: Path) -> None:
    """But for the times within the initial RAM file system, which its kernel's packages have made."""
    trees = trees_of(vmgen, recipe, built[0], tmp_path)
    here, there = ({line for line in tree if not line.startswith("boot/initrd")} for tree in trees)
    assert here == there, "\n".join(sorted(here ^ there))
    assert len(here) > 5000


def test_it_is_kept_as_a_template(
    vmgen: Run, built: tuple[Path, Done], made: StandIn, recipe: Path, tmp_path: Path
) -> None:
    """Though the build has nothing new to make; and not a second time."""
    more = ["--keep-as", "lab 2026"]
    done = vmgen(*words(made, recipe, tmp_path / "out"), *more, env=password(made))
    assert done.returncode == 0, done.stderr[-4000:]
    assert of_builds(made) == ["lab 2026"]
    again = vmgen(*words(made, recipe, tmp_path / "out"), *more, env=password(made))
    assert again.returncode == 2 and "--keep-as: 'lab 2026' is there already" in again.stderr
    with session_on(made) as session:
        [kept] = [each for each in inventory_of(session).machines if each.name == "lab 2026"]
        assert kept.template and kept.power == "poweredOff"
        ref: Any = kept.ref
        ref.Destroy_Task()
        while of_builds(made):
            time.sleep(0.1)


def test_a_build_that_was_killed_while_its_disks_came_home(
    cache: Path, killed_export: tuple[str, Done], as_exported: tuple[Path, Done], made: StandIn
) -> None:
    """The server keeps its machine for a time; a later build takes it away."""
    left, failed = killed_export
    assert_locked(left, failed)
    assert failed.returncode == 1 and "exit code 3" in failed.stderr
    assert f"what a build that was killed left: {left}" in " ".join(as_exported[1].stderr.split())
    assert of_builds(made) == []
    assert_nothing_left(cache / "tmp", as_exported[0])


def test_disks_as_the_server_sent_them(vmgen: Run, as_exported: tuple[Path, Done], made: StandIn) -> None:
    ova = as_exported[0] / "guest.ova"
    with tarfile.open(ova) as tar:
        assert tar.getnames() == ["guest.ovf", "guest.mf", "guest-hdd0.vmdk"]
        disk = tar.extractfile("guest-hdd0.vmdk")
        assert disk is not None
        digest = hashlib.sha256(disk.read()).hexdigest()
    newest = max(made.ground.folder.glob("export-*/hdd0.vmdk"), key=lambda file: file.stat().st_mtime_ns)
    assert digest == sha256_of(newest)
    assert json.loads(ova.with_name("guest.ova.manifest.json").read_text())["packed_as"] == "ova-as-exported"
    done = vmgen("verify", "--no-boot", ova)
    assert done.returncode == 0, done.stdout + done.stderr


def test_disks_as_a_server_sent_them_come_from_one_alone(vmgen: Run, recipe: Path, tmp_path: Path) -> None:
    done = vmgen(recipe, "-b", "vmware", *AS_EXPORTED, "-o", tmp_path / "out")
    assert done.returncode == 2 and "take --host vsphere://NAME, or --format ova" in done.stderr
    assert not (tmp_path / "out").exists()


def test_secrets_are_nowhere(
    cache: Path, failed: Done, built: tuple[Path, Done], as_exported: tuple[Path, Done], made: StandIn
) -> None:
    """The server's password is in the server's own log, in what a client logs in with."""
    logged = made.server.log.read_text(errors="replace")
    requests = [part for part in logged.split("Request: ")[1:] if made.server.password in part]
    assert requests and all("<Login " in request for request in requests)
    assert CANARY not in logged and CANARY not in json.dumps(made.ground.orders)
    for file in (cache / "logs").glob("guest-vmware-*"):
        data = file.read_bytes()
        assert made.server.password.encode() not in data and CANARY.encode() not in data
    found = subprocess.run(
        ["grep", "-rlaF", "-e", CANARY, "-e", made.server.password, made.ground.folder], capture_output=True, text=True
    )
    assert found.stdout == ""


@pytest.mark.slow
def test_verify_holds(vmgen: Run, built: tuple[Path, Done]) -> None:
    """The disk that came home boots, in QEMU."""
    done = vmgen("verify", built[0] / "guest.ova")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
