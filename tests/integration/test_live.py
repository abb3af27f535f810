"""A live image of a machine whose second disk is not there: as a stick and a CD, by BIOS and EFI."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.result import Disk
from vmgen_build.backends.formats.iso import on_a_stick
from vmgen_build.boots.model import Boot
from vmgen_build.boots.qemu.boot import booted_vm
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.machine import CdDrive, Machine
from vmgen_build.systems.model import SYSTEMD_UP

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = alive
os = debian-12
ram = 1024
    [[hdds]]
        [[[hdd0]]]
        [[[hdd1]]]
            size = 256M
            [[[[partitions]]]]
                [[[[[data]]]]]
                    size = rest
                    mount = /srv/data
[config]
hostname = alive
packages = live-boot
    [[files]]
        [[[unit]]]
            source = report.service
            dest = /etc/systemd/system/report.service
        [[[program]]]
            source = report
            dest = /usr/local/bin/report
            mode = 755
    [[scripts]]
        [[[enable]]]
            run = systemctl enable report.service
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = alesia
"""

UNIT = """\
[Unit]
After=network-online.target vmgen-grow.service vmgen-names.service
Wants=network-online.target
Before=serial-getty@ttyS0.service
[Service]
Type=oneshot
ExecStart=/usr/local/bin/report
[Install]
WantedBy=getty.target
"""

REPORT = """\
#!/bin/sh
{
    echo "root: $(findmnt -no FSTYPE /), $(findmnt -rno FSTYPE -t squashfs | sort -u)"
    echo "written: $(touch /usr/it && echo yes)"
    echo "user: $(id -un 1000) on $(hostname)"
    echo "failed: $(systemctl list-units --state=failed --no-legend --plain | cut -d ' ' -f 1)."
} > /dev/ttyS0
"""

SHOWN = ["root: overlay, squashfs", "written: yes", "user: ana on alive", "failed: ."]


@pytest.fixture(scope="module")
def image(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside a disk of the same build."""
    folder = tmp_path_factory.mktemp("live")
    for name, text in (("r.ini", RECIPE), ("report.service", UNIT), ("report", REPORT)):
        (folder / name).write_text(text)
    done = vmgen(folder / "r.ini", "-b", "kvm", "--format", "raw.zst", "--format", "iso", "-o", folder / "out")
    assert done.returncode == 0, done.stderr[-4000:]
    assert (folder / "out/alive-kvm-amd64.raw.zst").is_file()
    return folder / "out/alive-live-amd64.iso"


@pytest.mark.slow
def test_it_verifies_as_a_stick(vmgen: Run, image: Path) -> None:
    """To the login prompt alone: nothing can be asked there."""
    done = vmgen("verify", image)
    assert done.returncode == 0 and "live image" in done.stdout + done.stderr, done.stdout + done.stderr


def shown(machine: Machine, disks: list[Disk], scratch: Path, cds: dict[int, Path]) -> list[str]:
    """Of what it says at its console."""

    def console(bus: Bus) -> list[str]:
        with booted_vm(machine, disks, Boot(bus, scratch, 900.0, SYSTEMD_UP), cds):
            text = (scratch / "console").read_text(errors="replace")
            return [
                line.strip() for line in text.splitlines() if line.startswith(("root:", "written:", "user:", "failed:"))
            ]

    return run_isolated(console, Bus(), net=True)


@pytest.mark.slow
@pytest.mark.parametrize(("firmware", "medium"), [("efi", "stick"), ("bios", "cd")])
def test_it_runs_from_memory(image: Path, tmp_path: Path, firmware: str, medium: str) -> None:
    manifest = json.loads(image.with_name(f"{image.name}.manifest.json").read_text())
    machine = replace(on_a_stick(Machine.from_json(manifest["build_recipe"]["machine.json"])), firmware=firmware)
    if medium == "cd":
        machine = replace(machine, drives=(), cds=(CdDrive(name="cd0", image="alive.iso", connected=True),))
        assert shown(machine, [], tmp_path, {0: image}) == SHOWN
    else:
        assert shown(machine, [Disk("stick", image)], tmp_path, {}) == SHOWN
