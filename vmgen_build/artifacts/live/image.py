"""A hybrid ISO image: the root as a squashfs, its kernel and initramfs, and GRUB for BIOS and EFI.

Where live-boot(7) looks: live/filesystem.squashfs. Options of xorriso: xorrisofs(1), "Bootable ISO images" and "System
area"; GRUB's part in them is that of grub-mkrescue(1).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.disk.tools import Tools
from vmgen_build.artifacts.live import loader
from vmgen_build.artifacts.progress import Progress
from vmgen_build.errors import BuildError
from vmgen_build.host.beneath import file_beneath
from vmgen_build.host.files import Written, is_full, no_room, whole_file
from vmgen_build.host.pipeline import pipeline

SQUASHFS = "live/filesystem.squashfs"
FSTAB = "etc/fstab"
_FSTAB = "# A live system, by vmgen-build: live-boot(7) mounts what it needs.\n"
_CHUNK = 1 << 20

_GPT_ESP = "28732ac11ff8d211ba4b00a0c93ec93b"
"""GUID of an EFI system partition, in the order of bytes in which xorriso takes it."""

_GPT_DATA = "a2a0d0ebe5b9334487c068b6b72699c7"

_CONFIG = """\
# Written by vmgen-build.
set default=0
set timeout=2
if serial --unit=0 --speed=115200; then
    terminal_input console serial
    terminal_output console serial
fi
menuentry '{title}' --id vmgen {{
    linux /live/vmlinuz {arguments}
    initrd /live/initrd.img
}}
menuentry '{title} (from memory alone: the medium may be taken out)' --id vmgen-toram {{
    linux /live/vmlinuz {arguments} toram
    initrd /live/initrd.img
}}
"""


@dataclass(frozen=True, slots=True)
class LiveContent:
    """root: of the tree, which is only read. title: of the menu. kernel, initrd: paths in the root. arguments: of the
    kernel. empty: folders whose content stays out. ident: names a file by which GRUB finds its medium. firmwares: of
    "bios" and "efi". epoch: seconds; no file is younger."""

    root: Path
    title: str
    kernel: str
    initrd: str
    arguments: str
    empty: tuple[str, ...]
    ident: str
    firmwares: tuple[str, ...]
    epoch: int


def write_live(
    goal: Path, content: LiveContent, compression: Compression, scratch: Path, progress: Progress | None = None
) -> Written:
    """The same bytes each time. scratch: where a temporary folder may be made. progress: of the squashfs.

    Raises BuildError where the root has no kernel, or a tool fails, HostError; then there is no new file.
    """
    with tempfile.TemporaryDirectory(prefix="vmgen-live-", dir=scratch) as name:
        folder = Path(name)
        tools = Tools(folder, content.epoch, progress)
        tree = folder / "tree"
        try:
            _fill(tree, content)
            _squash(tree / SQUASHFS, content, compression, tools)
            boot = loader.make(tree, folder, content.ident, content.firmwares, tools)
            return _master(goal, tree, content, boot, tools)
        except OSError as error:
            if is_full(error):
                raise no_room(goal, sum(one.stat().st_size for one in tree.rglob("*")), at_most=True) from error
            raise BuildError(f"cannot write {goal}: {error.strerror}") from error


def volume_id(title: str) -> str:
    """Of ISO 9660: 32 characters of A to Z, 0 to 9 and _."""
    return re.sub(r"[^A-Z0-9]+", "_", title.upper())[:32].strip("_") or "LIVE"


def _fill(tree: Path, content: LiveContent) -> None:
    for folder in ("live", "boot/grub", ".disk"):
        (tree / folder).mkdir(parents=True)
    for source, goal in ((content.kernel, "vmlinuz"), (content.initrd, "initrd.img")):
        try:
            with file_beneath(content.root, source) as file, (tree / "live" / goal).open("wb") as copy:
                shutil.copyfileobj(file, copy, _CHUNK)
        except FileNotFoundError as error:
            raise BuildError(f"the image has no /{source}, and a live image starts by it") from error
    title = re.sub(r"[^A-Za-z0-9 ._-]+", "-", content.title)
    (tree / "boot/grub/grub.cfg").write_text(_CONFIG.format(title=title, arguments=content.arguments))
    (tree / ".disk" / content.ident).write_text(f"{title}\n")


def _squash(goal: Path, content: LiveContent, compression: Compression, tools: Tools) -> None:
    """mksquashfs(1): SOURCE_DATE_EPOCH is the time of the file system, and bounds those of files. "F" is a file of a
    given time that a command writes: it stands in place of the root's fstab, whose partitions are not there. live-boot
    adds lines of its own to it."""
    (tools.folder / "fstab").write_text(_FSTAB)
    fstab = ["-p", f"{FSTAB} F {tools.epoch} 644 0 0 cat fstab"]
    if compression.method == "none":
        how = ["-noI", "-noD", "-noF", "-noX"]
    else:
        level = [] if compression.method == "xz" else ["-Xcompression-level", str(compression.level)]
        how = ["-comp", compression.method, *level]
    empty = [word for folder in content.empty for word in (f"{folder}/*", f"{folder}/.*")]
    tools.images.append(goal)
    goal.touch()
    command: list[str | Path] = ["mksquashfs", content.root.absolute(), goal, "-noappend", "-quiet", "-no-progress"]
    tools.run([*command, "-xattrs", *how, *fstab, "-wildcards", "-e", FSTAB, *empty])


def _master(goal: Path, tree: Path, content: LiveContent, boot: loader.Boot, tools: Tools) -> Written:
    command: list[str | Path] = ["xorrisofs", "--no_rc", "-quiet", "-iso-level", "3", "-R", "-J", "-joliet-long"]
    command += ["-V", volume_id(content.title), "--set_all_file_dates", f"={tools.epoch}", "-uid", "0", "-gid", "0"]
    command += ["-partition_offset", "16"]
    if boot.bios:
        command += ["--grub2-mbr", boot.mbr, "-b", boot.bios, "-no-emul-boot"]
        command += ["-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info"]
    if boot.efi is not None:
        command += ["-append_partition", "2", _GPT_ESP, boot.efi, "-appended_part_as_gpt"]
        command += ["-iso_mbr_part_type", _GPT_DATA, *(["-eltorito-alt-boot"] if boot.bios else [])]
        command += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]
    digest, size = hashlib.sha256(), 0
    with whole_file(goal) as file, pipeline({"xorrisofs": [*command, tree]}, env=tools.environment()) as running:
        for chunk in iter(partial(running.output.read, _CHUNK), b""):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        if failure := running.failure():
            raise BuildError(f"packing failed: {failure}")
    return Written(goal, size, digest.hexdigest())
