"""An OCI layout in one tar, of a root file system that lies in layers (image-spec 1.0: image-layout.md, layer.md,
manifest.md, config.md). The same layers give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.gzipped import gzip_members
from vmgen_build.artifacts.plaintar import write_files
from vmgen_build.artifacts.progress import Progress
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
OVERLAY_OPAQUE = "trusted.overlay.opaque"

_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """folder: the root, or what overlayfs has of a layer over those before it (its upperdir). title: what made it."""

    folder: Path
    title: str


@dataclass(frozen=True, slots=True)
class ImageText:
    """name: of the image, "lab". config: in the words of config.md, without `rootfs` and `history`. empty: folders of
    the root whose content stays out. epoch: seconds; nothing is younger."""

    name: str
    config: Mapping[str, Any]
    empty: Sequence[str]
    epoch: int


@dataclass(frozen=True, slots=True)
class _Blob:
    """unpacked: the sha256 of the tar in it, hex."""

    written: Written
    unpacked: str


def write_oci(
    goal: Path, layers: Sequence[ImageLayer], text: ImageText, scratch: Path, progress: Progress | None = None
) -> Written:
    """scratch: a folder with room for all layers, packed. progress: of a layer's bytes. Raises HostError, BuildError;
    then there is no new file."""
    blobs = [
        _blob(scratch / f"layer-{number}.tar.gz", layer, text, progress, scratch) for number, layer in enumerate(layers)
    ]
    try:
        large = {_place(blob.written.sha256): blob.written for blob in blobs}
        return write_files(goal, _texts(layers, blobs, text), large, epoch=text.epoch)
    finally:
        for blob in blobs:
            blob.written.path.unlink(missing_ok=True)


def whiteouts(folder: Path) -> tuple[list[Path], list[Path]]:
    """Paths within a layer of overlayfs (docs.kernel.org, filesystems/overlayfs.html): of what it takes away, and of
    the folders that hide all that lies below them."""
    gone: list[Path] = []
    opaque: list[Path] = []
    for name, folders, files in os.walk(folder):
        path = Path(name)
        gone += [path / one for one in files if _is_whiteout((path / one).lstat())]
        opaque += [path / one for one in folders if _is_opaque(path / one)]
    return [one.relative_to(folder) for one in sorted(gone)], [one.relative_to(folder) for one in sorted(opaque)]


def _blob(goal: Path, layer: ImageLayer, text: ImageText, progress: Progress | None, scratch: Path) -> _Blob:
    gone, opaque = whiteouts(layer.folder)
    places = [one.with_name(f"{WHITEOUT}{one.name}") for one in gone] + [one / OPAQUE for one in opaque]
    marks = [_named(one) for one in sorted(places) if one.parts[0] not in text.empty]
    without = tuple(map(_named, gone))
    content = TarContent(layer.folder, ".", text.epoch, text.empty, dict.fromkeys(marks, ""), without)
    digest = hashlib.sha256()

    def packed(chunks: Iterable[bytes]) -> Iterator[bytes]:
        yield from gzip_members(_read(chunks, digest))

    return _Blob(write_tarball(goal, content, packed, progress=progress, scratch=scratch), digest.hexdigest())


def _read(chunks: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _texts(layers: Sequence[ImageLayer], blobs: Sequence[_Blob], text: ImageText) -> dict[str, bytes]:
    """Name in the layout -> content, of all but the layers."""
    created = datetime.fromtimestamp(text.epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = {
        "created": created,
        **text.config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.unpacked}" for blob in blobs]},
        "history": [{"created": created, "created_by": f"vmgen-build: {layer.title}"} for layer in layers],
    }
    whole = _json(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _descriptor(_CONFIG_TYPE, hashlib.sha256(whole).hexdigest(), len(whole)),
        "layers": [_descriptor(_LAYER_TYPE, blob.written.sha256, blob.written.size) for blob in blobs],
    }
    listed = _json(manifest)
    names = {
        "org.opencontainers.image.ref.name": f"{text.name}:latest",
        "io.containerd.image.name": f"localhost/{text.name}:latest",
    }
    entry = _descriptor(_MANIFEST_TYPE, hashlib.sha256(listed).hexdigest(), len(listed))
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [{**entry, "annotations": names}]}
    return {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json(index),
        _place(hashlib.sha256(listed).hexdigest()): listed,
        _place(hashlib.sha256(whole).hexdigest()): whole,
    }


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest}"


def _named(path: Path) -> str:
    """Raises BuildError for a name that tar's list of names cannot hold."""
    if "\n" in str(path):
        raise BuildError(f"a step has removed {str(path)!r}: an OCI image takes no name with a line end away")
    return str(path)


def _is_whiteout(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, OVERLAY_OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
