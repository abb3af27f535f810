"""An image for clouds: booted without a seed, and with one that sets it up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.result import Disk
from vmgen_build.boots.model import Boot
from vmgen_build.boots.qemu.boot import booted_vm
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.machine import CdDrive, Machine
from vmgen_build.systems.model import SYSTEMD_UP

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = clouded
os = debian-12
ram = 1024
[config]
hostname = clouded
packages = cloud-init, openssh-server
"""

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ana@example.org"
SEED = {
    "meta-data": "instance-id: i-0001\nlocal-hostname: seeded\n",
    "user-data": "#cloud-config\nusers:\n- name: ana\n  uid: 1500\n  ssh_authorized_keys: ['" + KEY + "']\n"
    "write_files:\n- path: /etc/from-the-seed\n  content: salve\n",
}
"""https://cloudinit.readthedocs.io, "NoCloud"."""

QUESTIONS = {
    "status": "cloud-init status --wait",
    "source": "cloud-id",
    "hostname": "hostname",
    "user": "id -u ana",
    "key": "cat /home/ana/.ssh/authorized_keys",
    "file": "cat /etc/from-the-seed",
    "failed": "systemctl list-units --state=failed --no-legend",
    "lease": "ip -4 -o addr show dev eth0 scope global",
}


@pytest.fixture(scope="module")
def image(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cloud")
    (folder / "r.ini").write_text(RECIPE)
    sums = []
    for out in (folder / "again", folder / "out"):
        done = vmgen(folder / "r.ini", "-b", "kvm", "--format", "cloud", "-o", out)
        assert done.returncode == 0, done.stderr[-4000:]
        sums.append([line for line in (out / "SHA256SUMS").read_text().splitlines() if line.endswith(".qcow2")])
    assert sums[0] == sums[1] and len(sums[0]) == 1
    return folder / "out/clouded-cloud-amd64.qcow2"


def test_one_compressed_disk(image: Path) -> None:
    checked = subprocess.run(["qemu-img", "check", "--output=json", "-f", "qcow2", image], capture_output=True)
    found = json.loads(checked.stdout)
    assert found["compressed-clusters"] > found["allocated-clusters"] // 2


@pytest.mark.slow
def test_without_a_seed_it_boots_as_the_recipe_says(vmgen: Run, image: Path) -> None:
    done = vmgen("verify", image)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_seed_sets_it_up(image: Path, tmp_path: Path) -> None:
    manifest = json.loads(image.with_name(f"{image.name}.manifest.json").read_text())
    machine = Machine.from_json(manifest["build_recipe"]["machine.json"])
    machine = replace(machine, cds=(CdDrive(name="seed", image="seed.iso", connected=True),))
    (tmp_path / "seed").mkdir()
    for name, text in SEED.items():
        (tmp_path / "seed" / name).write_text(text)
    seed, scratch = tmp_path / "seed.iso", tmp_path / "scratch"
    words: list[str | Path] = ["genisoimage", "-quiet", "-output", seed, "-volid", "CIDATA", "-joliet", "-rock"]
    subprocess.run([*words, tmp_path / "seed"], check=True)
    scratch.mkdir()

    def asked(bus: Bus) -> dict[str, str]:
        boot = Boot(bus, scratch, 900.0, SYSTEMD_UP)
        with booted_vm(machine, [Disk("hdd0", image, "qcow2")], boot, {0: seed}) as booted:
            ran = {name: booted.communicator.run(script, 300.0) for name, script in QUESTIONS.items()}
            return {name: one.out.strip() for name, one in ran.items()}

    found = run_isolated(asked, Bus(), net=True)
    assert "done" in found["status"] and found["source"] == "nocloud"
    assert (found["hostname"], found["user"], found["key"], found["file"]) == ("seeded", "1500", KEY, "salve")
    assert found["failed"] == "" and "inet " in found["lease"]
