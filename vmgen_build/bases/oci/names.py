"""Names within an OCI layout (image-spec, image-layout.md), and within what docker save writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

LAYOUT_MARK = "oci-layout"
INDEX = "index.json"
DOCKER = "manifest.json"
"""Of docker save: a list of images with their Config and Layers."""

_HEX = "[0-9a-f]{64}"
NAME = re.compile(
    rf"(blobs|blobs/sha256|blobs/sha256/{_HEX}|oci-layout|index\.json|manifest\.json|repositories"
    rf"|{_HEX}\.(json|tar)|{_HEX}|{_HEX}/(layer\.tar|json|VERSION))"
)


def plain(name: str) -> str:
    """Of an entry of an archive, "./blobs/" as "blobs"."""
    return name.removeprefix("./").rstrip("/")


def is_of_an_image(names: Sequence[str]) -> bool:
    """Whether these entries of a tar are those of an image of layers, and of no root."""
    found = [plain(name) for name in names]
    return all(name in ("", ".") or NAME.fullmatch(name) for name in found) and any(map(NAME.fullmatch, found))
