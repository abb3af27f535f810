"""What a file of others is, by what it holds: for people to read, never to decide how a program reads it.

First bytes: artifacts.compression has those of compressed files; QEMU's docs/interop/qcow2.txt; VMware's "Virtual Disk
Format 5.0"; [MS-VHDX] 2.2.1; the kernel's squashfs_fs.h; VMA of Proxmox VE (vma_spec.txt); ECMA-119, 8.4; of a disk the
signature of its boot record, or that of ext4 (the kernel's Documentation/filesystems/ext4/super.rst). A tar is known by
its first names.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, cast

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.tarstream import BLOCK, TarStream
from vmgen_build.errors import HostError
from vmgen_build.host.confined import filtering
from vmgen_build.host.regular import open_regular

TITLES = {
    "lxc": "an LXC container: root and configuration in a tar",
    "incus": "a container's image for Incus and LXD, in a tar",
    "incus-vm": "a machine's image for Incus and LXD, in a tar",
    "root": "a root file system in a tar",
    "oci": "a container's image in layers (OCI), in a tar",
    "box": "a box of Vagrant",
    "ova": "a virtual machine as an OVA",
    "openvz": "an OS template for OpenVZ and its configuration, in a tar",
    "tar": "a tar of files",
    "qcow2": "a disk as qcow2",
    "vmdk": "a disk as VMDK",
    "vhdx": "a disk as VHDX",
    "vhd": "a disk as VHD",
    "raw": "a raw disk",
    "iso": "an ISO image",
    "squashfs": "a squashfs image",
    "vma": "a virtual machine as an archive of Proxmox VE",
}
"""Name of a kind -> what it is, for people."""

WITH_ROOT = ("lxc", "incus", "root", "oci", "box", "openvz")
"""Kinds whose root file system is read as a stream."""

_MAGIC = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vhd",
    b"hsqs": "squashfs",
    b"sqsh": "squashfs",
    b"VMA\0": "vma",
}
_DISKS = ("qcow2", "vmdk", "vhdx", "vhd", "raw")
_RAW_NAMES = (".raw", ".img")
_ISO, _ISO_AT = b"CD001", 32769
_EXT, _EXT_AT = b"\x53\xef", 1080
_VHD_FOOTER = 512
_HEAD = 40_000
_LOOK = 32
"""Entries of a tar that are looked at."""
_ROOTS = {"bin", "etc", "usr", "var", "lib", "sbin", "dev", "boot"}
_LAYERS = ("oci-layout", "index.json", "manifest.json", "blobs", "repositories")


@dataclass(frozen=True, slots=True)
class Kind:
    """name: one of TITLES. compression: the method, "" for none."""

    name: str
    compression: str = ""

    @property
    def title(self) -> str:
        return f"{TITLES[self.name]}, {self.compression}" if self.compression else TITLES[self.name]

    @property
    def has_root(self) -> bool:
        return self.name in WITH_ROOT


def kind_of(path: Path) -> Kind | None:
    """None where it is nothing that is known here. Raises HostError where it cannot be read, or its compression not be
    undone on this host."""
    try:
        command = decompressor(path)
        with opened_plain(path) as plain:
            head = _read(plain, _HEAD)
            end = _last(plain) if command is None else b""
        found = _of_bytes(head, end)
        if found == "tar":
            with opened_plain(path) as plain:
                found = _of_names(_first_names(plain))
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    if not found:
        return None
    return Kind(found, command[0] if command else "")


@contextmanager
def opened_plain(path: Path) -> Iterator[IO[bytes]]:
    """The file's content as it is without its compression, which a confined program undoes. Raises OSError, and
    HostError where that program is not there."""
    command = decompressor(path)
    with open_regular(path) as file:
        if command is None:
            yield file
            return
        with TemporaryFile() as errors, filtering(command, file, errors) as plain:
            yield plain


def _of_bytes(head: bytes, end: bytes) -> str:
    """ "" for nothing that is known."""
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if found:
        return found
    if _is_tar(head[:BLOCK]):
        return "tar"
    if head[_ISO_AT : _ISO_AT + len(_ISO)] == _ISO:
        return "iso"
    if end.startswith(b"conectix"):
        return "vhd"
    return "raw" if head[510:512] == b"\x55\xaa" or head[_EXT_AT : _EXT_AT + len(_EXT)] == _EXT else ""


def form_of_disk(name: str, head: bytes) -> str:
    """The kind of a disk in a tar, "qcow2" or the like; "" for what is none. head: its first 2048 bytes."""
    kind = _of_bytes(head, b"")
    return kind if kind in _DISKS and (kind != "raw" or name.endswith(_RAW_NAMES)) else ""


def _last(file: IO[bytes]) -> bytes:
    """A VHD of a fixed size has what it is known by at its end."""
    file.seek(max(file.seek(0, os.SEEK_END) - _VHD_FOOTER, 0))
    return _read(file, _VHD_FOOTER)


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.TarError:
        return False
    return True


def _first_names(plain: IO[bytes]) -> list[str]:
    names: list[str] = []
    try:
        for entry in TarStream(plain).entries():
            names.append(plain_name(entry.name))
            if len(names) >= _LOOK:
                break
    except ValueError:
        pass
    return [name for name in names if name]


def plain_name(name: str) -> str:
    """Of an entry of a tar: "./etc/" as "etc", "." as ""."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _of_names(names: Sequence[str]) -> str:
    tops = {name.split("/")[0] for name in names}
    if names and names[0].lower().endswith(".ovf"):
        return "ova"
    if "rootfs.img" in tops and "metadata.yaml" in tops:
        return "incus-vm"
    if "rootfs" in tops:
        return "lxc" if "config" in tops else "incus"
    if "metadata.json" in tops or "Vagrantfile" in tops:
        return "box"
    if "INSTALL" in tops and any(name.endswith(".conf") for name in tops):
        return "openvz"
    if any(name in tops for name in _LAYERS) and not tops & _ROOTS:
        return "oci"
    return "root" if tops & _ROOTS else "tar"


def _read(file: IO[bytes], size: int) -> bytes:
    """All of it, unless the file is shorter."""
    data = b""
    while len(data) < size and (more := cast(BinaryIO, file).read(size - len(data))):
        data += more
    return data
