"""SHA256SUMS: the digests of a folder's artifacts, as `sha256sum -c` takes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.files import write_whole
from vmgen_build.host.locks import folder_lock
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SUMS

NAME = "SHA256SUMS"

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>[^/\0\n]+)")
"""sha256sum(1): digest, blank, "*" or blank, name. Our names hold no backslash or line end, so none is escaped."""


def update_sums(folder: Path, entries: Mapping[str, str], gone: Collection[str] = ()) -> Path:
    """Put `entries` (file name -> sha256) into the folder's SHA256SUMS, and take those of the names `gone` out; other
    lines stay, all sorted by name.

    Builds that write to one folder at the same time wait for each other. Raises HostError.
    """
    path = folder / NAME
    with locked(folder):
        lines = {name: digest for name, digest in read_sums(folder).items() if name not in gone} | dict(entries)
        write_whole(path, "".join(f"{digest}  {name}\n" for name, digest in sorted(lines.items())))
    return path


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> sha256; empty where there is no such file. Lines of any other form are left out."""
    try:
        text = read_regular(folder / NAME, SUMS).decode(errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HostError(f"cannot read {folder / NAME}: {error.strerror}") from error
    return _lines(text)


def sums_in(data: bytes) -> dict[str, str]:
    """As read_sums, of what such a file holds."""
    return _lines(data.decode(errors="replace"))


def _lines(text: str) -> dict[str, str]:
    found = filter(None, map(_LINE.fullmatch, text.splitlines()))
    return {match["name"]: match["digest"] for match in found}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While others do not change the folder's SHA256SUMS. Nobody else can hold the lock. Raises HostError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_lock(folder))
        except OSError as error:
            raise HostError(
                f"cannot use the folder {folder}: {error.strerror}; choose another with --output"
            ) from error
        yield
