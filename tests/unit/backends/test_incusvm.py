"""A virtual machine's image for Incus and LXD: what is in it, what is refused, and that it is read back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import manifest_of
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.formats.incusvm import FORMAT, _taken_out
from vmgen_build.backends.machines.disks import machine_of_manifest
from vmgen_build.backends.registry import backend_named
from vmgen_build.boots.model import Boot
from vmgen_build.build.engine import dry_run
from vmgen_build.build.options import BuildOptions
from vmgen_build.errors import BuildError, HostError, UsageError
from vmgen_build.events import Bus, Note
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.model import Plan
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

MB = 1 << 20
EFI = "[hardware]\nvm_id = lab\nos = debian-12\nfirmware = efi\nnum_cpu = 2\nram = 768\n"
TWO = "[[hdds]]\n[[[a]]]\nsize = 4G\n[[[b]]]\nsize = 1G\n"
HOSTNAME = "[config]\nhostname = hal.example.org\n"


def planned(folder: Path, text: str = EFI + HOSTNAME) -> Plan:
    (folder / "r.ini").write_text(text)
    recipe = load(folder / "r.ini")
    return replace(make_plan(recipe, "kvm", backend_named("kvm").part(recipe, None)), epoch=1700000000)


def home(folder: Path) -> Disks:
    folder.mkdir()
    with (folder / "hdd0.img").open("wb") as file:
        file.truncate(8 * MB)
        os.pwrite(file.fileno(), b"begins" * 1000, 0)
        os.pwrite(file.fileno(), b"ends", 8 * MB - 4)
    return Disks((Disk("hdd0", folder / "hdd0.img"),))


def packed(folder: Path, plan: Plan, compression: str = "zstd") -> tuple[Written, ...]:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return FORMAT.pack(plan, home(folder / "home"), folder / "out", PackOptions(compression, "incus-vm"), Bus())


def values(text: str) -> dict[str, str]:
    """Scalars of the properties or options, all of JSON."""
    lines = [line.strip().split(": ", 1) for line in text.splitlines() if line.startswith("  ") and ": " in line]
    return {key: json.loads(value) for key, value in lines if value.startswith('"')}


def test_it_holds_the_disk_and_what_is_to_be_known_of_it(tmp_path: Path) -> None:
    """The order matters: a reader stops when it has seen both."""
    image, beside = packed(tmp_path, planned(tmp_path))
    assert (image.path.name, beside.path.name) == ("lab-amd64.incus-vm.tar.zst", "lab-amd64.incus-vm.yaml")
    assert [one.sha256 for one in (image, beside)] == [sha256_of(one.path) for one in (image, beside)]
    subprocess.run(["tar", "-C", tmp_path, "-xf", image.path], check=True)
    listed = subprocess.run(["tar", "-tf", image.path], capture_output=True, text=True, check=True).stdout.split()
    assert listed == ["metadata.yaml", "templates/hostname.tpl", "templates/hosts.tpl", "./", "./rootfs.img"]
    compared = ["qemu-img", "compare", "-f", "qcow2", "-F", "raw", tmp_path / "rootfs.img", tmp_path / "again.img"]
    home(tmp_path / "other").disks[0].path.rename(tmp_path / "again.img")
    assert "identical" in subprocess.run(compared, capture_output=True, text=True).stdout
    metadata = (tmp_path / "metadata.yaml").read_text()
    assert metadata.startswith('architecture: "x86_64"\ncreation_date: 1700000000\n')
    found = values(metadata)
    assert (found["os"], found["release"]) == ("Debian", "bookworm")
    assert (found["requirements.secureboot"], found["limits.memory"]) == ("false", "768MiB")
    assert (
        "127.0.1.1\t{{ instance.name }}.example.org {{ instance.name }}\n"
        in (tmp_path / "templates/hosts.tpl").read_text()
    )
    options = {"limits.cpu": "2", "limits.memory": "768MiB", "security.secureboot": "false"}
    assert values(beside.path.read_text()) == options


@pytest.mark.parametrize("compression", ["zstd", "xz", "gzip", "none"])
def test_two_are_the_same_bytes(tmp_path: Path, compression: str) -> None:
    plan = planned(tmp_path)
    once, again = (packed(tmp_path / name, plan, compression) for name in ("a", "b"))
    assert [one.sha256 for one in once] == [one.sha256 for one in again]
    words = ["tar", "--utc", "--numeric-owner", "-tvf", once[0].path]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split()[3] for line in lines} == {"2023-11-14"}
    assert [line.split()[:2] for line in lines if line.endswith("rootfs.img")] == [["-rw-r--r--", "0/0"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EFI.replace("efi", "bios"), r"r\.ini:4: \[hardware\] firmware: .*--format incus-vm write firmware = efi"),
        (EFI.replace("firmware = efi\n", ""), r"r\.ini:1: \[hardware\] firmware: .* write firmware = efi"),
        (
            EFI + "[[hdds]]\n[[[a]]]\nsize = 4G\n[[[b]]]\nsize = 1G\n",
            r"r\.ini:10: \[hardware\] \[\[hdds\]\] \[\[\[b\]\]\]: an",
        ),
    ],
    ids=["bios", "nothing said", "two disks"],
)
def test_what_incus_cannot_start_is_refused_at_its_line(tmp_path: Path, text: str, message: str) -> None:
    plan = planned(tmp_path, text)
    (problem,) = [one for one in FORMAT.problems(load(tmp_path / "r.ini"), plan) if one.severity == "error"]
    assert re.search(message, str(problem))


@pytest.mark.parametrize(
    ("system", "more", "messages"),
    [
        ("debian-13", "", ["write packages = incus-agent"]),
        ("debian-13", "[services]\nincus-agent = 1\n", []),
        ("debian-13", "[config]\npackages = htop, incus-agent\n", []),
        ("debian-13", "[config]\npackages = htop\n", ["write packages = htop, incus-agent"]),
        ("debian-12", "", ["write packages = lxd-agent"]),
        ("debian-12", "[services]\nincus-agent = 1\n", []),
        ("fedora-41", "", []),
        ("debian-13", "[[cds]]\n[[[cd0]]]\n[services]\nincus-agent = 1\n", ["so that this one is left out"]),
    ],
)
def test_what_a_machine_lacks_in_incus_is_a_warning(
    tmp_path: Path, system: str, more: str, messages: list[str]
) -> None:
    """Where the system has no agent, nothing can be written."""
    plan = planned(tmp_path, EFI.replace("debian-12", system) + more)
    found = FORMAT.problems(load(tmp_path / "r.ini"), plan)
    assert {one.severity for one in found} <= {"warning"} and len(found) == len(messages)
    assert all(one.text.endswith(end) for one, end in zip(found, messages, strict=True))


def test_a_warning_of_a_format_is_shown_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.ini").write_text(EFI + "[[cds]]\n[[[cd0]]]\n")
    texts: list[str] = []
    bus = Bus()
    bus.add(lambda event: texts.append(f"{event.level}: {event.text}") if isinstance(event, Note) else None)
    options = BuildOptions(cache=tmp_path / "cache", backends=("kvm",), formats=("incus-vm",), offline=True)
    assert dry_run(load(tmp_path / "r.ini"), options, bus)
    (line,) = [text for text in texts if "[[cds]]" in text]
    assert line.startswith("warning: ") and "r.ini:8: warning: [hardware] [[cds]] [[[cd0]]]: --format incus-vm" in line


def test_it_is_of_the_kvm_backend_alone(tmp_path: Path) -> None:
    (tmp_path / "r.ini").write_text(EFI)
    options = BuildOptions(cache=tmp_path / "cache", backends=("vmware",), formats=("incus-vm",))
    with pytest.raises(UsageError, match="it is made by -b kvm, and not by vmware"):
        dry_run(load(tmp_path / "r.ini"), options, Bus())


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    (tmp_path / "scratch").mkdir()
    return Boot(Bus(), tmp_path / "scratch", 1.0, "true")


def described(plan: Plan, files: tuple[Written, ...]) -> dict[str, object]:
    return manifest_of(plan, files, (), (), (), "incus-vm")


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_the_disk_is_read_back(tmp_path: Path, boot: Boot, compression: str) -> None:
    plan = planned(tmp_path)
    files = packed(tmp_path, plan, compression)
    manifest = described(plan, files)
    disk = _taken_out(files[0].path, manifest, machine_of_manifest(manifest), boot)
    assert disk.path.read_bytes() == home(tmp_path / "other").disks[0].path.read_bytes()
    assert [one.name for one in boot.scratch.iterdir()] == ["hdd0.raw"]


def test_a_file_that_was_changed_is_not_read(tmp_path: Path, boot: Boot) -> None:
    plan = planned(tmp_path)
    files = packed(tmp_path, plan)
    manifest = described(plan, files)
    files[0].path.write_bytes(files[0].path.read_bytes()[:-1] + b"?")
    with pytest.raises(HostError, match="is not the file that the manifest means"):
        _taken_out(files[0].path, manifest, machine_of_manifest(manifest), boot)


def test_a_disk_that_leads_out_is_refused(tmp_path: Path, boot: Boot) -> None:
    """A qcow2 image with a backing file, as a stranger may pack it."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", tmp_path / "rootfs.img", "1M"],
        check=True,
    )
    image = tmp_path / "lab-amd64.incus-vm.tar"
    subprocess.run(["tar", "-C", tmp_path, "-cf", image, "rootfs.img"], check=True)
    manifest = described(planned(tmp_path), (Written.of(image),))
    with pytest.raises(BuildError, match="leads to another file"):
        _taken_out(image, manifest, machine_of_manifest(manifest), boot)
