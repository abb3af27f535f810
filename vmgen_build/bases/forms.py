"""What a file or folder of others holds a root file system as: the one place that knows.

A disk image is known by its name alone, since a guest writes what a raw one holds. Everything else is known by its
first bytes: artifacts.compression has those of compressed files, the kernel's squashfs_fs.h that of a squashfs, and
POSIX.1-2001 a tar's; folders by the file oci-layout of the OCI's image-spec, or by the names that lxc's and Incus'
images have.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.bases.oci.layout import manifest_digest
from vmgen_build.bases.oci.names import LAYOUT_MARK, is_of_an_image
from vmgen_build.errors import VmgenError
from vmgen_build.host.confined import filtering
from vmgen_build.host.files import sha256_of
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.bases import Image, OciImage, Root, Squashfs, Tarball

_DISKS = {".qcow2": "qcow2", ".vmdk": "vmdk", ".raw": "raw", ".img": "raw"}
_DISK_MAGIC = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"# Disk DescriptorFile": "vmdk"}
_MACHINES = {**_DISKS, ".ova": "ova"}
"""What a whole machine may come as."""

_SQUASHFS = (b"hsqs", b"sqsh")
_LXC = ("rootfs.tar.xz", "root.tar.xz", "rootfs.tar.zst", "rootfs.tar.gz", "rootfs.tar", "rootfs.squashfs")
"""What lxc's and Incus' images in two files have the root in; beside it lies meta.tar.xz or metadata.yaml."""

_LOOK = 8
"""Entries of a tar that are looked at to tell an image of layers from a root."""

_KNOWN = (
    "a tar of a root (gzip, bzip2, xz, zstd or lz4), a squashfs, a disk named .qcow2, .vmdk or .raw, an OCI layout or"
    " archive, and an lxc image are"
)


def form_of(path: Path) -> type[Root]:
    """Raises ValueError that says what is wrong with it, OSError where it cannot be read."""
    if path.is_dir():
        if (path / LAYOUT_MARK).is_file():
            return OciImage
        raise ValueError(f"{path} is a folder, and neither an OCI layout nor an lxc image; pack a root with tar")
    with open_regular(path) as file:
        head = file.read(512)
    if path.suffix.lower() == ".ova":
        raise ValueError(
            f"{path} is a whole machine, which is started as it is with --host qemu: and [hardware] login or"
            " communicator (docs/machines.md); for what it holds alone, name its disk"
        )
    if path.suffix.lower() in _DISKS:
        _check_disk(path, head)
        return Image
    if head.startswith(_SQUASHFS):
        return Squashfs
    if found := next((form for magic, form in _DISK_MAGIC.items() if head.startswith(magic)), None):
        raise ValueError(f"{path} is a disk image of the form {found}; name it {path.stem}.{found}, to have it read so")
    return OciImage if is_of_an_image(_first_names(path)) else Tarball


def file_of(path: Path) -> Path:
    """Where the root lies: the folder of an lxc image has a file for it, all else is what it is."""
    names = [name for name in _LXC if (path / name).is_file()] if path.is_dir() else []
    return path / names[0] if names else path


def root_at(path: Path, arch: str, sha256: str = "") -> Root:
    """The root of a file or folder, with its digest. arch: in Debian's words. sha256: of the file, where it is known.

    Raises ValueError, OSError as `form_of`.
    """
    form = form_of(path)
    if form is OciImage and path.is_dir():
        return OciImage(path, manifest_digest(path, arch), arch)
    digest = sha256 or sha256_of(path)
    if form is OciImage:
        return OciImage(path, digest, arch)
    if form is Image:
        return Image(path, _DISKS[path.suffix.lower()], digest)
    return Squashfs(path, digest) if form is Squashfs else Tarball(path, digest)


def disk_at(path: Path, sha256: str = "") -> Image:
    """The disk image, or OVA, of a whole machine. sha256: of the file, where it is known.

    Raises ValueError, OSError as `form_of`.
    """
    form = disk_form(path)
    if path.is_dir() or not form:
        raise ValueError(f"{path} is no disk; a machine starts from a file named {', '.join(_MACHINES)}")
    with open_regular(path) as file:
        head = file.read(512)
    if form != "ova":
        _check_disk(path, head)
    elif head[257:262] != b"ustar":
        raise ValueError(f"{path} is named as an OVA, and is none: it does not begin as a tar does")
    return Image(path, form, sha256 or sha256_of(path))


def disk_form(path: Path) -> str:
    """That of a machine's disks, by the name of the file; "" where it names none."""
    return _MACHINES.get(path.suffix.lower(), "")


def placeholder(path: Path, digest: str) -> Root:
    """For the root of a file that is not here yet, whose base it names."""
    form = _DISKS.get(path.suffix.lower())
    return Image(path, form, digest) if form else Tarball(path, digest)


def _check_disk(path: Path, head: bytes) -> None:
    wanted = _DISKS[path.suffix.lower()]
    found = next((form for magic, form in _DISK_MAGIC.items() if head.startswith(magic)), "raw")
    if found != wanted:
        raise ValueError(
            f"{path} is named as a disk of the form {wanted}, and begins as {found}; name it {path.stem}.{found}"
        )


def _first_names(path: Path) -> list[str]:
    """Of a tar's first entries. Raises ValueError where it is none."""
    command = decompressor(path)
    with path.open("rb", buffering=0) as file, TemporaryFile() as errors:
        try:
            if command is None:
                return _names_in(TarStream(file))
            with filtering(command, file, errors) as plain:
                return _names_in(TarStream(plain))
        except ValueError as error:
            raise ValueError(f"{path} holds no root: it is no tar ({error}); {_KNOWN} read") from error
        except VmgenError as error:
            raise ValueError(str(error)) from error


def _names_in(tar: TarStream) -> list[str]:
    names: list[str] = []
    for entry in tar.entries():
        names.append(entry.name)
        if len(names) >= _LOOK:
            break
    if not names:
        raise ValueError("it is empty")
    return names
