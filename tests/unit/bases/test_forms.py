"""Which form a file or folder has: by its first bytes, and a disk by its name alone."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmgen_build.bases.forms import file_of, placeholder, root_at
from vmgen_build.plan.bases import Foreign, Image, OciImage, Squashfs, Tarball

HEX = "0123456789abcdef" * 4


def tar(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"text"))
    return path


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("root.img", bytes(600), Image),
        ("root.raw", bytes(600), Image),
        ("root.qcow2", b"QFI\xfb" + bytes(600), Image),
        ("root.vmdk", b"KDMV" + bytes(600), Image),
        ("root.anything", b"hsqs" + bytes(600), Squashfs),
    ],
)
def test_the_form_is_known(tmp_path: Path, name: str, data: bytes, form: type) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    root = root_at(path, "amd64")
    assert type(root) is form and root.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("packer", ["cat", "gzip", "xz", "zstd"])
@pytest.mark.parametrize(
    ("names", "form"),
    [
        (["./bin/sh", "./etc/passwd"], Tarball),
        (["metadata.yaml", "rootfs/bin/sh"], Tarball),
        (["oci-layout", "index.json", f"blobs/sha256/{HEX}"], OciImage),
        ([f"{HEX}.json", f"{HEX}/layer.tar", "manifest.json"], OciImage),
        (["oci-layout", "bin/sh"], Tarball),
    ],
)
def test_a_tar_is_a_root_or_an_image_of_layers(tmp_path: Path, packer: str, names: list[str], form: type) -> None:
    plain = tar(tmp_path / "plain", names)
    with plain.open("rb") as source, (tmp_path / "file").open("wb") as goal:
        subprocess.run([packer, "-"] if packer != "cat" else ["cat"], stdin=source, stdout=goal, check=True)
    assert type(root_at(tmp_path / "file", "amd64")) is form


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("cloud.img", b"QFI\xfb" + bytes(600), "begins as qcow2; name it cloud.qcow2"),
        ("root.qcow2", bytes(600), "named as a disk of the form qcow2, and begins as raw; name it root.raw"),
        ("root", b"QFI\xfb" + bytes(600), "is a disk image of the form qcow2; name it root.qcow2"),
        ("root.tar.gz", b"\x1f\x8b" + b"nonsense" * 99, "holds no root: it is no tar"),
        ("root.tar", b"", "holds no root: it is no tar"),
        ("root.tar", bytes(10240), "holds no root: it is no tar"),
    ],
)
def test_what_is_no_root_is_named(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        root_at(tmp_path / name, "amd64")


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, and neither an OCI layout nor an lxc image"):
        root_at(file_of(tmp_path), "amd64")
    tar(tmp_path / "rootfs.tar.xz", ["bin/sh"])
    assert file_of(tmp_path) == tmp_path / "rootfs.tar.xz"


def foreign(root: Tarball | Image, release: str = "r") -> str:
    return Foreign(root, "debian-12", "amd64", ("dbus",), release, 5, source="somewhere").id


def test_a_base_of_others_goes_by_its_bytes_and_the_archives_state() -> None:
    one = foreign(Tarball(Path("/a/one.tar"), HEX))
    assert one == foreign(Tarball(Path("/b/two.tar"), HEX)) == foreign(placeholder(Path("x.tar"), HEX))
    others = [foreign(Tarball(Path("/a"), HEX[::-1])), foreign(Tarball(Path("/a"), HEX), "newer")]
    others += [foreign(Image(Path("/a"), form, HEX)) for form in ("raw", "qcow2")]
    assert len({one, *others}) == 5
    assert foreign(placeholder(Path("disk.img"), HEX)) == others[2]
