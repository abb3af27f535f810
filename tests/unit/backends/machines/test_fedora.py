"""The machine's own steps for Fedora and its relatives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.backends.machines.parts import (
    BOOT,
    DISKS,
    ROOT,
    Recipes,
    early,
    files_of,
    late,
    probes_of,
    steps_of,
    uuid_of,
)
from vmgen_build.plan.machine import machine_of

FEDORA = "fedora-42-amd64"


def test_fedora_has_its_own_kernel_loader_and_menu(recipe: Recipes) -> None:
    made = recipe(f"[[hdds]]\n[[[h]]]\n[[[[partitions]]]]\n{BOOT}{ROOT.format(fs='btrfs')}", system=FEDORA)
    assert {"kernel-core", "grub2-pc-modules", "dracut", "btrfs-progs"} <= set(
        steps_of(made)["packages-machine"].packages
    )
    files = files_of(made)
    root = uuid_of(machine_of(made), "root")
    assert files["cmdline"] == f"root=UUID={root} ro console=tty0 console=ttyS0,115200\n"
    assert 'hostonly="no"' in files["dracut.conf"]
    assert "set blsdir=/loader/entries" in files["grub.cfg"] and "linux /vmlinuz " in files["grub.cfg"]
    assert files["early.cfg"].endswith("set prefix=($root)'/grub2'\n")
    assert "Before=NetworkManager.service" in files["vmgen-names.service"]
    script = steps_of(made)["machine"].script
    assert "grub2-mkimage" in script and "boot=''\n" in script


def test_a_kernel_need_not_have_each_driver_but_the_machines_own(recipe: Recipes) -> None:
    wanted = {"controller = pvscsi": "vmw_pvscsi", "": "mptspi v00001000d00000030", "type = sata": "ahci bc01sc06"}
    for disk, driver in wanted.items():
        script = steps_of(recipe(f"[[hdds]]\n[[[h]]]\n{disk}\n", system=FEDORA))["machine"].script
        assert f'check_driver "$kernel" {driver}' in script


@pytest.mark.parametrize("hardware", ["", DISKS, "firmware = efi"])
def test_every_script_of_fedora_is_clean_shell(recipe: Recipes, tmp_path: Path, hardware: str) -> None:
    (tmp_path / "x").write_text("x")
    files = "[[files]]\n[[[f]]]\nsource = x\ndest = /etc/dracut.conf\n"
    made = recipe(hardware, f"[config]\nkeyboard = de\n{files}", system=FEDORA)
    steps = [*early(made), *late(made)]
    assert "initramfs" in {step.name for step in steps} and "screen-keyboard" not in {step.name for step in steps}
    paths = []
    for number, script in enumerate([*(s.script for s in steps), *(p.script for p in probes_of(made))]):
        paths.append(tmp_path / f"{number}.sh")
        paths[-1].write_text(script)
        subprocess.run(["dash", "-n", paths[-1]], check=True)
    ran = subprocess.run(["shellcheck", "-s", "sh", *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
