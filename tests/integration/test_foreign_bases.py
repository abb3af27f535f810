"""Bases of others, in every form: each becomes the same root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.foreign import TAR, image, packed, ran
from vmgen_build.bases.forms import file_of, root_at
from vmgen_build.bases.makers import make_base
from vmgen_build.bases.supply import Making, Request, supply_kind
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.store.content import tree_digest
from vmgen_build.systems.parse import parse_system


def made(path: Path, folder: Path, arch: str = "amd64") -> Path:
    """The root of what lies there, made in a worker as a build does it."""
    system = parse_system(f"debian-12-{arch}")
    supply = supply_kind(system).of_host(Request(system, None, 0), lambda _argv: b"")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    making = Making(folder, folder, supply, folder / "indexes", lambda _line: None)
    root = root_at(file_of(path), arch)
    run_isolated(lambda _bus: make_base(root, making), Bus())
    assert sorted(one.name for one in folder.iterdir()) == ["data"], "nothing else is left"
    return making.root


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root: two names of one file, a capability, owners, a device, links that lead out of it."""
    root = tmp_path_factory.mktemp("small") / "root"
    for name in ("usr/bin", "etc/keep", "var/gone/deep", "dev", "opt/opaque"):
        (root / name).mkdir(parents=True)
    (root / "usr/bin/tool").write_text("tool")
    (root / "usr/bin/tool").chmod(0o4755)
    os.link(root / "usr/bin/tool", root / "usr/bin/again")
    (root / "usr/bin/ping").write_text("ping")
    ran("setcap", "cap_net_raw=ep", root / "usr/bin/ping")
    (root / "etc/owned").write_text("x")
    os.chown(root / "etc/owned", 1234, 4321)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "bin").symlink_to("usr/bin")
    (root / "etc/outside").symlink_to("/etc")
    (root / "opt/opaque/old").write_text("old")
    os.mknod(root / "dev/null", 0o20666, os.makedev(1, 3))
    return root


@pytest.fixture(scope="module")
def forms(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small root in every form."""
    folder = tmp_path_factory.mktemp("forms")
    plain = folder / "root.tar"
    ran(*TAR, "-cf", plain, "-C", small, ".")
    for suffix, packer in {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "lz4": "lz4"}.items():
        with plain.open("rb") as source, (folder / f"root.tar.{suffix}").open("wb") as goal:
            subprocess.run([packer, "-c"], stdin=source, stdout=goal, check=True, stderr=subprocess.DEVNULL)
    ran("mksquashfs", small, folder / "root.squashfs", "-quiet", "-no-progress")
    for name, ends in {"split": "rootfs.tar.xz", "split2": "rootfs.squashfs"}.items():
        (folder / name).mkdir()
        shutil.copy(folder / ends.replace("rootfs", "root"), folder / name / ends)
        (folder / name / "metadata.yaml").write_text("architecture: x86_64\n")
    unified = folder / "unified"
    unified.mkdir()
    ran("cp", "-a", small, unified / "rootfs")
    (unified / "metadata.yaml").write_text("architecture: x86_64\n")
    ran(*TAR, "-czf", folder / "unified.tar.gz", "-C", unified, "metadata.yaml", "rootfs")
    ran("mke2fs", "-q", "-F", "-t", "ext4", "-d", small, folder / "root.raw", "16m")
    for form in ("qcow2", "vmdk"):
        ran("qemu-img", "convert", "-f", "raw", "-O", form, folder / "root.raw", folder / f"root.{form}")
    image(folder / "layout", [plain])
    ran("skopeo", "copy", "-q", f"oci:{folder}/layout:v1", f"oci-archive:{folder}/archive.tar:v1")
    ran("skopeo", "copy", "-q", f"oci:{folder}/layout:v1", f"docker-archive:{folder}/docker.tar:small:1")
    ran("gzip", "-k", folder / "docker.tar")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("root.tar", "root.tar.gz", "root.tar.bz2", "root.tar.xz", "root.tar.zst", "root.tar.lz4"),
        *("root.squashfs", "split", "split2", "unified.tar.gz"),
        *("root.raw", "root.qcow2", "root.vmdk"),
        *("layout", "archive.tar", "docker.tar", "docker.tar.gz"),
    ],
)
def test_each_form_becomes_the_same_root(forms: Path, small: Path, tmp_path: Path, name: str) -> None:
    root = made(forms / name, tmp_path / "made")
    if (root / "lost+found").exists():
        (root / "lost+found").rmdir()
    assert tree_digest(root) == tree_digest(small)
    assert (root / "usr/bin/tool").stat().st_nlink == 2


def test_layers_lie_over_each_other(forms: Path, tmp_path: Path) -> None:
    """Whiteouts, an opaque folder, a folder that was taken away and is there anew, a file in the place of a folder."""
    second = tmp_path / "second"
    for name in ("etc", "var/gone", "opt/opaque"):
        (second / name).mkdir(parents=True)
    for name in ("etc/.wh.passwd", "var/.wh.gone", "opt/opaque/.wh..wh..opq"):
        (second / name).touch()
    (second / "var/gone/new").write_text("new")
    (second / "opt/opaque/new").write_text("new")
    third = tmp_path / "third"
    (third / "etc/outside").mkdir(parents=True)
    (third / "etc/outside/inside").write_text("inside")
    (third / "etc/keep").write_text("a file now")
    (third / "usr/bin").mkdir(parents=True)
    (third / "usr/bin/.wh.again").touch()
    layers = [forms / "root.tar", packed(second, tmp_path / "2.tar"), packed(third, tmp_path / "3.tar")]
    layout = image(tmp_path / "layout", layers)
    root = made(layout, tmp_path / "made")
    assert not (root / "etc/passwd").exists()
    assert sorted(one.name for one in (root / "var/gone").iterdir()) == ["new"]
    assert sorted(one.name for one in (root / "opt/opaque").iterdir()) == ["new"]
    assert (root / "etc/outside/inside").read_text() == "inside" and not (root / "etc/outside").is_symlink()
    assert (root / "etc/keep").read_text() == "a file now"
    assert not (root / "usr/bin/again").exists() and (root / "usr/bin/tool").read_text() == "tool"
    unpacked = tmp_path / "unpacked"
    ran("umoci", "unpack", "--image", f"{layout}:v1", unpacked)
    assert tree_digest(root) == tree_digest(unpacked / "rootfs"), "as umoci lays them"


def test_no_layer_writes_through_a_link_of_one_below(forms: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "usr").mkdir(parents=True)
    (first / "way").symlink_to(outside)
    (second / "way").mkdir(parents=True)
    (second / "way/file").write_text("written")
    (second / "way/.wh.other").touch()
    (outside / "other").touch()
    ran("tar", "-cf", tmp_path / "2.tar", "-C", second, "way/file", "way/.wh.other")
    layout = image(tmp_path / "layout", [packed(first, tmp_path / "1.tar"), tmp_path / "2.tar"])
    root = made(layout, tmp_path / "made")
    assert [one.name for one in outside.iterdir()] == ["other"]
    assert (root / "way/file").read_text() == "written"


def test_an_image_for_several_architectures(forms: Path, tmp_path: Path) -> None:
    layout = image(tmp_path / "layout", [forms / "root.tar"], "arm64", "arm")
    with pytest.raises(ValueError, match=r"it has no image for amd64 \(it has arm64\)"):
        made(layout, tmp_path / "made")
    image(layout, [forms / "root.tar"], "amd64", "one")
    assert (made(layout, tmp_path / "made") / "usr/bin/tool").exists()
    ran("umoci", "tag", "--image", f"{layout}:one", "again")
    made(layout, tmp_path / "made")
    image(layout, [forms / "root.tar", packed(tmp_path / "made/data", tmp_path / "x.tar")], "amd64", "two")
    with pytest.raises(ValueError, match=r"it has several images \(.*two.*skopeo copy"):
        made(layout, tmp_path / "made")


def blobs(layout: Path) -> list[Path]:
    return sorted((layout / "blobs/sha256").iterdir(), key=lambda one: one.stat().st_size)


def test_a_blob_with_other_content_is_refused(forms: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(forms / "layout", layout)
    largest = blobs(layout)[-1]
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(BuildError, match=f"its layer blobs/sha256/{largest.name} has other content"):
        made(layout, tmp_path / "made")
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].partition(":")[2]
    manifest = layout / "blobs/sha256" / digest
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(ValueError, match="has other content than its name says"):
        made(layout, tmp_path / "made")


def test_a_layer_of_docker_save_with_other_content_is_refused(forms: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    ran("tar", "-xf", forms / "docker.tar", "-C", folder)
    layer = next(one for one in folder.iterdir() if one.suffix == ".tar")
    ran("tar", "--append", "--file", layer, "-C", "/etc", "hostname")
    ran("tar", "-cf", tmp_path / "docker.tar", "-C", folder, *sorted(one.name for one in folder.iterdir()))
    with pytest.raises(BuildError, match="has other content than its configuration says"):
        made(tmp_path / "docker.tar", tmp_path / "made")
