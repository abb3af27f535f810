"""An OVA and a VMX file as other programs read it, and a disk that has no room for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.ova import check_ova, write_ova
from vmgen_build.artifacts.ovf.nvram import with_nvram
from vmgen_build.artifacts.ovf.write import OvfFile, descriptor
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.artifacts.vmx import vmx
from vmgen_build.backends.machines.setupdrives import with_media
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load

RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
num_cpu = 2
ram = 768
firmware = efi
[[hdds]]
[[[system]]]
size = 512M
controller = pvscsi
[[[data]]]
size = 20M
scsi_index = 1
[[[more]]]
size = 10M
type = ide
[[cds]]
[[[cd0]]]
[[eths]]
[[[eth0]]]
adapter = vmxnet3
hw_addr = 00:16:3e:12:34:56
[[[eth1]]]
type = bridged
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Written]]:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "lab.ini").write_text(RECIPE)
    machine = machine_of(load(folder / "lab.ini"))
    files, described = [], []
    for drive in machine.drives:
        assert drive.size is not None
        raw = folder / f"{drive.name}.raw"
        with raw.open("wb") as file:
            file.write(os.urandom(1 << 20))
            file.truncate(drive.size)
        files.append(write_vmdk(raw, folder / drive.file))
        described.append(OvfFile(drive.file, files[-1].size, drive.size))
    return descriptor(machine, described), files


def read_by_v2v(path: Path) -> subprocess.CompletedProcess[str]:
    command = ["virt-v2v", "-i", path.suffix[1:], str(path), "--print-source"]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})


@pytest.mark.parametrize("digest", ["sha256", "sha1"])
def test_virt_v2v_reads_it(parts: tuple[str, list[Written]], tmp_path: Path, digest: str) -> None:
    text, files = parts
    done = read_by_v2v(write_ova(tmp_path / "lab.ova", text, files, epoch=1700000000, digest=digest).path)
    assert done.returncode == 0, done.stderr
    lines = {line.strip() for line in done.stdout.splitlines()}
    assert {"source name: lab", "nr vCPUs: 2", "firmware: uefi"} <= lines, done.stdout
    assert f"memory: {768 << 20} (bytes)" in lines
    for words in ("[scsi]", "[ide]", "CD-ROM", '"NAT"', '"bridged"'):
        assert words in done.stdout, done.stdout


def test_virt_v2v_reads_one_with_a_machine_s_nvram(parts: tuple[str, list[Written]], tmp_path: Path) -> None:
    text, files = parts
    (tmp_path / "lab.nvram").write_bytes(b"MRVN" + bytes(75_000))
    nvram = Written.of(tmp_path / "lab.nvram")
    text = with_nvram(text, OvfFile("lab.nvram", nvram.size), len(files) + 1)
    made = write_ova(tmp_path / "lab.ova", text, [*files, nvram], epoch=1700000000).path
    assert check_ova(made).findings == ()
    done = read_by_v2v(made)
    assert done.returncode == 0 and "firmware: uefi" in done.stdout, done.stderr


def test_virt_v2v_refuses_a_damaged_one(parts: tuple[str, list[Written]], tmp_path: Path) -> None:
    """So that the test above can fail."""
    text, files = parts
    path = write_ova(tmp_path / "lab.ova", text, files, epoch=1700000000).path
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"damage")
    assert read_by_v2v(path).returncode != 0


def test_virt_v2v_reads_the_vmx(parts: tuple[str, list[Written]], tmp_path: Path) -> None:
    folder = parts[1][0].path.parent
    machine = machine_of(load(folder / "lab.ini"))
    vmx_file = folder / "lab.vmx"
    vmx_file.write_text(vmx(machine))
    done = read_by_v2v(vmx_file)
    assert done.returncode == 0, done.stderr
    found = [line.strip() for line in done.stdout.splitlines()]
    assert {"source name: lab", "nr vCPUs: 2", "firmware: uefi", f"memory: {768 << 20} (bytes)"} <= set(found)
    disks, media, nics = (found.index(word) for word in ("disks:", "removable media:", "NICs:"))
    assert found[disks + 1 : media] == ["0 [scsi]", "1 [scsi]", "2 [ide]"]
    assert found[media + 1 : nics] == ["CD-ROM [ide] in slot 2"]
    assert [line.partition(" [")[2] for line in found[nics + 1 : nics + 3]] == ["vmxnet3]", "e1000]"]
    vmx_file.write_text(vmx(replace(machine, drives=machine.drives[:1])))
    assert "1 [scsi]" not in read_by_v2v(vmx_file).stdout


def test_virt_v2v_reads_the_vmx_of_a_windows_before_its_setup(tmp_path: Path) -> None:
    (tmp_path / "lab.ini").write_text("[hardware]\nvm_id = lab\nos = winxppro\n[[cds]]\n[[[cd0]]]\n")
    recipe = load(tmp_path / "lab.ini")
    drives = with_media(recipe, machine_of(recipe))
    [disk] = drives.machine.drives
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / disk.file, "3G"], check=True)
    (tmp_path / "lab.vmx").write_text(vmx(drives.machine, drives.first))
    done = read_by_v2v(tmp_path / "lab.vmx")
    assert done.returncode == 0, done.stderr
    found = [line.strip() for line in done.stdout.splitlines()]
    assert {"source name: lab", "firmware: bios", "0 [ide]"} <= set(found)
    assert [line for line in found if line.startswith("CD-ROM")] == [f"CD-ROM [ide] in slot {n}" for n in (1, 2, 3)]


@pytest.fixture()
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_reported_with_numbers_and_keeps_what_was_there(
    parts: tuple[str, list[Written]], small: Path
) -> None:
    text, files = parts
    (small / "lab.ova").write_text("old")
    with pytest.raises(HostError, match=r"the disk of .* is full: .* are free, and lab.ova needs 3\.\d MB; make room"):
        write_ova(small / "lab.ova", text, files, epoch=1700000000)
    assert [(path.name, path.read_text()) for path in small.iterdir()] == [("lab.ova", "old")]
