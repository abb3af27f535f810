"""What libvirt's daemon makes of a domain: defined, started without KVM, asked, defined again, shut down, forgotten."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.libvirtd import Libvirt, libvirt, waited

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = Path(__file__).parent / "recipes/efi.ini"
NAME = "efitest"
SWITCH = """sed 's/type="kvm"/type="qemu"/' """
"""The line that stands in docs/using-images.md."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Libvirt]:
    folder = Path(tempfile.mkdtemp(prefix="lv", dir="/tmp"))
    try:
        with libvirt(folder) as one:
            yield one
        assert_nothing_left(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def domain(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest machine that boots by EFI."""
    return built(vmgen, tmp_path_factory.mktemp("domain"))


def built(vmgen: Run, out: Path, *more: str) -> Path:
    done = vmgen(RECIPE, "-b", "kvm", "-o", out, *more)
    assert done.returncode == 0, done.stderr[-4000:]
    return out / f"{NAME}-kvm-amd64.xml"


def without_kvm(domain: Path) -> str:
    return subprocess.run(f"{SWITCH}{domain}", shell=True, capture_output=True, text=True, check=True).stdout


def addresses(daemon: Libvirt) -> str:
    """Of its adapter, as its agent says; "" before it answers."""
    return daemon.tried("domifaddr", NAME, "--source", "agent", "--interface", "eth0").stdout


def state(daemon: Libvirt) -> str:
    return daemon.virsh("domstate", NAME)


def test_the_switch_stands_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs/using-images.md").read_text()
    assert f"{SWITCH}output/lab-kvm-amd64.xml | virsh define /dev/stdin" in page


def test_a_host_without_kvm_says_so(daemon: Libvirt, domain: Path) -> None:
    done = daemon.tried("define", domain)
    assert done.returncode != 0 and "does not support virt type 'kvm'" in done.stderr, done.stderr


def test_virt_managers_own_programs_read_the_same_file(daemon: Libvirt, domain: Path) -> None:
    """virt-xml has virt-manager's parser of domains; virt-install takes the disk, and makes a domain of its own."""
    changed = ["virt-xml", "--connect", daemon.address, "--edit", "--memory", "2048"]
    text = subprocess.run(changed, input=domain.read_text(), capture_output=True, text=True, check=True).stdout
    before, after = ET.fromstring(domain.read_text()), ET.fromstring(text)
    assert after.findtext("memory") == "2097152" and after.findtext("uuid") == before.findtext("uuid")
    shutil.copy(domain.with_suffix(".qcow2"), daemon.images)
    disk = f"path=/var/lib/libvirt/images/{domain.stem}.qcow2,bus=scsi"
    command = ["virt-install", "--connect", daemon.address, "--import", "--name", "other", "--memory", "1024"]
    command += ["--disk", disk, "--osinfo", "linux2020", "--boot", "uefi", "--virt-type", "qemu", "--print-xml"]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert ET.fromstring(made.stdout).find("devices/disk/driver").attrib["type"] == "qcow2"  # type: ignore[union-attr]


def test_the_tool_installs_it_under_another_name_beside_itself(daemon: Libvirt, domain: Path) -> None:
    """Of the type that this host has; twice under one name is refused, and what fails leaves nothing."""
    words = (sys.executable, "-m", "vmgen_build", "install", domain.with_suffix(".qcow2"), "--to", "libvirt")

    def install(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(daemon.inside(*words, *more), capture_output=True, text=True, stdin=subprocess.DEVNULL)

    daemon.virsh("net-start", "default")
    done = install("--name", "desk7", "--start")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "installed; now: virsh console desk7\n"
    assert daemon.virsh("domstate", "desk7") == "running"
    defined, given = ET.fromstring(daemon.virsh("dumpxml", "desk7")), ET.fromstring(domain.read_text())
    assert defined.attrib["type"] == "qemu"
    for path in ("uuid", "devices/interface/mac[@address]"):
        one, other = defined.find(path), given.find(path)
        assert one is not None and other is not None and (one.text, one.attrib) != (other.text, other.attrib)
    again = install("--name", "desk7")
    assert again.returncode == 2 and "there is a domain 'desk7' already" in again.stderr
    daemon.virsh("destroy", "desk7")
    daemon.virsh("undefine", "--nvram", "desk7")
    lies_there = install("--name", "desk7")
    assert lies_there.returncode == 2 and "desk7-kvm-amd64.qcow2 already" in lies_there.stderr
    (daemon.images / "desk7-kvm-amd64.qcow2").unlink()
    daemon.virsh("net-destroy", "default")
    assert (
        not [path for path in daemon.images.iterdir() if "desk7" in path.name]
        and daemon.virsh("list", "--all", "--name") == ""
    )


@pytest.mark.slow
def test_it_starts_without_kvm_answers_and_is_defined_again(
    daemon: Libvirt, vmgen: Run, domain: Path, tmp_path: Path
) -> None:
    """From the first to the last command of docs/using-images.md. Its agent tells its name, and the address that the
    network "default" gave it."""
    shutil.copy(domain.with_suffix(".qcow2"), daemon.images)
    daemon.virsh("net-start", "default")
    daemon.virsh("define", "/dev/stdin", text=without_kvm(domain))
    daemon.virsh("start", NAME)
    assert waited(lambda: " 192.168.122." in addresses(daemon), 900), "no agent answers"
    assert daemon.virsh("domhostname", NAME, "--source", "agent") == NAME
    again = built(vmgen, tmp_path, "--set", "hardware.num_cpu=2")
    daemon.virsh("define", "/dev/stdin", text=without_kvm(again))
    daemon.virsh("shutdown", NAME)
    assert waited(lambda: state(daemon) == "shut off", 300)
    assert "CPU(s):         2" in daemon.virsh("dominfo", NAME)
    assert daemon.tried("undefine", NAME).returncode != 0, "it has an nvram"
    daemon.virsh("undefine", "--nvram", NAME)
    assert daemon.virsh("list", "--all", "--name") == ""
