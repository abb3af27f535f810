"""Archives of programs' sources: downloaded, checked, and kept in the cache.

cache/downloads/sources/SHA256         whole, with this checksum
cache/downloads/sources/.SHA256.part   what came so far, and .part.json: see bases/download.py
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.bases.download import NotThere, Patience, download, forget, open_client
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Event, Note, StepProgress
from vmgen_build.host.files import sha256_of
from vmgen_build.limits import SOURCE_ARCHIVE
from vmgen_build.store.cachedir import READABLE, own_folder
from vmgen_build.store.layers import Store

if TYPE_CHECKING:
    import httpx

FOLDER = "downloads/sources"
"""Of the cache."""

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """urls: of the same file, tried in order; sha256: of it, in lower case. step: that it is for, as events name it."""

    urls: tuple[str, ...]
    sha256: str
    step: str


def source_path(cache: Path, sha256: str) -> Path:
    """Where it is, once it is fetched."""
    return Path(cache).absolute() / FOLDER / sha256


def fetch_source(
    wanted: Wanted, store: Store, emit: Emit, *, offline: bool = False, patience: Patience | None = None
) -> Path:
    """The archive, whole and checked, in the cache. Of processes that want the same one, one downloads and the others
    wait. Raises BuildError when no address has it, or what they have is something else; HostError on a full disk."""
    folder = own_folder(store.cache, FOLDER, READABLE)
    goal = source_path(store.cache, wanted.sha256)
    lock = hashlib.sha256(f"source {wanted.sha256}".encode()).hexdigest()
    with store.claim(lock, lambda: emit(Note(text=f"waiting for another build that downloads {wanted.urls[0]}"))):
        try:
            if not (goal.is_file() and sha256_of(goal) == wanted.sha256):
                if offline:
                    raise BuildError(f"{wanted.urls[0]} is not in the cache yet ({folder}): run once without --offline")
                _Fetching(wanted, folder, emit, patience or Patience()).run().replace(goal)
            os.utime(goal)
            os.utime(folder)
        except OSError as error:
            raise HostError(
                f"cannot keep {wanted.urls[0]} in {folder}: {error.strerror}; make room there, or choose another cache"
                " with --cache"
            ) from error
        return goal


@dataclass(frozen=True, slots=True)
class _Fetching:
    """One archive on its way into the cache."""

    wanted: Wanted
    folder: Path
    emit: Emit
    patience: Patience

    def run(self) -> Path:
        """The whole and right file, beside its goal. Raises BuildError with what each address gave."""
        part = self.folder / f".{self.wanted.sha256}.part"
        failures = []
        with open_client(self.patience) as client:
            for url in self.wanted.urls:
                try:
                    self._take(client, url, part)
                except (NotThere, BuildError) as error:
                    failures.append(str(error) if isinstance(error, BuildError) else f"{url}: {error}")
                    continue
                return part
        raise BuildError("\n".join(failures))

    def _take(self, client: httpx.Client, url: str, part: Path) -> None:
        """A file put together from parts that is not the right one is fetched once more, whole."""
        progress = self._progress(url)
        continued = download(client, url, part, progress, self.patience, SOURCE_ARCHIVE)
        found = sha256_of(part)
        if found != self.wanted.sha256 and continued:
            self.emit(Note(text=f"{url} does not fit what came of it before: downloading it from the start"))
            forget(part)
            download(client, url, part, progress, self.patience, SOURCE_ARCHIVE)
            found = sha256_of(part)
        if found == self.wanted.sha256:
            part.with_name(part.name + ".json").unlink(missing_ok=True)
            self.emit(Note(text=f"downloaded and checked {url}, sha256 {found}", verbose=True))
            return
        forget(part)
        raise BuildError(
            f"{url} is not the file that sha256 names:\n  asked for  {self.wanted.sha256}\n  downloaded {found}\n"
            "  It was removed and not used. Compare both with what its publisher says."
        )

    def _progress(self, url: str) -> Callable[[int, int], None]:
        text = f"downloading {url.rpartition('/')[2] or url}"
        return lambda done, total: self.emit(
            StepProgress(step=self.wanted.step, done=done, total=total, unit="bytes", text=text)
        )
