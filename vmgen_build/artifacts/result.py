"""What comes out of a guest, to be packed by a backend: a tree of files, or a machine's disks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from vmgen_build.errors import BuildError


@dataclass(frozen=True, slots=True)
class Tree:
    """A root file system, to be read only. The folder that holds `root` is scratch space on the cache's disk. layers:
    what it is made of, the base first, then what overlayfs has of each step (its upperdir); none where that is not
    known."""

    root: Path
    layers: tuple[Path, ...] = ()

    @property
    def scratch(self) -> Path:
        return self.root.parent


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk's image in one file, that may be moved or removed. name: the drive's; format: as QEMU has it, "raw",
    "qcow2", "vmdk", "vpc" (VHD) or "vhdx"."""

    name: str
    path: Path
    format: str = "raw"


@dataclass(frozen=True, slots=True)
class Disks:
    """A machine's disks, one or more, in the order of its drives; the folder of the first is scratch space. nvram: what
    its firmware has kept, as VMware's products have it."""

    disks: tuple[Disk, ...]
    nvram: Path | None = None

    @property
    def scratch(self) -> Path:
        return self.disks[0].path.parent

    def linked(self, folder: Path) -> Disks:
        """The same files under other names, in a new folder beside them, so that these may be moved or removed. Raises
        BuildError."""
        try:
            folder.mkdir(mode=0o700)
            disks = tuple(replace(disk, path=_linked(disk.path, folder)) for disk in self.disks)
            return Disks(disks, _linked(self.nvram, folder) if self.nvram else None)
        except OSError as error:
            raise BuildError(f"cannot write {folder}: {error.strerror}") from error


def _linked(path: Path, folder: Path) -> Path:
    goal = folder / path.name
    os.link(path, goal)
    return goal


Result = Tree | Disks


def tree_of(result: Result, what: str) -> Tree:
    """The tree, for what is packed of nothing else: "an lxc image". Raises BuildError."""
    if isinstance(result, Tree):
        return result
    raise BuildError(f"{what} is made of a root file system, and this guest came home as disks; choose vmware or kvm")
