"""Whole builds of a Windows from its medium, in QEMU: a stand-in for Setup (standinsetup), which is no Windows."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integration.conftest import ROOT
from tests.integration.leftovers import assert_nothing_left
from tests.integration.standinsetup import FIRST_LOGON, FirstLogon, make_medium
from tests.integration.test_windows_machine import DRIVERS, INIT, USERS, make_disk
from tests.integration.tinymachine import kernel_in
from tests.integration.vsphere.windowsdisk import make_windows
from tests.wine.prefix import Call, Rule, Windows, _calls, is_wines_fault
from tests.wine.qemuga import WineAgent
from vmgen_build.artifacts.result import Disks
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import _plan
from vmgen_build.build.facts import facts_for
from vmgen_build.build.installing import disks_set_up
from vmgen_build.build.job import Build
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.qemu import QemuPlace
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.guests.machines.imported import empty_disk
from vmgen_build.guests.machines.inserted import Inserted
from vmgen_build.guests.qemu.machines import QemuMachines
from vmgen_build.guests.qemu.setup import _Installation
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.recipe.load import load
from vmgen_build.store.lease import lease

T = TypeVar("T")

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NEW, KEY = "c4n4ry-New2", "CANAR-12345-YCANA-67890-RYCAN"

RECIPE = """\
[hardware]
    vm_id = lab
    os = win7
    base = iso:setup.iso
    tools = guest-tools.msi
    ram = 2G
[config]
    hostname = lab-pc
    root_passwd = file:new
    product_key = file:key
    generalise = no
    [[scripts]]
        [[[one]]]
            run = net start one
"""

NAMED = Rule("wmic", "get NetConnectionID", output="\nNetConnectionID=Local Area Connection\n")

AFTER_LOGON = "bash -c '\nexec 3<>/dev/vport0p1"


@dataclass(frozen=True)
class Lab:
    windows: Windows
    agent: WineAgent
    logon: FirstLogon
    recipe: Path

    @property
    def calls(self) -> list[Call]:
        return [call for call in _calls(self.windows.folder / "calls.jsonl") if call.program != "fsutil"]

    def rules(self, *rules: Rule) -> None:
        (self.windows.folder / "calls.jsonl").unlink(missing_ok=True)
        (self.windows.folder / "rules").write_text("".join(rule.line for rule in (*rules, NAMED)))

    def words(self, out: Path, *more: str) -> list[str]:
        return [str(self.recipe), "-b", "kvm", "--host", "qemu:", "-o", str(out), "--json", *more]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("s")
    for name in ("wine", "agent", "logon", "disk", "recipe", "kernel", "medium", "endless"):
        (folder / name).mkdir()
    windows = make_windows(folder / "wine", ROOT / ".testcache" / "wine")
    agent = WineAgent(windows, folder / "agent")
    logon = FirstLogon(windows, folder / "logon")
    try:
        kernel, raw = kernel_in(folder / "kernel"), folder / "disk.raw"
        script = INIT.replace(AFTER_LOGON, FIRST_LOGON.replace("LOGON", str(logon.port)) + AFTER_LOGON)
        drivers = (*DRIVERS, "sr_mod", "ata_piix", "floppy", "pcnet32")
        disk = make_disk(folder / "disk", kernel, script.replace("PORT", str(agent.port)), drivers)
        subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True)
        for name in ("medium", "endless"):
            made = make_medium(folder / name, kernel, raw, endless=name == "endless")
            made.rename(folder / "recipe" / ("setup.iso" if name == "medium" else "endless.iso"))
        yield Lab(windows, agent, logon, written(folder / "recipe"))
    finally:
        logon.close()
        agent.close()


def written(folder: Path) -> Path:
    for name, content in {"new": NEW, "key": KEY, "guest-tools.msi": "\xd0\xcf"}.items():
        (folder / name).write_text(content, "latin-1")
        (folder / name).chmod(0o600)
    (folder / "lab.ini").write_text(RECIPE)
    return folder / "lab.ini"


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def notes(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [event["text"] for event in events(done) if event["event"] == "note"]


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {event["step"]: event["outcome"] for event in events(done) if event["event"] == "step-finished"}


def built(vmgen: Run, lab: Lab, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    done = vmgen(*lab.words(out, *more), timeout=1200)
    if done.returncode != 0 and is_wines_fault(done.stdout):
        pytest.skip("Wine's cmd did not start a program that is there, as it does once in some thousand starts")
    return done


def test_setup_then_steps_then_setup_no_more(vmgen: Run, lab: Lab, cache: Path, tmp_path: Path) -> None:
    lab.rules()
    done = built(vmgen, lab, tmp_path / "out")
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    assert (lab.logon.logons, lab.agent.boots) == (1, 3), "once to see that it answers, and twice for the steps"
    found = [(call.program, *call.argv) for call in lab.calls]
    assert next(f for f in found if f[0] == "msiexec") == (
        "msiexec",
        "/i",
        r"files\guest-tools.msi",
        "/qn",
        "/norestart",
    )
    ends = [index for index, call in enumerate(found) if call[0] == "shutdown"]
    assert [found[index] for index in ends] == [("shutdown", "/s", "/f", "/t", "0")]
    after = found[ends[0] + 1 :]
    assert USERS in after and after[-1] == ("net", "start", "one")
    assert outcomes(done)["base"] == "built"
    phases = [text.partition(" after ")[0] for text in notes(done) if text.startswith("Setup from setup.iso")]
    assert phases[0].startswith("Setup from setup.iso begins") and phases[-1] == "Setup from setup.iso is done"
    assert "Setup from setup.iso starts the machine anew" in phases
    assert (tmp_path / "out/lab-kvm-amd64.qcow2").is_file()
    _no_secret_is_left(lab, done, cache, tmp_path / "out")
    assert_nothing_left(cache / "tmp", tmp_path)
    again = built(vmgen, lab, tmp_path / "out", "--set", "config.scripts.one.run=net start two")
    assert again.returncode == 0, again.stderr[-4000:] + again.stdout[-4000:]
    assert lab.logon.logons == 1 and outcomes(again)["base"] == "cached"
    assert lab.calls[-1].argv == ("start", "two") and not [text for text in notes(again) if "Setup" in text]


def _no_secret_is_left(lab: Lab, done: subprocess.CompletedProcess[str], cache: Path, out: Path) -> None:
    """Setup's password is none of the recipe's, and neither it nor the key is anywhere but in the machine."""
    assert KEY in lab.logon.answers and NEW not in lab.logon.answers
    (value, *_) = re.findall(r"<AdministratorPassword>\s*<Value>([^<]+)<", lab.logon.answers)
    password = base64.b64decode(value).decode("utf-16-le").removesuffix("AdministratorPassword")
    assert re.fullmatch(r"Vm1-[0-9a-f]{10}", password) and NEW not in password
    texts = [done.stdout, done.stderr, (out / "lab-kvm-amd64.qcow2.manifest.json").read_text()]
    assert not [one for one in (NEW, KEY, password, value) for text in texts if one in text]
    found = subprocess.run(
        ["grep", "-rlaF", "-e", value, "-e", password, "-e", KEY, cache], capture_output=True, text=True
    )
    assert found.stdout == ""
    assert not list(cache.rglob("answers.*"))


def test_tools_that_fail_end_it_at_once(vmgen: Run, lab: Lab, cache: Path, tmp_path: Path) -> None:
    """With their code, and a picture of the screen."""
    lab.rules(Rule("msiexec", code=1603))
    done = built(vmgen, lab, tmp_path / "out", "--no-cache")
    assert done.returncode == 1
    assert "Setup from setup.iso says: vmgen-build: step 00-tools ended with code 1603" in done.stderr, done.stderr
    (picture,) = re.findall(r"its screen: (\S+\.png)", done.stderr)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert not list(cache.rglob("answers.*"))
    assert_nothing_left(cache / "tmp", tmp_path)


def test_xp_reads_its_floppy_and_another_windows_than_was_meant_is_none(
    vmgen: Run, lab: Lab, cache: Path, tmp_path: Path
) -> None:
    lab.rules()
    logons = lab.logon.logons
    done = built(vmgen, lab, tmp_path / "out", "--set", "hardware.os=winxppro", "--set", "hardware.ram=512M")
    assert done.returncode == 1
    assert "is a Windows 6.1, and Windows XP Professional is 5.1; write the os that it is" in done.stderr, done.stderr
    assert lab.logon.logons == logons + 1
    assert "UnattendedInstall" in lab.logon.answers
    assert ("shutdown", "-s", "-f", "-t", "0") in [(call.program, *call.argv) for call in lab.calls]
    assert_nothing_left(cache / "tmp", tmp_path)


def test_setup_that_never_ends(lab: Lab, cache: Path, tmp_path: Path) -> None:
    """Its time is made short here."""
    path = lab.recipe.with_name("endless.ini")
    path.write_text(RECIPE.replace("setup.iso", "endless.iso"))

    def work(build: Build, machines: QemuMachines) -> tuple[str, list[str]]:
        with pytest.raises(BuildError) as caught, disks_set_up(build, machines, patience=90):
            pass
        return str(caught.value), [path.name for path in (build.leased / "setup").iterdir()]

    text, left = within(path, cache, tmp_path, work)
    assert text.startswith("Setup from endless.iso did not end within 1 min 30 s\nits screen: ")
    assert "stand-in for Setup: it waits for a person (sr1, sr0)" in text
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")
    assert left == []
    assert_nothing_left(cache / "tmp", tmp_path)


def within(path: Path, cache: Path, scratch: Path, work: Callable[[Build, QemuMachines], T]) -> T:
    """What a part of a build of this recipe gives, which has all that a whole one has."""
    recipe, backend = load(path), backend_named("kvm")
    place = QemuPlace(BuildOptions(cache=cache, backends=("kvm",), host="qemu:"))
    look = place.look(recipe, backend, facts_for(recipe, cache, offline=False))
    plan = _plan(recipe, "kvm", place.options, look.facts)

    def work_with(bus: Bus) -> T:
        with lease(cache) as leased:
            build = Build(
                recipe=recipe,
                plan=plan,
                backend=backend,
                place=place,
                look=look,
                bus=bus,
                log=scratch / "log",
                leased=leased,
            )
            return work(build, place._of_windows(build))

    return run_isolated(work_with, Bus())


def test_the_loader_of_efi_gets_its_key(lab: Lab, cache: Path, tmp_path: Path) -> None:
    """A small program stands in for it, which OVMF starts from the CD: the empty disk before it starts nothing."""
    medium = efi_medium(tmp_path)
    medium.rename(lab.recipe.with_name("efi.iso"))
    path = lab.recipe.with_name("efi.ini")
    path.write_text(RECIPE.replace("setup.iso", "efi.iso").replace("ram = 2G", "ram = 2G\n    firmware = efi"))

    def work(build: Build, machines: QemuMachines) -> str:
        folder = machines.new_folder()
        disks = Disks(tuple(empty_disk(drive, folder) for drive in machines.machine.drives))
        inserted = Inserted(title="Setup", cds=(path.with_name("efi.iso"),))
        _Installation(machines, inserted, 300).run(disks)
        (console,) = machines.folder.glob("*/console")
        return console.read_text("utf-8", "replace")

    shown = within(path, cache, tmp_path, work)
    assert "Press any key to boot from CD" in shown and "a key has come" in shown
    assert_nothing_left(cache / "tmp", tmp_path)


def efi_medium(folder: Path) -> Path:
    program, image, tree = folder / "anykey.efi", folder / "tree/efi.img", folder / "tree"
    tree.mkdir()
    compiler = ["x86_64-w64-mingw32-gcc", "-O1", "-ffreestanding", "-nostdlib", "-fno-stack-protector"]
    compiler += ["-Wl,--subsystem,10", "-Wl,-e,efi_main", "-o", str(program)]
    subprocess.run([*compiler, Path(__file__).with_name("anykey.c")], check=True)
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.vfat", image], check=True, capture_output=True)
    subprocess.run(["mmd", "-i", image, "::EFI", "::EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", image, program, "::EFI/BOOT/BOOTX64.EFI"], check=True)
    goal = folder / "efi.iso"
    subprocess.run(["xorrisofs", "-quiet", "-J", "-e", "efi.img", "-no-emul-boot", "-o", goal, tree], check=True)
    return goal


def test_an_interrupt_leaves_nothing(lab: Lab, cache: Path, tmp_path: Path) -> None:
    path = lab.recipe.with_name("endless.ini")
    path.write_text(RECIPE.replace("setup.iso", "endless.iso"))
    options = ["-b", "kvm", "--host", "qemu:", "-o", str(tmp_path / "out"), "--json"]
    words = [sys.executable, "-m", "vmgen_build", str(path), *options]
    process = subprocess.Popen(words, env=os.environ | {"VMGEN_CACHE": str(cache)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Setup from endless.iso begins" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(120) == 130
    assert not list(cache.rglob("answers.*"))
    assert_nothing_left(cache / "tmp", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "host", "where", "message"),
    [
        ("    tools = guest-tools.msi\n", "", "qemu:", 4, "no tools are named; write tools = virtio-win.iso"),
        ("    root_passwd = file:new\n", "", "qemu:", 4, "write root_passwd in [config]"),
        ("setup.iso", "driver.iso", "qemu:", 4, "driver.iso starts no machine: it is no medium of Windows"),
        ("ram = 2G", "ram = 2G\n    firmware = efi", "qemu:", 7, "starts no machine by efi; write firmware = bios"),
        ("os = win7", "os = win11", "qemu:", 3, "wants a TPM and secure boot"),
        ("ram = 2G", "ram = 2G\n[[hdds]]\n[[[hdd0]]]\ntype = scsi", "qemu:", 9, "write type = sata"),
        ("ram = 2G", "ram = 2G\ncommunicator = tools", "qemu:", 7, "by the guest agent alone"),
        ("ram = 2G", f"ram = 2G\nbase_sha256 = {'0' * 64}", "qemu:", 7, "setup.iso has the sha256 "),
        ("ram", "ram", "", 4, "Setup of Windows runs in a whole machine: add --host qemu:"),
    ],
)
def test_what_cannot_be(
    vmgen: Run, lab: Lab, tmp_path: Path, old: str, new: str, host: str, where: int, message: str
) -> None:
    (lab.recipe.parent / "driver.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    path = lab.recipe.with_name("other.ini")
    path.write_text(RECIPE.replace(old, new, 1))
    if "win11" in new:
        path.write_text(path.read_text().replace("ram = 2G", "ram = 4G"))
    hosts = ["--host", host] if host else []
    done = vmgen(path, "-b", "kvm", *hosts, "-o", tmp_path / "out", "--dry-run", timeout=600)
    assert done.returncode == 2 and message in done.stderr and f"other.ini:{where}:" in done.stderr, done.stderr
