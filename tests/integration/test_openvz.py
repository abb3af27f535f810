"""OpenVZ without a host: a bundle is built, looked at by independent readers, and its root booted under lxc."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = Path(__file__).with_name("recipes") / "openvz.ini"
NAME = "4101-openvz-amd64.tar"
TEMPLATE = "debian-12-x86_64-4101.tar.gz"


@pytest.fixture(scope="module")
def bundle(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("openvz")
    done = vmgen(RECIPE, "-b", "openvz", "-o", out)
    assert done.returncode == 0, done.stderr[-3000:]
    subprocess.run(["tar", "-xf", out / NAME, "-C", out], check=True)
    return out / NAME


def test_every_setting_holds_in_the_booted_container(vmgen: Run, bundle: Path) -> None:
    done = vmgen("verify", bundle, "--json")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    found = {e["probe"]: e["outcome"] for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "probe"}
    holding = {name for name, outcome in found.items() if outcome == "holds"}
    assert set(found) - holding <= {"ram", "num_cpu"}, "limits that this host's cgroups do not set are skipped"
    asked = {"bundle", "conf", "template", "venet-192.168.41.2", "venet-route", "eth1-10.41.0.2", "eth2-dhcp"}
    assert asked | {"eth1-hw-addr", "unit-ssh.service", "openvz-packages"} <= holding


def test_the_same_bytes_each_time_and_nothing_to_do_the_second_time(vmgen: Run, bundle: Path) -> None:
    again = vmgen(RECIPE, "-b", "openvz", "-o", bundle.parent)
    assert again.returncode == 0 and "unchanged" in again.stdout
    before = hashlib.sha256(bundle.read_bytes()).hexdigest()
    bundle.unlink()
    packed = vmgen(RECIPE, "-b", "openvz", "-o", bundle.parent)
    assert packed.returncode == 0, packed.stderr[-3000:]
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() == before


def test_others_read_the_bundle(bundle: Path) -> None:
    folder = bundle.parent
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["gzip", "-t", folder / TEMPLATE], check=True)
    listed = subprocess.run(["tar", "-tzf", folder / TEMPLATE], capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    assert all(name.startswith("./") for name in names) and len(names) > 5000
    with tarfile.open(folder / TEMPLATE, "r:gz") as tar:
        members = {member.name: member for member in tar}
        tail = tar.extractfile("./etc/network/interfaces.tail")
        assert tail is not None and b"auto eth1" in tail.read()
    assert members["./usr/sbin/init"].issym() and members["./dev/null"].ischr()
    assert {"./usr/sbin/ifup", "./usr/sbin/ifconfig", "./proc", "./sys", "./run"} <= set(members)
    assert not [name for name in members if name.startswith(("./proc/", "./sys/", "./run/"))]
    assert not members["./etc/network"].uname, "owners by number alone"


def test_the_mount_script_joins_the_hosts_devices(bundle: Path, tmp_path: Path) -> None:
    """In a network namespace of its own, with one of the two bridges there, and devices that come late."""
    script = f"""
mount -t sysfs sysfs /sys; ip link set lo up; ip link add vmbr1 type bridge
VEID=4101 sh {bundle.parent}/4101.mount
for n in 1 2; do ip link add veth4101.$n type veth peer name peer$n; done
for try in 1 2 3 4 5 6; do sleep 1; ip link show veth4101.2 | grep -q ,UP && break; done; sleep 0.3
ip -o link show veth4101.1; ip -o link show veth4101.2
cd /proc/sys/net/ipv4; cat ip_forward conf/veth4101.1/proxy_arp conf/veth4101.2/forwarding
"""
    ran = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=30
    )
    first, second, *settings = ran.stdout.splitlines()
    assert "master vmbr1" in first and "UP" in first and "UP" in second, ran.stdout + ran.stderr
    assert settings == ["1", "1", "1"]


def test_a_system_without_a_base_is_compiled_and_refused(vmgen: Run, tmp_path: Path) -> None:
    recipe = RECIPE.parents[3] / "recipes/samples/thesis-openvz.ini"
    compiled = vmgen("compile", recipe, "-b", "openvz", "--offline", "-o", tmp_path / "out")
    assert compiled.returncode == 0, compiled.stderr
    names = {"123.conf", "INSTALL", "plan.json", "07-users.sh", "08-network.sh", "09-openvz.sh"}
    assert names <= set(os.listdir(tmp_path / "out"))
    built = vmgen(recipe, "-b", "openvz", "--offline", "-o", tmp_path)
    assert built.returncode == 1 and "no base system of fedora-14 for i386 was found" in built.stderr
