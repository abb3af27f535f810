"""Incus of Debian 13: the container's image and the virtual machine's; a container is started, copied and asked."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.consumers.chroot import Refused
from tests.consumers.model import Images, Try
from tests.integration.instances import INCUS, LIMIT, Daemon, daemon

RECIPE = """\
[hardware]
vm_id = lab
os = debian-12
firmware = efi
num_cpu = 1
ram = 512
[config]
hostname = hal.example.org
[network]
    [[open_ports]]
        [[[ssh]]]
            port = 22
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
"""
IMAGE, OPTIONS, VM = "lab-lxd-amd64.tar.zst", "lab-lxd-amd64.yaml", "lab-amd64.incus-vm.tar.zst"


def tries(images: Images) -> Iterator[Try]:
    out = images.build(RECIPE, "-b", "lxc", "-b", "kvm", "--format", "lxd", "--format", "incus-vm")
    manifest = json.loads((out / f"{IMAGE}.manifest.json").read_text())
    with (
        tempfile.TemporaryDirectory(prefix="vmgen-incus-") as state,
        daemon(INCUS, images.chroots, out, Path(state)) as incus,
    ):
        program = f"Incus {incus.version()} (Debian 13)"
        for tried, wrong in _asked(incus, manifest):
            yield Try(program, tried, tuple(wrong))


def _asked(incus: Daemon, manifest: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "lxd: import", _answer(lambda: _imported(incus, IMAGE, "container"))
    yield "lxd: launch with the YAML beside it", _answer(lambda: _launched(incus))
    yield (
        "lxd: host name, limits, the recipe's probes",
        _answer(lambda: [*_named(incus, "one"), *_limited(incus, "one"), *incus.failing("one", manifest)]),
    )
    yield "lxd: copy under another name", _answer(lambda: _copied(incus))
    yield "incus-vm: import", _answer(lambda: _imported(incus, VM, "virtual-machine"))


def _answer(ask: Callable[[], list[str]]) -> list[str]:
    """What is wrong; what it refuses is one such thing."""
    try:
        return ask()
    except Refused as error:
        return [str(error)]


def _imported(incus: Daemon, image: str, kind: str) -> list[str]:
    found = incus.take(image, kind)
    properties = found["properties"]
    wanted = {"type": kind, "architecture": "x86_64", "os": "Debian", "release": "bookworm", "name": "lab"}
    wanted |= {"limits.cpu": "1", "limits.memory": "512MiB"}
    wanted |= {"requirements.secureboot": "false"} if kind == "virtual-machine" else {}
    seen = {**properties, "type": found["type"], "architecture": found["architecture"]}
    return _differing(wanted, seen)


def _launched(incus: Daemon) -> list[str]:
    incus.launch("container", "one", OPTIONS)
    state = incus.run("one", "systemctl is-system-running || systemctl --failed --plain --no-legend")
    return [] if state == "running" else [state]


def _copied(incus: Daemon) -> list[str]:
    incus.copied("one", "two")
    return [*_named(incus, "two"), *_limited(incus, "two")]


def _named(incus: Daemon, name: str) -> list[str]:
    wanted = {"hostname": name, "hostname -f": f"{name}.example.org", "cat /etc/hostname": name}
    return _differing(wanted, {script: incus.run(name, script) for script in wanted})


def _limited(incus: Daemon, name: str) -> list[str]:
    wanted = {"nproc": "1", LIMIT: str(512 << 20)}
    return _differing(wanted, {script: incus.run(name, script) for script in wanted})


def _differing(wanted: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    return [f"{key}: {seen.get(key)}, not {value}" for key, value in wanted.items() if seen.get(key) != value]
