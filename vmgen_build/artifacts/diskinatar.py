"""A disk's image in a tar of others, compressed or not, as Incus and LXD have a machine's: it alone is taken out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.artifacts.disk.convert import new_image
from vmgen_build.artifacts.tarstream import TarStream
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.confined import check_reserve, filtering
from vmgen_build.host.inmemory import name_of
from vmgen_build.limits import UNPACKED

_CHUNK = 1 << 20


def take_disk(source: BinaryIO, name: str, goal: Path) -> None:
    """The file `name` of the tar as the new file `goal`. source: foreign, open at its beginning; a confined program
    decompresses it. Raises BuildError where there is none, or no whole tar, or it is too large; HostError."""
    command = decompressor(Path(name_of(source)))
    with ExitStack() as undo, new_image(goal) as file:
        plain = source
        if command is not None:
            errors = undo.enter_context(TemporaryFile())
            plain = undo.enter_context(filtering(command, source, errors))  # type: ignore[assignment]
        try:
            _take(TarStream(plain), name, file, goal.parent)
        except ValueError as error:
            raise BuildError(f"the image is no whole tar: {error}; build it anew, or fetch it again") from error
        except OSError as error:
            raise HostError(f"cannot write {goal}: {error.strerror}; make room there") from error


def _take(tar: TarStream, name: str, goal: IO[bytes], folder: Path) -> None:
    for entry in tar.entries():
        if not entry.is_file or entry.name.removeprefix("./") != name:
            continue
        if entry.size > UNPACKED.amount:
            raise BuildError(f"{name} in the image is too large: {UNPACKED.exceeded}")
        while chunk := tar.read(_CHUNK):
            check_reserve(f"taking {name} out of the image", folder)
            goal.write(chunk)
        return
    raise BuildError(f"the image holds no {name}; build it anew")
