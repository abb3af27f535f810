"""LXD of Debian 12 takes the images and starts them: names, limits, and what the recipe asked for, inside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.chroot import PATH
from tests.integration.conftest import TEST_CACHES, Run
from tests.integration.instances import LIMIT, LXD, Daemon, daemon
from tests.unit.backends.test_incusvm import packed, planned

RECIPE = """\
[hardware]
vm_id = lab
os = debian-12
num_cpu = 1
ram = 384
[config]
hostname = hal.example.org
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
"""
IMAGE, OPTIONS = "lab-lxd-amd64.tar.zst", "lab-lxd-amd64.yaml"


@pytest.fixture(scope="module")
def images(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    (folder / "r.ini").write_text(RECIPE)
    done = vmgen(folder / "r.ini", "-o", folder / "out", "--format", "lxd")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out"


@pytest.fixture(scope="module")
def manifest(images: Path) -> Mapping[str, Any]:
    return dict(json.loads((images / f"{IMAGE}.manifest.json").read_text()))


@pytest.fixture(scope="module")
def lxd(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With two instances: one made from the image, and a copy of that one."""
    with daemon(LXD, TEST_CACHES / "consumers/chroots", images, tmp_path_factory.mktemp("lxd")) as running:
        running.take(IMAGE, "lab")
        running.launch("lab", "one", OPTIONS)
        running.copied("one", "two")
        yield running


def test_the_image_says_what_it_is(lxd: Daemon) -> None:
    (found,) = json.loads(lxd.client("image", "list", "lab", "--format", "json"))
    properties = found["properties"]
    assert (found["type"], found["architecture"]) == ("container", "x86_64")
    assert (properties["os"], properties["release"], properties["name"]) == ("Debian", "bookworm", "lab")
    assert (properties["limits.cpu"], properties["limits.memory"]) == ("1", "384MiB")


@pytest.mark.parametrize("name", ["one", "two"])
def test_an_instance_bears_its_own_name(lxd: Daemon, name: str) -> None:
    assert lxd.run(name, "hostname; cat /etc/hostname; hostname -f") == f"{name}\n{name}\n{name}.example.org"
    assert f"\n127.0.1.1\t{name}.example.org {name}\n" in lxd.run(name, "cat /etc/hosts")


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_limits_of_the_recipe_hold(lxd: Daemon, name: str) -> None:
    """By what the kernel says inside."""
    assert lxd.run(name, f"nproc; {LIMIT}") == f"1\n{384 << 20}"
    assert lxd.client("config", "get", name, "limits.memory").strip() == "384MiB"


@pytest.mark.parametrize("name", ["one", "two"])
def test_what_was_asked_for_is_there(lxd: Daemon, manifest: Mapping[str, Any], name: str) -> None:
    """LXD's DHCP gives the address, as the image asks for one."""
    assert lxd.run(name, "systemctl is-system-running || systemctl --failed --plain") == "running"
    assert lxd.failing(name, manifest) == []
    assert lxd.run(name, "ip -4 -o addr show dev eth0 scope global").count("inet ") == 1


CLIENT = """#!/bin/sh
exec nsenter --target {first} --all --root --wd -- env -i PATH={path} HOME=/root lxc "$@"
"""
"""LXD's client, where the daemon is."""


def test_the_tool_makes_another_of_the_same_image(
    lxd: Daemon, vmgen: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is there already, and so is not imported again. A name that is taken is refused."""
    (tmp_path / "lxc").write_text(CLIENT.format(first=lxd.inside.first, path=PATH))
    (tmp_path / "lxc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = vmgen("install", images / IMAGE, "--to", "incus", "--name", "four", "--start")
    assert (done.returncode, done.stdout) == (0, "installed; now: lxc exec four -- bash\n"), done.stderr
    assert lxd.run("four", "hostname") == "four"
    assert lxd.client("config", "get", "four", "limits.memory").strip() == "384MiB"
    again = vmgen("install", images / IMAGE, "--to", "incus", "--name", "four")
    assert again.returncode == 2 and "there is an instance 'four' already" in again.stderr


def test_the_machines_are_two(lxd: Daemon) -> None:
    """Each has its own id and host keys, when it was made from the image."""
    lxd.launch("lab", "three", OPTIONS)
    script = "cat /etc/machine-id"
    assert lxd.run("one", script) != lxd.run("three", script)


def test_none_of_lxc_s_own_configuration_gets_into_an_instance(lxd: Daemon) -> None:
    """A file `config` beside the root would be loaded by liblxc: its limits beside LXD's own, its network too."""
    there = lxd.inside.ask("ls", f"{LXD.state}/containers/one/").split()
    assert "rootfs" in there and "config" not in there


def test_a_virtual_machine_s_image_is_taken_as_one(lxd: Daemon, images: Path, tmp_path: Path) -> None:
    """It is started nowhere here: LXD wants vhost_vsock."""
    for one in packed(tmp_path, planned(tmp_path), "xz"):
        (images / one.path.name).write_bytes(one.path.read_bytes())
    found = lxd.take("lab-amd64.incus-vm.tar.xz", "machine")
    assert (found["type"], found["architecture"]) == ("virtual-machine", "x86_64")
    assert found["properties"]["requirements.secureboot"] == "false"
