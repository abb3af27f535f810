"""Virtual machines for real: built, looked at by independent readers, booted in QEMU on the devices of their recipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.vma import extract_vma
from vmgen_build.backends.kvm.pve import device, places
from vmgen_build.bases.diskimage import unpack_disk
from vmgen_build.events import Bus
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Image
from vmgen_build.plan.machine import Machine
from vmgen_build.store.cachedir import claim_cache

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPES = Path(__file__).parent / "recipes"


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ran(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """One call for two backends."""
    out = tmp_path_factory.mktemp("vm")
    done = vmgen(RECIPES / "vm.ini", "-b", "lxc", "-b", "vmware", "-o", out, "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    return out, events(done)


@pytest.fixture(scope="module")
def disks(built: tuple[Path, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("disks")
    ran("tar", "-C", folder, "-xf", built[0] / "vmtest.ova")
    return [folder / "system.vmdk", folder / "vmtest-hdd1.vmdk"]


def test_both_backends_stand_on_the_same_layers(built: tuple[Path, list[dict[str, Any]]]) -> None:
    """Up to the recipe's packages; then the machine has its kernel, and what is edited daily stands on that."""
    finished = [e for e in built[1] if e["event"] == "step-finished"]
    at = next(i for i, e in enumerate(finished) if e["step"] == "pack")
    lxc, vmware = ([(e["step"], e["id"], e["outcome"]) for e in part] for part in (finished[:at], finished[at + 1 :]))
    names = [step for step, _, _ in vmware]
    kernel = names.index("packages-machine")
    assert names[kernel - 1] == "packages-config", "the last of the recipe's packages"
    assert [(step, id) for step, id, _ in vmware[:kernel]] == [(step, id) for step, id, _ in lxc[:kernel]]
    assert {outcome for _, _, outcome in vmware[:kernel]} == {"cached"}
    assert names[kernel : kernel + 4] == ["packages-machine", "machine", "tools-vmware", "system"]
    assert not {id for _, id, _ in vmware[kernel:]} & {id for _, id, _ in lxc if id}


def test_another_host_name_makes_nothing_of_the_machine_anew(
    vmgen: Run, built: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    done = vmgen(RECIPES / "vm.ini", "-b", "vmware", "-o", tmp_path, "--json", "--set", "config.hostname=another")
    assert done.returncode == 0, done.stderr[-4000:]
    first, other = ({e["step"]: e for e in some if e["event"] == "step-finished"} for some in (built[1], events(done)))
    assert {other[step]["outcome"] for step in ("base", "packages-machine", "machine", "tools-vmware")} == {"cached"}
    assert first["system"]["id"] != other["system"]["id"] and first["machine"]["id"] == other["machine"]["id"]


def test_independent_readers_take_the_ova(built: tuple[Path, list[dict[str, Any]]], disks: list[Path]) -> None:
    source = ran("virt-v2v", "-i", "ova", built[0] / "vmtest.ova", "--print-source")
    assert "vmtest" in source and "2147483648" not in source
    for disk in disks:
        assert "No errors were found" in ran("qemu-img", "check", "-f", "vmdk", disk)
        assert "streamOptimized" in ran("vmdkinfo", disk).replace("Stream optimized", "streamOptimized")


def test_the_disks_of_an_ova_hold_what_its_manifest_lists(
    vmgen: Run, built: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Without the manifest, from file systems on two disks, as the root's fstab mounts them."""
    bare = tmp_path / "bare.ova"
    bare.hardlink_to(built[0] / "vmtest.ova")
    found = json.loads(vmgen("inspect", bare, "--packages", "--files", "--json").stdout)
    manifest = json.loads((built[0] / "vmtest.ova.manifest.json").read_text())
    assert found["packages"] == manifest["packages"] and found["host_name"] == ["vmtest"]
    assert "ana (uid 1000, /home/ana, /bin/bash)" in found["users"] and "ssh.service" in found["services"]
    files = {file["path"]: file for file in found["files"]}
    assert files["srv/data/lost+found"]["kind"] == files["var/lib/dpkg"]["kind"] == "dir"
    assert any(name.startswith("boot/vmlinuz-") for name in files)
    assert files["etc/shadow"]["mode"] == "0640" and files["usr/bin/sudo"]["mode"] == "4755"


def test_the_file_alone_is_checked_without_root(vmgen: Run, built: tuple[Path, list[dict[str, Any]]]) -> None:
    done = vmgen("verify", "--no-boot", built[0] / "vmtest.ova")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_machine_boots_and_every_setting_holds(vmgen: Run, built: tuple[Path, list[dict[str, Any]]]) -> None:
    before = (built[0] / "vmtest.ova").stat()
    done = vmgen("verify", built[0] / "vmtest.ova", "--json")
    probes = [e for e in events(done) if e["event"] == "probe"]
    bad = [(p["probe"], p["outcome"], p["found"]) for p in probes if p["outcome"] == "fails"]
    assert bad == [] and done.returncode == 0, done.stderr[-4000:]
    assert len(probes) > 25
    assert (built[0] / "vmtest.ova").stat() == before


def test_a_domain_for_kvm(vmgen: Run, tmp_path: Path) -> None:
    """That its qcow2 boots, and that every probe holds, is seen in test_qemuboot.py, on an enlarged disk."""
    done = vmgen(RECIPES / "efi.ini", "-b", "kvm", "-o", tmp_path, "--set", "hardware.firmware=bios")
    assert done.returncode == 0, done.stderr[-4000:]
    ran("virt-xml-validate", tmp_path / "efitest-kvm-amd64.xml", "domain")
    verified = vmgen("verify", "--no-boot", tmp_path / "efitest-kvm-amd64.qcow2")
    assert verified.returncode == 0, verified.stdout[-4000:] + verified.stderr[-2000:]


def test_an_archive_for_proxmox_is_the_same_each_time_and_holds_the_disk(vmgen: Run, tmp_path: Path) -> None:
    """No program of Debian's reads it: test_vma.py does so by its specification."""
    archives = [tmp_path / name / "vzdump-qemu-efitest-amd64.vma.zst" for name in ("0", "1")]
    for archive in archives:
        done = vmgen(RECIPES / "efi.ini", "-b", "kvm", "--format", "vma", "--format", "qcow2", "-o", archive.parent)
        assert done.returncode == 0, done.stderr[-4000:]
    assert sha256_of(archives[0]) == sha256_of(archives[1])
    verified = vmgen("verify", "--no-boot", archives[0])
    assert verified.returncode == 0, verified.stdout[-4000:] + verified.stderr[-2000:]
    manifest = json.loads(archives[0].with_name(f"{archives[0].name}.manifest.json").read_text())
    (place,) = places(Machine.from_json(manifest["build_recipe"]["machine.json"]))
    ran("zstd", "-q", "-d", archives[0], "-o", tmp_path / "plain.vma")
    with (tmp_path / "plain.vma").open("rb") as source:
        extract_vma(source, {device(place): (tmp_path / "disk.raw", 1 << 40)})
    found = ran("qemu-img", "compare", "-f", "raw", tmp_path / "disk.raw", tmp_path / "0/efitest-kvm-amd64.qcow2")
    assert "identical" in found


def test_an_efi_machine_boots_and_is_built_to_the_same_bytes(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    """Twice, with layers that were made apart: what was downloaded is shared, and the base (test_build.py)."""
    own = cache.parent / f"{cache.name}-again-{os.getpid()}"
    claim_cache(own)
    for name in ("downloads", "facts"):
        ran("cp", "-al", cache / name, own / name)
    try:
        sums = [efi_sums(vmgen, cache, tmp_path / "0", set())]
        (own / "layers").mkdir(mode=0o755)
        for layer in (path.parent for path in (cache / "layers").glob("*/meta.json")):
            if json.loads((layer / "meta.json").read_text())["name"] == "base":
                ran("cp", "-al", layer, own / "layers")
        sums.append(efi_sums(vmgen, own, tmp_path / "1", {"built"}))
    finally:
        shutil.rmtree(own)
    assert len(sums[0]) == 1 and sums[0] == sums[1]
    verified = vmgen("verify", tmp_path / "0" / "efitest.ova")
    assert verified.returncode == 0, verified.stdout[-4000:] + verified.stderr[-2000:]


def efi_sums(vmgen: Run, cache: Path, out: Path, outcomes: set[str]) -> list[str]:
    """Build, and see that it was packed anew; the lines of SHA256SUMS. outcomes: of all steps, where not empty."""
    done = vmgen(RECIPES / "efi.ini", "-b", "vmware", "-o", out, "--cache", cache, "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    finished = [e for e in events(done) if e["event"] == "step-finished"]
    assert finished[-1]["step"] == "pack" and finished[-1]["outcome"] == "built"
    assert not outcomes or {e["outcome"] for e in finished if e["step"] != "base"} == outcomes
    return [line for line in (out / "SHA256SUMS").read_text().splitlines() if line.endswith(".ova")]


def test_each_form_holds_the_same_disk_and_is_a_base_again(vmgen: Run, tmp_path: Path) -> None:
    for form in ("raw", "vmdk", "qcow2"):
        done = vmgen(RECIPES / "efi.ini", "-b", "vmware", "-o", tmp_path, "--format", form)
        assert done.returncode == 0, done.stderr[-4000:]
    here = Path("/proc/self/mounts").read_text()
    root = run_isolated(lambda _bus: base_of(tmp_path / "efitest.qcow2", tmp_path / "base"), Bus())
    assert (root / "etc/hostname").read_text() == "efitest\n"
    assert "linux-image" in (root / "var/lib/dpkg/status").read_text()
    assert list(root.glob("boot/vmlinuz-*")) and not list(root.glob("boot/efi/*"))
    assert Path("/proc/self/mounts").read_text() == here
    for form in ("vmdk", "qcow2"):
        compare = ["qemu-img", "compare", "-f", "raw", "-F", form]
        assert "identical" in ran(*compare, tmp_path / "efitest.raw", tmp_path / f"efitest.{form}")
    compared = vmgen("diff", tmp_path / "efitest.qcow2", tmp_path / "efitest.vmdk", "--files", "--json")
    groups = {json.loads(line)["group"] for line in compared.stdout.splitlines()}
    assert compared.returncode == 1 and groups <= {"image", "file"}, compared.stderr


def base_of(disk: Path, folder: Path) -> Path:
    """The root of the base that is made of a disk image."""
    folder.mkdir()
    unpack_disk(Image(disk, "qcow2", sha256_of(disk)), folder, folder / "root")
    return folder / "root"
