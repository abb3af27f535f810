"""A whole machine of a distribution other than Debian: made in containers, started in QEMU, and asked what it is.

The distribution is the tests' own, with Debian's kernel, dracut and GRUB (tests/distros/boot.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.distros.boot import boot_repository
from tests.distros.fedora import DISTRIBUTION
from tests.distros.lab import Lab
from tests.distros.repositories import routes
from tests.distros.server import mirror, port_of

Run = Callable[..., "subprocess.CompletedProcess[str]"]

MACHINE = """\
    ram = 512M
    [[hdds]]
        [[[hdd0]]]
            size = 3G
            controller = pvscsi
    [[eths]]
        [[[eth0]]]
            type = nat
"""


CONFIG = """\
    hostname = lab.example.org
    timezone = Europe/Bucharest
    keyboard = ro
[users]
    [[users]]
        [[[caesar]]]
            name = caesar
            passwd = alesia
            groups = wheel
            sudo = yes
"""
"""No services: firewalld and sshd's keys take an emulated processor minutes."""


@pytest.fixture(scope="module")
def lab(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    (updates,) = (path for path, repository in DISTRIBUTION.layout.items() if repository == "updates")
    paths = routes(cache, DISTRIBUTION) | {f"/fedora/{updates}/": boot_repository(cache, DISTRIBUTION)}
    with mirror(paths, port_of(cache)) as served:
        yield Lab(DISTRIBUTION, cache, served, tmp_path_factory.mktemp("fedora"))


@pytest.fixture(scope="module")
def ova(vmgen: Run, lab: Lab) -> Path:
    done = vmgen(lab.plain(CONFIG, name="fedora-machine", machine=MACHINE), "-b", "vmware", "-o", lab.folder / "out")
    assert done.returncode == 0, done.stderr[-4000:]
    return lab.folder / "out/fedora-machine.ova"


SETTINGS = {
    *("kernel", "boot-loader", "fstab", "consoles", "volume-hdd0-root", "eth0-hw-addr", "unit-vmgen-names.service"),
    *("hostname", "timezone", "keyboard", "user-caesar-sudo", "machine-id"),
}


def test_the_machine_boots_and_each_setting_holds(vmgen: Run, ova: Path) -> None:
    done = vmgen("verify", ova, "--json")
    probes = {e["probe"]: e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "probe"}
    failing = {name: e for name, e in probes.items() if e["outcome"] not in ("holds", "skipped")}
    assert (failing, done.returncode) == ({}, 0), done.stderr[-2000:]
    assert {name for name, e in probes.items() if e["outcome"] == "holds"} >= SETTINGS
