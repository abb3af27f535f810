"""OCI layouts that cannot be right: each is refused with what is wrong, and nothing is read beside it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.bases.oci.layout import layers_of, manifest_digest, open_layer
from vmgen_build.bases.oci.unpack import _take_files, unpack_image
from vmgen_build.errors import BuildError
from vmgen_build.plan.bases import OciImage

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
HEX = "0123456789abcdef" * 4


def blob(folder: Path, data: Any) -> str:
    """Its digest."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    digest = hashlib.sha256(raw).hexdigest()
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs/sha256" / digest).write_bytes(raw)
    return f"sha256:{digest}"


def layout(folder: Path, manifest: dict[str, Any], **descriptor: Any) -> Path:
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    one = {"mediaType": MANIFEST, "digest": blob(folder, manifest), "size": 1} | descriptor
    (folder / "index.json").write_text(json.dumps({"manifests": [one]}))
    return folder


def manifest(folder: Path, **changed: Any) -> dict[str, Any]:
    config = blob(folder, {"architecture": "amd64", "os": "linux"})
    layers = [{"mediaType": LAYER, "digest": blob(folder, b"layer"), "size": 5}]
    return {"config": {"digest": config}, "layers": layers} | changed


def test_a_good_one_and_its_digest(tmp_path: Path) -> None:
    whole = layout(tmp_path, manifest(tmp_path))
    (one,) = layers_of(whole, "amd64")
    with open_layer(whole, one) as file:
        assert file.read() == b"layer"
    index = json.loads((tmp_path / "index.json").read_text())
    assert f"sha256:{manifest_digest(whole, 'amd64')}" == index["manifests"][0]["digest"]


def test_a_folder_that_has_another_image_since_is_refused(tmp_path: Path) -> None:
    """Its digest is part of what the layers of a build are known by."""
    (tmp_path / "image").mkdir()
    whole = layout(tmp_path / "image", manifest(tmp_path / "image"))
    base = OciImage(whole, manifest_digest(whole, "amd64"), "amd64")
    assert layers_of(whole, "amd64", base.sha256) == layers_of(whole, "amd64")
    layout(whole, manifest(whole, annotations={"of": "a newer one"}))
    with pytest.raises(
        BuildError, match=f"was another, {base.sha256}, when the recipe was read, and is [0-9a-f]{{64}} now"
    ):
        unpack_image(base, tmp_path, tmp_path / "root")
    (whole / "oci-layout").unlink()
    (whole / "manifest.json").write_text("[]")
    with pytest.raises(BuildError, match="was another"):
        unpack_image(base, tmp_path, tmp_path / "root")


def test_an_index_within_the_index_names_platforms(tmp_path: Path) -> None:
    inner = blob(tmp_path, manifest(tmp_path))
    others = [
        {"mediaType": MANIFEST, "digest": f"sha256:{HEX}", "platform": {"architecture": arch, "os": system}}
        for arch, system in (("arm64", "linux"), ("amd64", "windows"), ("unknown", "unknown"))
    ]
    right = {"mediaType": MANIFEST, "digest": inner, "platform": {"architecture": "amd64", "os": "linux"}}
    digest = blob(tmp_path, {"manifests": [*others, right]})
    (tmp_path / "oci-layout").touch()
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{"mediaType": INDEX, "digest": digest}]}))
    assert f"sha256:{manifest_digest(tmp_path, 'amd64')}" == inner
    with pytest.raises(ValueError, match=r"it has no image for i386 \(it has amd64, arm64\)"):
        manifest_digest(tmp_path, "i386")


@pytest.mark.parametrize(
    ("changed", "descriptor", "reason"),
    [
        ({"layers": []}, {}, "its image has no layers"),
        (
            {"layers": [{"mediaType": "application/x-evil", "digest": f"sha256:{HEX}"}]},
            {},
            "of the kind application/x-",
        ),
        ({"layers": [{"mediaType": LAYER, "digest": "sha256:../../x"}]}, {}, "is not a digest by sha256"),
        ({"layers": [{"mediaType": LAYER, "digest": "md5:00"}]}, {}, "is not a digest by sha256"),
        ({"layers": [{"mediaType": LAYER, "digest": f"sha256:{HEX}"}] * 129}, {}, "the limit 'oci-layers'"),
        ({"layers": "many"}, {}, "layers is not a list"),
        ({"config": {}}, {}, "it lacks config.digest"),
        ({}, {"digest": f"sha256:{HEX}"}, "No such file"),
        ({}, {"digest": "/etc/passwd"}, "is not a digest by sha256"),
        ({}, {"mediaType": "text/plain"}, "it has nothing"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, changed: dict[str, Any], descriptor: dict[str, Any], reason: str
) -> None:
    whole = layout(tmp_path, manifest(tmp_path, **changed), **descriptor)
    with pytest.raises((ValueError, OSError), match=reason):
        layers_of(whole, "amd64")


def test_indexes_do_not_lead_on_for_ever(tmp_path: Path) -> None:
    digest = blob(tmp_path, {"manifests": []})
    for _ in range(4):
        digest = blob(tmp_path, {"manifests": [{"mediaType": INDEX, "digest": digest}]})
    (tmp_path / "oci-layout").touch()
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{"mediaType": INDEX, "digest": digest}]}))
    with pytest.raises(ValueError, match="the limit 'oci-indexes'"):
        layers_of(tmp_path, "amd64")


def test_no_link_of_a_layout_is_followed_out_of_it(tmp_path: Path) -> None:
    whole = layout(tmp_path, manifest(tmp_path))
    (one,) = layers_of(whole, "amd64")
    path = whole / one.name
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(OSError):
        open_layer(whole, one)


def test_only_an_images_own_files_are_taken_of_an_archive(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("oci-layout", "../evil", "/evil", f"blobs/sha256/{HEX}", f"blobs/sha256/../{HEX}", "etc/passwd"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        link = tarfile.TarInfo("index.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    data.seek(0)
    goal = tmp_path / "goal"
    goal.mkdir()
    _take_files(TarStream(data), goal)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
    assert found == [f"goal/blobs/sha256/{HEX}", "goal/oci-layout"]
