"""Whole builds of a Windows from its medium on the stand-in: a stand-in for Setup (standin.setup), which is no Windows,
and Wine as what it puts in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.test_windows_machine import USERS
from tests.integration.vsphere.standin.there import authority_of, session_on, trusted_stand_in
from tests.integration.vsphere.windowsdisk import packed_machine
from tests.integration.vsphere.windowslab import CANARIES, Done, Lab, Run, built, password, removed, words, written
from tests.wine.prefix import Rule, is_wines_fault
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.setupkey import known_setup_key

KEY = "CANAR-12345-YCANA-67890-RYCAN"

RECIPE = """\
[hardware]
    vm_id = fresh
    os = win7
    base = iso:setup.iso
    tools = guest-tools.msi
    ram = 2G
    [[eths]]
        [[[eth0]]]
            hw_addr = 00:50:56:12:34:58
[config]
    hostname = lab-pc
    root_passwd = file:new
    product_key = file:key
    packages = ./tool.msi
    generalise = no
    [[scripts]]
        [[[one]]]
            run = net start one
"""


PVSCSI = "[[hdds]]\n[[[hdd0]]]\ntype = scsi\ncontroller = pvscsi"

SHORT = """\
import sys
import vmgen_build.guests.vsphere.setup as setup
setup.PATIENCE = 20.0
from vmgen_build.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Media:
    """recipe: beside media that Setup starts from, and from which it never comes to its end (endless.iso)."""

    lab: Lab
    recipe: Path

    def named(self, name: str, *changes: tuple[str, str]) -> Path:
        text = RECIPE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = self.recipe.with_name(name)
        path.write_text(text)
        return path


@pytest.fixture(scope="module")
def media(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Media:
    folder = tmp_path_factory.mktemp("m")
    written(folder, RECIPE)
    for name, content in {"key": KEY, "guest-tools.msi": "\xd0\xcf"}.items():
        (folder / name).write_text(content, "latin-1")
        (folder / name).chmod(0o600)
    for name in ("setup", "endless"):
        make_medium(folder / name, lab.disk, endless=name == "endless").rename(folder / f"{name}.iso")
    return Media(lab, folder / "lab.ini")


def make_medium(folder: Path, disk: Path, *, endless: bool) -> Path:
    """That a BIOS and EFI start from, as far as its catalogue says."""
    tree = folder / "tree"
    (tree / "install").mkdir(parents=True)
    for name in ("boot.img", "efi.img"):
        (tree / name).write_bytes(bytes(2048))
    os.link(disk, tree / "install/disk.vmdk")
    if endless:
        (tree / "install/endless").touch()
    boot = ["-b", "boot.img", "-no-emul-boot", "-boot-load-size", "4", "-eltorito-id", "Microsoft stand-in"]
    boot += ["-eltorito-alt-boot", "-e", "efi.img", "-no-emul-boot"]
    command: list[str | Path] = ["xorrisofs", "-quiet", "-J", *boot, "-o", folder / "made.iso", tree]
    subprocess.run(command, check=True)
    return folder / "made.iso"


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def notes(done: Done) -> list[str]:
    return [event["text"] for event in events(done.stdout) if event["event"] == "note"]


def outcomes(done: Done) -> dict[str, str]:
    return {event["step"]: event["outcome"] for event in events(done.stdout) if event["event"] == "step-finished"}


def calls(lab: Lab) -> list[tuple[str, ...]]:
    return [(call.program, *call.argv) for call in lab.calls]


def of_builds(lab: Lab) -> list[str]:
    return [name for name in lab.machines() if not name.startswith("vmgen-layer-") and name != "golden"]


def images_there(lab: Lab) -> list[str]:
    """Images of drives on the server's datastores, which are folders of this host."""
    with session_on(lab.made) as session:
        refs: list[Any] = [one.ref for one in inventory_of(session).datastores]
        stores = [ref.info.url for ref in refs]
    return [path.name for store in stores for end in ("iso", "flp", "txt") for path in Path(store).rglob(f"*.{end}")]


def boots(lab: Lab, since: int) -> list[dict[str, Any]]:
    return [order for name, order in lab.made.ground.orders[since:] if name == "boot"]


def test_setup_then_steps_then_setup_no_more(vmgen: Run, media: Media, cache: Path, tmp_path: Path) -> None:
    lab, since = media.lab, len(media.lab.made.ground.orders)
    done = built(vmgen, lab, media.recipe, tmp_path / "out", anew=True)
    assert outcomes(done)["base"] == "built"
    phases = [text.partition(" after ")[0] for text in notes(done) if text.startswith("Setup from setup.iso")]
    assert phases == ["Setup from setup.iso begins; it may take up to 4 h 00 min", "Setup from setup.iso is done"]
    first, second, *others = boots(lab, since)
    assert ([Path(cd).name for cd in first["cds"]], first["floppies"]) == (["cd0.iso", "cd1.iso"], [])
    assert first["order"][:2] == ["Disk", "Cdrom"]
    assert [boot["cds"] for boot in (second, *others)] == [[]] * (1 + len(others)), "its media were taken out"
    found = calls(lab)
    [off] = [number for number, call in enumerate(found) if call[0] == "shutdown"]
    assert ("msiexec", "/i", r"files\guest-tools.msi", "/qn", "/norestart") in found[:off]
    assert USERS in found[off:]
    assert found[-1] == ("net", "start", "one")
    with tarfile.open(tmp_path / "out/fresh.ova") as ova:
        assert [name for name in ova.getnames() if name.endswith(".vmdk")]
    assert (of_builds(lab), images_there(lab)) == ([], [])
    _no_secret_is_left(lab, done, cache, tmp_path / "out")
    assert_nothing_left(cache / "tmp", tmp_path)

    since = len(lab.made.ground.orders)
    again = built(vmgen, lab, media.recipe, tmp_path / "out", "--set", "config.packages=./guest-tools.msi")
    assert outcomes(again)["base"] == "cached" and not [text for text in notes(again) if "Setup" in text]
    assert not [boot for boot in boots(lab, since) if boot["cds"]]
    assert calls(lab)[-1] == ("net", "start", "one")


def _no_secret_is_left(lab: Lab, done: Done, cache: Path, out: Path) -> None:
    """Neither the recipe's, nor what Administrator's password is made of, which the cache alone keeps."""
    key = known_setup_key(cache)
    assert key is not None and (cache / "vsphere/setup-key").stat().st_mode & 0o777 == 0o600
    layers = [name for name in lab.machines() if name.startswith("vmgen-layer-")]
    assert layers
    secrets = [*CANARIES, KEY, key.secret.reveal(), "Vm1-"]
    files = [path for folder in (cache / "logs", cache / "records", out) for path in folder.rglob("*")]
    seen = [path.read_bytes() for path in files if path.is_file() and path.suffix != ".ova"]
    seen += [(done.stdout + done.stderr).encode(), json.dumps(lab.made.ground.orders).encode()]
    seen.append((lab.made.settings.path.parent / "server.log").read_bytes())
    assert not [secret for secret in secrets if any(secret.encode() in data for data in seen)]


def test_xp_reads_its_floppy_and_another_windows_than_was_meant_is_none(
    vmgen: Run, media: Media, cache: Path, tmp_path: Path
) -> None:
    lab, since = media.lab, len(media.lab.made.ground.orders)
    more = ("--set", "hardware.os=winxppro", "--set", "hardware.ram=512M", "--set", "config.packages=")
    done = built(vmgen, lab, media.recipe, tmp_path / "out", *more, code=1)
    assert "is a Windows 6.1, and Windows XP Professional is 5.1; write the os that it is" in done.stderr, done.stderr
    assert [Path(one).name for one in boots(lab, since)[0]["floppies"]] == ["floppy.flp"]
    assert ("shutdown", "-s", "-f", "-t", "0") in calls(lab)
    assert (of_builds(lab), images_there(lab)) == ([], [])
    assert_nothing_left(cache / "tmp", tmp_path)


def test_the_loader_of_efi_gets_its_key(vmgen: Run, media: Media, tmp_path: Path) -> None:
    path = media.named("efi.ini", ("ram = 2G", "ram = 2G\n    firmware = efi"))
    since = len(media.lab.made.ground.orders)
    done = built(vmgen, media.lab, path, tmp_path / "out", anew=True)
    assert outcomes(done)["base"] == "built"
    keys = [order["codes"] for name, order in media.lab.made.ground.orders[since:] if name == "keys"]
    assert keys and set(map(tuple, keys)) == {(0x2B0007,)}


def test_tools_that_fail_end_the_build(vmgen: Run, media: Media, cache: Path, tmp_path: Path) -> None:
    """At once: their code comes by the serial port."""
    rules = media.lab.windows.folder / "rules"
    usual = rules.read_text()
    rules.write_text(Rule("msiexec", "guest-tools", code=1603).line + usual)
    path = media.named(
        "failing.ini", ("vm_id = fresh", "vm_id = failing"), ("file:key", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
    )
    try:
        done = built(vmgen, media.lab, path, tmp_path / "out", code=1)
    finally:
        rules.write_text(usual)
    assert "Setup from setup.iso says: vmgen-build: step 00-tools ended with code 1603" in done.stderr, done.stderr
    assert (of_builds(media.lab), images_there(media.lab)) == ([], [])
    assert_nothing_left(cache / "tmp", tmp_path)


def test_setup_that_never_ends(media: Media, cache: Path, tmp_path: Path) -> None:
    """Its time is made short here."""
    path = media.named("endless.ini", ("setup.iso", "endless.iso"))
    command = [sys.executable, "-c", SHORT, *words(media.lab.made, path, tmp_path / "out")]
    own = os.environ | {"VMGEN_CACHE": str(cache)} | password(media.lab.made)
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=200)
    text = "Setup from endless.iso did not end within 20 s: it waits for VMware Tools, which the first logon puts in"
    assert done.returncode == 1 and text in done.stderr, done.stderr
    picture = Path(done.stderr.partition("its screen: ")[2].splitlines()[0])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (of_builds(media.lab), images_there(media.lab)) == ([], [])
    assert_nothing_left(cache / "tmp", tmp_path)


def begun(media: Media, cache: Path, out: Path) -> subprocess.Popen[str]:
    """A build in the midst of Setup."""
    path = media.named("endless.ini", ("setup.iso", "endless.iso"))
    command = [sys.executable, "-m", "vmgen_build", *words(media.lab.made, path, out)]
    own = os.environ | {"VMGEN_CACHE": str(cache)} | password(media.lab.made)
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any("Setup from endless.iso begins" in line for line in process.stdout)
    assert len(images_there(media.lab)) == 2
    return process


def test_an_interrupt_leaves_nothing(media: Media, cache: Path, tmp_path: Path) -> None:
    process = begun(media, cache, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130 and "Traceback" not in error, error
    assert (of_builds(media.lab), images_there(media.lab)) == ([], [])
    assert not list(cache.rglob("answers.*"))
    assert_nothing_left(cache / "tmp", tmp_path)


def test_what_a_killed_build_left_goes_with_the_next(vmgen: Run, media: Media, cache: Path, tmp_path: Path) -> None:
    process = begun(media, cache, tmp_path / "out")
    process.kill()
    process.communicate()
    assert len(of_builds(media.lab)) == 1
    done = built(vmgen, media.lab, media.recipe, tmp_path / "out", "--set", "config.scripts.one.run=net start next")
    assert any("removed from " in text and "what a build that was killed left" in text for text in notes(done))
    assert (of_builds(media.lab), images_there(media.lab)) == ([], [])


def test_it_is_kept_as_a_template(vmgen: Run, media: Media, tmp_path: Path) -> None:
    """Without what Setup has brought."""
    built(vmgen, media.lab, media.recipe, tmp_path / "out", "--keep-as", "a fresh one")
    found, devices = removed(media.lab, "a fresh one")
    assert found.template and found.power == "poweredOff" and "VirtualE1000" in devices
    assert not {"VirtualCdrom", "VirtualFloppy", "VirtualSerialPort"} & set(devices)


def test_an_esxi_runs_setup_in_each_build(
    vmgen: Run, media: Media, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It keeps nothing."""
    folder = tmp_path_factory.mktemp("x")
    with trusted_stand_in(program, folder, folder, packed_machine(folder), "-esx") as server:
        server.ground.windows = media.lab.windows
        lab = replace(media.lab, made=server)
        lab.forget()
        place = f"vsphere://{server.server.user}@{server.server.host}:{server.server.port}"
        options = ("-b", "vmware", "--host", place, "--cafile", authority_of(server), "--map", "nat=VM Network")
        done = vmgen(media.recipe, *options, "-o", folder / "out", "--json", env=password(server), timeout=150)
        if is_wines_fault(done.stdout):
            pytest.skip("Wine's cmd did not start a program that is there, as it does once in some thousand starts")
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
        assert any("each build has Setup make its machine" in text for text in notes(done))
        assert (folder / "out/fresh.ova").is_file() and calls(lab)[-1] == ("net", "start", "one")
        assert (lab.machines(), images_there(lab)) == ([], [])


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ((("    tools = guest-tools.msi\n", ""),), 4, "no tools are named; write tools = windows.iso"),
        ((("    root_passwd = file:new\n", ""),), 4, "write root_passwd in [config]"),
        ((("setup.iso", "nothing.iso"),), 4, "nothing.iso starts no machine: it is no medium of Windows"),
        ((("os = win7", "os = win11"), ("ram = 2G", "ram = 4G")), 3, "--host vsphere: gives neither"),
        (
            (("ram = 2G", "ram = 2G\n[[hdds]]\n[[[hdd0]]]\ntype = scsi\ncontroller = pvscsi"),),
            9,
            "no driver for pvscsi",
        ),
        ((("ram = 2G", "ram = 2G\ncommunicator = agent"),), 7, "by VMware Tools alone"),
        ((("ram = 2G", f"ram = 2G\nbase_sha256 = {'0' * 64}"),), 7, "setup.iso has the sha256 "),
    ],
)
def test_what_cannot_be(
    vmgen: Run, media: Media, tmp_path: Path, changes: tuple[tuple[str, str], ...], where: int, message: str
) -> None:
    media.recipe.with_name("nothing.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    path = media.named("other.ini", *changes)
    made = media.lab.made
    done = vmgen(*words(made, path, tmp_path / "out"), "--dry-run", env=password(made), timeout=100)
    assert done.returncode == 2 and message in done.stderr and f"other.ini:{where}:" in done.stderr, done.stderr
