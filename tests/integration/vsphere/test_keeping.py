"""A whole build on the stand-in of a machine that boots by EFI and is kept in a content library: what is there, and
what comes home."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.test_machine_guest import content_of
from tests.integration.vsphere.building import CANARY, Done, Run, names, of_builds, password, recipe_in, words
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import session_on, trusted_stand_in
from tests.integration.vsphere.test_library import items_of, make_library
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.machines import as_built
from vmgen_build.guests.vsphere.properties import id_of
from vmgen_build.guests.vsphere.rest import logged_in
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

KEPT = ("--keep-as", "library:Images/lab 2026")

LOADER = "::/EFI/BOOT/BOOTX64.EFI"
"""What firmware looks for on any disk (UEFI specification, 3.5.1.1)."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = recipe_in(tmp_path_factory.mktemp("recipe"))
    made.write_text(made.read_text().replace("    ram = 512M\n", "    ram = 512M\n    firmware = efi\n"))
    return made


@pytest.fixture(scope="module")
def made(program: Path, cache: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A vCenter that has REST services below /api."""
    machine = as_built(machine_of(load(recipe)))
    assert machine.firmware == "efi"
    options = ("-trace", "-api", "8.0.2.0")
    with trusted_stand_in(program, tmp_path_factory.mktemp("s"), cache, machine, *options) as server:
        with session_on(server) as session:
            make_library(session, "Images", "LOCAL")
        yield server


@pytest.fixture(scope="module")
def built(
    vmgen: Run, cache: Path, made: StandIn, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Done]:
    out = tmp_path_factory.mktemp("built")
    done = vmgen(*words(made, recipe, out), *KEPT, "--json", env=password(made))
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    assert_nothing_left(cache / "tmp", out)
    return out, done


@pytest.fixture(scope="module")
def disk(built: tuple[Path, Done]) -> Path:
    """The one that came home."""
    subprocess.run(["tar", "-xf", built[0] / "guest.ova", "-C", built[0], "guest-hdd0.vmdk"], check=True)
    return built[0] / "guest-hdd0.vmdk"


def test_it_is_in_the_library_and_nothing_else_stays(built: tuple[Path, Done], made: StandIn) -> None:
    with session_on(made) as session, logged_in(session) as rest:
        [item] = items_of(rest, "Images")
        [kept] = [each for each in inventory_of(session).machines if each.name == "lab 2026"]
        config: Any = kept.ref.config
        assert config.firmware == "efi" and not [one for one in config.extraConfig if "vmgen" in one.key]
    assert (item["name"], item["type"]) == ("lab 2026", "vm-template")
    assert kept.template and kept.power == "poweredOff" and not kept.snapshots
    assert of_builds(made) == ["lab 2026"] and len(names(made)) > 1
    notes = [event["text"] for event in map(json.loads, built[1].stdout.splitlines()) if event["event"] == "note"]
    assert any("lab 2026, in the content library 'Images'" in note for note in notes)
    logged = made.server.log.read_text(errors="replace")
    assert "api POST /api/vcenter/vm-template/library-items\n" in logged and CANARY not in logged


def test_the_template_holds_what_came_home(built: tuple[Path, Done], made: StandIn, disk: Path, tmp_path: Path) -> None:
    with session_on(made) as session:
        [kept] = [each for each in inventory_of(session).machines if each.name == "lab 2026"]
        [there] = made.ground.answer("export", {"vm": id_of(kept.ref)})["Files"]
    (kept_digest, lines), (digest, _) = content_of(Path(there), tmp_path / "there"), content_of(disk, tmp_path / "home")
    assert kept_digest == digest and any(line.startswith("srv/made ") for line in lines)


def test_a_name_that_the_library_has_is_refused(
    vmgen: Run, built: tuple[Path, Done], made: StandIn, recipe: Path, tmp_path: Path
) -> None:
    again = vmgen(*words(made, recipe, tmp_path / "out"), *KEPT, env=password(made))
    assert again.returncode == 2 and "the library 'Images' has an item 'lab 2026' already" in again.stderr
    assert of_builds(made) == ["lab 2026"]


def test_what_boots_by_efi_comes_home(built: tuple[Path, Done], disk: Path, tmp_path: Path) -> None:
    """The boot loader in the EFI system partition, and the NVRAM in the OVA."""
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
    table = json.loads(subprocess.run(["sfdisk", "--json", raw], capture_output=True, check=True).stdout)
    [esp] = [each for each in table["partitiontable"]["partitions"] if each["type"].startswith("C12A7328-")]
    image = f"{raw}@@{esp['start'] * 512}"
    loader = subprocess.run(["mtype", "-i", image, LOADER], capture_output=True)
    assert loader.stdout.startswith(b"MZ") and len(loader.stdout) > 100_000, loader.stderr
    with tarfile.open(built[0] / "guest.ova") as tar:
        assert tar.getnames() == ["guest.ovf", "guest.mf", "guest-hdd0.vmdk", "guest.nvram"]
        nvram = tar.extractfile("guest.nvram")
        assert nvram is not None and nvram.read(4) == b"MRVN"


@pytest.mark.slow
def test_verify_holds(vmgen: Run, built: tuple[Path, Done]) -> None:
    """The disk that came home boots by EFI, in QEMU."""
    done = vmgen("verify", built[0] / "guest.ova")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
