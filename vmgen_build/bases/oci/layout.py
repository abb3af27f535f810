"""The one image of an OCI layout that a machine is made of: image-spec, image-layout.md, image-index.md, manifest.md.

Every blob is checked by its digest before it is read. What docker save wrote before it wrote a layout as well (a
manifest.json with Config and Layers) is read too; its layers are checked by the digests that its configuration holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmgen_build.bases.oci.names import DOCKER, INDEX, LAYOUT_MARK, NAME
from vmgen_build.host.beneath import file_beneath, read_beneath
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import OCI_INDEXES, OCI_LAYERS, OCI_TEXT

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_LAYERS = tuple(
    f"application/vnd.{name}"
    for name in (
        "oci.image.layer.v1.tar",
        "oci.image.layer.v1.tar+gzip",
        "oci.image.layer.v1.tar+zstd",
        "docker.image.rootfs.diff.tar",
        "docker.image.rootfs.diff.tar.gzip",
        "docker.image.rootfs.diff.tar.zstd",
    )
)
_DIGEST = r"sha256:[0-9a-f]{64}"
_ARCHES = {"amd64": "amd64", "i386": "386", "arm64": "arm64"}
"""Debian's words -> Go's, GOARCH."""

_REFERENCE = "org.opencontainers.image.ref.name"
_WORD = 1_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar, compressed or not. name: its path in the layout; digest: hex, of its bytes, or where `unpacked` of the tar
    in it."""

    name: str
    digest: str
    unpacked: bool = False


@dataclass(frozen=True, slots=True)
class _Listed:
    """A manifest that an index names."""

    digest: str
    tag: str
    arch: str


def manifest_digest(folder: Path, arch: str) -> str:
    """Hex digest of the manifest of the layout's image for this architecture. Raises ValueError, OSError."""
    return _chosen(folder, arch).digest


def layers_of(folder: Path, arch: str, manifest: str = "") -> list[Layer]:
    """Those of the image for this architecture, lowest first. arch: in Debian's words. manifest: hex digest that its
    manifest must have, "" for any. Raises ValueError that says what is wrong with the layout, OSError."""
    if manifest or (folder / LAYOUT_MARK).is_file():
        found = _chosen(folder, arch).digest
        if manifest and found != manifest:
            raise ValueError(
                f"its image was another, {manifest}, when the recipe was read, and is {found} now; try again"
            )
        return _layers(folder, found)
    if (folder / DOCKER).is_file():
        return _docker_layers(folder, arch)
    raise ValueError(f"it has neither {LAYOUT_MARK} nor {DOCKER}")


def open_layer(folder: Path, layer: Layer) -> BinaryIO:
    """Open for reading, its bytes checked. Raises ValueError where they are others, OSError."""
    file = file_beneath(folder, layer.name)
    try:
        if not layer.unpacked and _sha256(file) != layer.digest:
            raise ValueError(f"its layer {layer.name} has other content than its name says")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _chosen(folder: Path, arch: str) -> _Listed:
    """The one image that the layout has for the architecture; of several, the one with the tag "latest"."""
    found = list(_listed(_json(folder, INDEX), folder, 1))
    wanted = _ARCHES.get(arch, arch)
    right = [one for one in found if (one.arch or _arch_of(folder, one.digest)) == wanted]
    if not right:
        others = ", ".join(sorted({one.arch or _arch_of(folder, one.digest) for one in found})) or "nothing"
        raise ValueError(f"it has no image for {arch} (it has {others})")
    if len({one.digest for one in right}) == 1:
        return right[0]
    latest = [one for one in right if one.tag == "latest"]
    if len(latest) == 1:
        return latest[0]
    tags = ", ".join(one.tag or one.digest[:12] for one in right)
    raise ValueError(f"it has several images ({tags}); copy the one that is meant: skopeo copy oci:FOLDER:TAG oci:NEW")


def _listed(index: Field, folder: Path, depth: int) -> Iterator[_Listed]:
    if depth > OCI_INDEXES.amount:
        raise ValueError(f"its indexes lead to indexes: {OCI_INDEXES.exceeded}")
    for one in index["manifests"].items(OCI_LAYERS):
        digest = _hex(one["digest"])
        kind = one.or_else("mediaType", _MANIFESTS[0]).text(_WORD)
        if kind in _INDEXES:
            yield from _listed(_blob(folder, digest), folder, depth + 1)
        elif kind in _MANIFESTS:
            platform = one.or_else("platform", {})
            if platform.or_else("os", "linux").text(_WORD) == "linux":
                tag = one.or_else("annotations", {}).or_else(_REFERENCE, "").text(_WORD)
                yield _Listed(digest, tag, platform.or_else("architecture", "").text(_WORD))


def _arch_of(folder: Path, manifest: str) -> str:
    """As the image's own configuration says."""
    config = _blob(folder, _hex(_blob(folder, manifest)["config"]["digest"]))
    return config["architecture"].text(_WORD)


def _layers(folder: Path, manifest: str) -> list[Layer]:
    layers = []
    for one in _blob(folder, manifest)["layers"].items(OCI_LAYERS):
        kind = one["mediaType"].text(_WORD)
        if kind not in _LAYERS:
            raise ValueError(f"a layer of it is of the kind {kind[:100]}, which is not read; tars are")
        digest = _hex(one["digest"])
        layers.append(Layer(f"blobs/sha256/{digest}", digest))
    return _some(layers)


def _docker_layers(folder: Path, arch: str) -> list[Layer]:
    images = list(_json(folder, DOCKER).items(OCI_LAYERS))
    if len(images) != 1:
        raise ValueError(f"it holds {len(images)} images; save one alone")
    name = images[0]["Config"].matching(NAME.pattern, "a name that docker save writes")
    text = read_beneath(folder, name, OCI_TEXT)
    digest = name.rpartition("/")[2].removesuffix(".json")
    if hashlib.sha256(text).hexdigest() != digest:
        raise ValueError(f"its configuration {name} has other content than its name says")
    config = Field(parse_json(text, OCI_TEXT))
    if config["architecture"].text(_WORD) != _ARCHES.get(arch, arch):
        raise ValueError(f"it has no image for {arch} (it has {config['architecture'].text(_WORD)})")
    digests = [_hex(one) for one in config["rootfs"]["diff_ids"].items(OCI_LAYERS)]
    names = [one.matching(NAME.pattern, "a layer's name") for one in images[0]["Layers"].items(OCI_LAYERS)]
    if len(names) != len(digests):
        raise ValueError("its configuration has another number of layers than its manifest")
    return _some([Layer(name, digest, unpacked=True) for name, digest in zip(names, digests, strict=True)])


def _some(layers: Sequence[Layer]) -> list[Layer]:
    if not layers:
        raise ValueError("its image has no layers")
    return list(layers)


def _blob(folder: Path, digest: str) -> Field:
    """A small one, checked."""
    data = read_beneath(folder, f"blobs/sha256/{digest}", OCI_TEXT)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"its blob {digest[:12]}… has other content than its name says")
    return Field(parse_json(data, OCI_TEXT))


def _json(folder: Path, name: str) -> Field:
    return Field(parse_json(read_beneath(folder, name, OCI_TEXT), OCI_TEXT), name)


def _hex(digest: Field) -> str:
    return digest.matching(_DIGEST, "a digest by sha256").partition(":")[2]


def _sha256(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    return found.hexdigest()
