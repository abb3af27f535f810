"""Boxes of one recipe for three providers: Vagrant takes each, its Ruby reads each Vagrantfile, and verify
boots the container.

`vagrant up` is not tried here: it wants bridges and daemons of the host's own (docs/formats.md has what was tried)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = boxed
os = debian-12
ram = 512
[config]
hostname = hal
[users]
    [[users]]
        [[[ana]]]
            name = ana
            sudo = nopasswd
"""

PROVIDERS = {"lxc": "lxc", "kvm": "libvirt", "vmware": "virtualbox"}
"""Backend -> whose box it makes."""


def built(vmgen: Run, out: Path) -> dict[str, str]:
    (out.parent / "r.ini").write_text(RECIPE)
    backends = [word for backend in PROVIDERS for word in ("-b", backend)]
    done = vmgen(out.parent / "r.ini", *backends, "--format", "box", "-o", out)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (out / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name.endswith(".box")}


@pytest.fixture(scope="module")
def out(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes") / "out"
    sums = built(vmgen, folder)
    assert sorted(sums) == sorted(f"boxed-{provider}-amd64.box" for provider in PROVIDERS.values())
    assert built(vmgen, folder.with_name("again")) == sums
    return folder


@pytest.mark.parametrize("provider", PROVIDERS.values())
def test_vagrant_takes_the_box(out: Path, tmp_path: Path, provider: str) -> None:
    """It goes by the provider that the box names, and is not asked for a project, whose provider has to run here."""
    home = os.environ | {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    box = out / f"boxed-{provider}-amd64.box"
    added = subprocess.run(["vagrant", "box", "add", "--name", "boxed", box], env=home, capture_output=True, text=True)
    assert added.returncode == 0, added.stdout + added.stderr
    listed = subprocess.run(["vagrant", "box", "list"], env=home, capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["boxed", f"({provider},", "0)"]
    with tarfile.open(box) as tar:
        text = tar.extractfile("Vagrantfile")
        assert text is not None
        (tmp_path / "Vagrantfile").write_bytes(text.read())
    read = subprocess.run(["ruby", "-wc", tmp_path / "Vagrantfile"], capture_output=True, text=True)
    assert (read.returncode, read.stdout, read.stderr) == (0, "Syntax OK\n", "")
    assert "config.ssh.username = 'ana'\n" in (tmp_path / "Vagrantfile").read_text()


def test_the_box_of_a_container_boots(vmgen: Run, out: Path) -> None:
    done = vmgen("verify", out / "boxed-lxc-amd64.box")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox"])
def test_the_box_of_a_machine_is_sound(vmgen: Run, out: Path, provider: str) -> None:
    done = vmgen("verify", "--no-boot", out / f"boxed-{provider}-amd64.box")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize(("provider", "backend"), [("libvirt", "kvm"), ("virtualbox", "vmware")])
def test_the_box_of_a_machine_holds_its_disk(
    vmgen: Run, out: Path, tmp_path: Path, provider: str, backend: str
) -> None:
    """That such a disk boots is seen in test_vm.py."""
    done = vmgen(out.parent / "r.ini", "-b", backend, "--format", "qcow2", "-o", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    (whole,) = tmp_path.glob("*.qcow2")
    with tarfile.open(out / f"boxed-{provider}-amd64.box") as tar, (tmp_path / "disk").open("wb") as disk:
        (name,) = [name for name in tar.getnames() if name.endswith((".img", ".vmdk"))]
        image = tar.extractfile(name)
        assert image is not None
        shutil.copyfileobj(image, disk)
    words = ["qemu-img", "compare", tmp_path / "disk", whole]
    compared = subprocess.run(words, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout + compared.stderr
