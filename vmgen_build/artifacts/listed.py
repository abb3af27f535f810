"""The files of an artifact: those that its manifest lists, beside it, and no others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vmgen_build.errors import HostError
from vmgen_build.filenames import wrong_file_name
from vmgen_build.host.beneath import open_beneath
from vmgen_build.host.files import sha256_in


@dataclass(frozen=True, slots=True)
class ListedFile:
    """size in bytes and sha256 (hex), as the manifest says."""

    path: Path
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, if it is the one that the manifest means. Raises HostError."""
        try:
            fd = open_beneath(self.path.parent, self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise HostError(f"cannot read {self.path}: {error.strerror}; keep an artifact's files together") from error
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size or sha256_in(file) != self.sha256:
                raise HostError(
                    f"{self.path} is not the file that the manifest means: its size or sha256 differs; build the image"
                    " anew, or fetch all its files again"
                )
            file.seek(0)
            yield file


def listed_files(artifact: Path, manifest: Mapping[str, object]) -> list[ListedFile]:
    """In the manifest's order. Raises HostError for a name that is none of a file beside the artifact."""
    files = manifest.get("files")
    found = []
    for entry in files if isinstance(files, list) else []:
        name, size, digest = (entry.get(key) for key in ("name", "size", "sha256"))
        if not isinstance(name, str) or wrong_file_name(name) or type(size) is not int or not isinstance(digest, str):
            raise HostError(f"the manifest of {artifact} lists {str(name)[:80]!r}, which is no file beside it")
        found.append(ListedFile(artifact.parent / name, size, digest))
    return found
