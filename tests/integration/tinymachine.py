"""A tiny Linux that starts in no time: Debian's kernel, and a script of ours as the whole of its system, in memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.integration.tinyroot import copy, make_root

PREFIX = "/boot/grub"

CONFIG = """\
set root=(hd0,msdos1)
linux /boot/vmlinuz console=ttyS0 quiet
initrd /boot/initrd
boot
"""

GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")


def unpacked(folder: Path, *packages: str) -> Path:
    """What these packages of Debian hold, in the folder."""
    subprocess.run(["apt-get", "-q", "download", *packages], cwd=folder, check=True, capture_output=True)
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        archive.unlink()
    return folder


def kernel_in(folder: Path) -> Path:
    """A folder with Debian's vmlinuz and lib/modules."""
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True)
    (package, *_) = re.findall(r"Depends: (linux-image-\S+)", depends.stdout)
    unpacked(folder, package)
    (version,) = (folder / "lib/modules").iterdir()
    subprocess.run(["depmod", "-b", folder, version.name], check=True)
    return folder


def make_initramfs(folder: Path, kernel: Path, script: str, drivers: Sequence[str], programs: Sequence[str]) -> Path:
    """script: the lines of its init, which finds the drivers as /modules/NAME, their order in /modules/order. programs:
    more than tinyroot.PROGRAMS."""
    root = make_root(folder / "root", script)
    for program in programs:
        found = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert found, program
        copy(Path(found).resolve(), root / "bin" / program)
        listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            copy(Path(library), root / library.lstrip("/"))
    (root / "init").symlink_to("sbin/init")
    (version,) = (kernel / "lib/modules").iterdir()
    order: dict[str, None] = {}
    for driver in drivers:
        show = ["modprobe", "-d", kernel, "-S", version.name, "--show-depends", driver]
        ran = subprocess.run(show, capture_output=True, text=True, check=True)
        order.update(dict.fromkeys(line.split()[1] for line in ran.stdout.splitlines() if line.startswith("insmod ")))
    (root / "modules").mkdir()
    for path in order:
        shutil.copy(path, root / "modules")
    (root / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    names = "\n".join(str(path.relative_to(root)) for path in [root, *sorted(root.rglob("*"))])
    image = folder / "initramfs"
    with image.open("wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=names.encode(), stdout=file, cwd=root, check=True)
    return image


def boot_tree(tree: Path, kernel: Path, initramfs: Path, folder: Path) -> Path:
    """A root file system that GRUB starts the kernel from, by a BIOS. folder: for what is downloaded."""
    grub = unpacked(folder, "grub-pc-bin") / "usr/lib/grub/i386-pc"
    goal = tree / "boot/grub/i386-pc"
    goal.mkdir(parents=True)
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    shutil.copy(image, tree / "boot/vmlinuz")
    shutil.copy(initramfs, tree / "boot/initrd")
    shutil.copy(grub / "boot.img", goal / "boot.img")
    (folder / "early.cfg").write_text(CONFIG)
    made = ["grub-mkimage", "-O", "i386-pc", "-d", grub, "-p", PREFIX, "-c", folder / "early.cfg"]
    subprocess.run([*made, "-o", goal / "core.img", *GRUB_MODULES], check=True)
    return tree
