"""A disk with a Windows of Wine on it, for machines of the stand-in; and the recipe that is built from it."""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from tests.integration.vsphere.standin.ground import run_roots
from tests.integration.vsphere.standin.wineguest import ACCOUNT
from tests.wine.prefix import LIBRARIES, TIMEOUT, Windows
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load

BUILTIN = {"system32": "x86_64-windows", "syswow64": "i386-windows"}
"""Folders of Windows, and where Wine has what it copies there."""

PACKED = """\
[hardware]
vm_id = lab
os = debian-12
[[hdds]]
[[[hdd0]]]
size = 400M
"""
"""The machine whose disks the stand-in packs: they hold a file system of Linux, with what Wine has of Windows on it."""


def make_windows(folder: Path, cache: Path) -> Windows:
    """With a prefix that says that it is a Windows 7."""
    made = Windows(folder)
    version = subprocess.run(["wine", "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    made.make(cache / f"{version}-win64")
    shutil.copy(made.folder / "stub.exe", made.path(r"C:\Windows\System32\fsutil.exe"))
    made._wine("winecfg", "-v", "win7")
    subprocess.run(["wineserver", "-k"], env=made.environment(), check=True, timeout=TIMEOUT)
    return made


def make_disk(made: Windows, folder: Path, user: str, password: str) -> Path:
    """Takes the prefix away. What Wine only copies is left out: links to its own files take the place of these."""
    tree = folder / "tree"
    (tree / "usr").mkdir(parents=True)
    made.prefix.rename(tree / "prefix")
    for name, own in BUILTIN.items():
        for file in (tree / "prefix/drive_c/windows" / name).rglob("*"):
            same = LIBRARIES / own / file.name
            if file.is_file() and not file.is_symlink() and same.exists() and filecmp.cmp(file, same, shallow=False):
                file.unlink()
                file.symlink_to(same)
    digest = hashlib.sha256(password.encode()).hexdigest()
    files = {
        ACCOUNT: json.dumps({"name": user, "sha256": digest}),
        "etc/fstab": "",
        "etc/os-release": "ID=wine\n",
        "boot/grub/i386-pc/boot.img": "\0" * 510 + "\x55\xaa",
        "boot/grub/i386-pc/core.img": "\0" * 1024,
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, "latin-1")
    (folder / "machine.json").write_text(packed_machine(folder).to_json())
    (folder / "out").mkdir()
    run_roots("pack", folder / "machine.json", 2**31, folder / "out", tree)
    shutil.rmtree(tree)
    return folder / "out" / "hdd0.vmdk"


def packed_machine(folder: Path) -> Machine:
    path = folder / "packed.ini"
    path.write_text(PACKED)
    return machine_of(load(path))
