"""Files that bases are made of, from a server: downloaded, checked by a sum or a signature, and kept in the cache.

cache/downloads/bases/SHA256-NAME          whole and checked
cache/downloads/bases/SHA256-NAME.sig      its signature, where it was checked by one
cache/downloads/bases/DIGEST.json          of an address that no sum is known of: {"sha256": of the file that it gave}
                                           of a question to an image server: its answer, {"url", "sha256"}
cache/downloads/bases/.DIGEST-NAME.part    what came so far, and .part.json: see bases/download.py
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from vmgen_build.bases import signature
from vmgen_build.bases.download import NotThere, Patience, download, forget, open_client, small_file
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Event, Note, StepProgress
from vmgen_build.host.files import sha256_of, whole_file, write_whole
from vmgen_build.host.inmemory import in_memory
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import CACHE_RECORD
from vmgen_build.store.cachedir import READABLE, is_own_folder, own_folder
from vmgen_build.store.layers import Store
from vmgen_build.text import clean, without_passwords

if TYPE_CHECKING:
    import httpx

FOLDER = "downloads/bases"
"""Of the cache."""

ENDS = (".asc", ".sig", ".gpg")
"""What the name of a detached signature ends with, beside that of its file."""

_DIGEST = "[0-9a-f]{64}"
_SIGNATURE_LIMIT = 64 << 10

Emit = Callable[[Event], None]


class WrongFile(BuildError):
    """What came is not what its sum or signature says. The text is the end of a sentence about its address."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file of a server. url: it may hold a password. sha256: hex in lower case, "" where it is not known. key: of its
    signature, None for none; one of the two is there."""

    url: str = field(repr=False)
    sha256: str = ""
    key: Path | None = None

    @property
    def name(self) -> str:
        """The file's, safe to be one here."""
        last = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return re.sub(r"[^A-Za-z0-9._+-]", "_", last)[-100:].lstrip(".") or "base"

    @property
    def shown(self) -> str:
        return without_passwords(self.url)

    @property
    def digest(self) -> str:
        """Of the address."""
        return hashlib.sha256(f"base {self.shown}".encode()).hexdigest()


def fetch(
    wanted: WantedFile, cache: Path, emit: Emit, *, offline: bool = False, patience: Patience | None = None
) -> tuple[Path, str]:
    """The file, whole and checked, in the cache, and its sha256.

    Of processes that want the same one, one downloads and the others wait. Raises WrongFile; BuildError where it cannot
    be had; HostError on a full disk, and where gpgv is missing.
    """
    if wanted.key is not None:
        signature.require_gpgv()
    folder = own_folder(Path(cache).absolute(), FOLDER, READABLE)
    waiting = Note(text=f"waiting for another build that downloads {wanted.shown}")
    with Store(cache).claim(wanted.digest, lambda: emit(waiting)):
        try:
            path, digest = _Fetch(wanted, folder, emit, patience or Patience()).run(offline=offline)
            os.utime(path)
            os.utime(folder)
        except OSError as error:
            raise HostError(
                f"cannot keep {wanted.shown} in {folder}: {error.strerror}; make room there, or choose another cache"
                " with --cache"
            ) from error
        return path, digest


def kept(wanted: WantedFile, cache: Path) -> tuple[Path, str] | None:
    """The file of the cache that `fetch` would look at first, and its digest. It is not read; nothing changes."""
    if not is_own_folder(cache, FOLDER):
        return None
    return _kept(wanted, Path(cache).absolute() / FOLDER)


def remember(question: str, wanted: WantedFile, cache: Path) -> None:
    """Keep the answer of a server to a question, for a build without a network. Raises HostError."""
    folder = own_folder(Path(cache).absolute(), FOLDER, READABLE)
    write_whole(folder / _answer(question), json.dumps({"url": wanted.url, "sha256": wanted.sha256}) + "\n")


def remembered(question: str, cache: Path) -> WantedFile:
    """The last answer. Raises BuildError where none is kept."""
    folder = Path(cache).absolute() / FOLDER
    try:
        if not is_own_folder(cache, FOLDER):
            raise FileNotFoundError
        record = Field(parse_json((folder / _answer(question)).read_bytes(), CACHE_RECORD))
        return WantedFile(record["url"].text(4096), record["sha256"].matching(_DIGEST, "a sha256"))
    except (OSError, ValueError):
        raise BuildError(
            "the image server was not asked for this system yet; a build without --offline asks it"
        ) from None


def _answer(question: str) -> str:
    return f"{hashlib.sha256(question.encode()).hexdigest()}.json"


def _kept(wanted: WantedFile, folder: Path) -> tuple[Path, str] | None:
    digest = wanted.sha256 or _recorded(folder / f"{wanted.digest}.json")
    path = folder / f"{digest}-{wanted.name}"
    return (path, digest) if digest and path.is_file() else None


def _recorded(record: Path) -> str:
    """ "" where there is no sound record."""
    try:
        return Field(parse_json(record.read_bytes(), CACHE_RECORD))["sha256"].matching(_DIGEST, "a sha256")
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class _Fetch:
    wanted: WantedFile
    folder: Path
    emit: Emit
    patience: Patience

    def run(self, *, offline: bool) -> tuple[Path, str]:
        found = _kept(self.wanted, self.folder)
        if offline or (found is not None and self.wanted.key is None):
            if found is not None and self._is_sound(*found):
                return found
            if offline:
                raise BuildError(f"{self.wanted.shown} is not in the cache yet: run once without --offline")
        with open_client(self.patience) as client:
            signed = self._signature(client)
            if found is not None and self._is_right(*found, signed):
                return found
            return self._take(client, signed)

    def _is_sound(self, path: Path, digest: str) -> bool:
        """By the signature that was kept with it."""
        kept_signature = path.with_name(f"{path.name}.sig")
        signed = kept_signature.read_bytes() if self.wanted.key is not None and kept_signature.is_file() else b""
        return self._is_right(path, digest, signed)

    def _is_right(self, path: Path, digest: str, signed: bytes) -> bool:
        """A file of the cache; the user is told of one that is not."""
        try:
            self._check(path, sha256_of(path), digest, signed)
        except WrongFile as wrong:
            self.emit(Note(text=f"the cache's {path.name} is not taken: it {wrong}", level="warning"))
            return False
        return True

    def _take(self, client: httpx.Client, signed: bytes) -> tuple[Path, str]:
        """Download, check and keep. A file put together from parts that fails its check is fetched once more, whole."""
        part = self.folder / f".{self.wanted.digest[:16]}-{self.wanted.name}.part"
        try:
            continued = download(client, self.wanted.url, part, self._progress, self.patience)
            digest = sha256_of(part)
            try:
                self._check(part, digest, self.wanted.sha256, signed)
            except WrongFile:
                forget(part)
                if not continued:
                    raise
                self.emit(Note(text=f"{self.wanted.name} does not fit what came of it before: downloading it anew"))
                download(client, self.wanted.url, part, self._progress, self.patience)
                digest = sha256_of(part)
                self._check(part, digest, self.wanted.sha256, signed)
        except WrongFile:
            forget(part)
            raise
        except NotThere as reason:
            raise BuildError(f"cannot download {self.wanted.shown}: {reason}; check the address") from None
        return self._keep(part, digest, signed), digest

    def _keep(self, part: Path, digest: str, signed: bytes) -> Path:
        path = self.folder / f"{digest}-{self.wanted.name}"
        if signed:
            with whole_file(path.with_name(f"{path.name}.sig")) as file:
                file.write(signed)
        part.replace(path)
        forget(part)
        if not self.wanted.sha256:
            write_whole(self.folder / f"{self.wanted.digest}.json", json.dumps({"sha256": digest}) + "\n")
        self.emit(Note(text=f"downloaded and checked {self.wanted.name}, sha256 {digest}", verbose=True))
        return path

    def _check(self, file: Path, found: str, digest: str, signed: bytes) -> None:
        """digest: that it must have, "" for any. Raises WrongFile."""
        if digest and found != digest:
            raise WrongFile(f"has the sha256 {found}, and {digest} is asked for; compare both with its publisher's")
        if self.wanted.key is None:
            return
        with in_memory(signed) as detached, file.open("rb") as data:
            verdict = signature.verify_open(data, detached, [self.wanted.key])
        if not verdict.good or verdict.expired:
            reason = clean(verdict.reason) or "the key has expired"
            raise WrongFile(f"is not signed by a key of {self.wanted.key}: {reason}")

    def _signature(self, client: httpx.Client) -> bytes:
        if self.wanted.key is None:
            return b""
        reasons = []
        for end in ENDS:
            try:
                return small_file(client, _beside(self.wanted.url, end), _SIGNATURE_LIMIT, self.patience)
            except NotThere as reason:
                reasons.append(f"{end}: {reason}")
        raise BuildError(
            f"{self.wanted.shown} has no signature to check it by ({'; '.join(reasons)}); write base_sha256 instead of"
            " base_key"
        )

    def _progress(self, done: int, total: int) -> None:
        text = f"downloading {self.wanted.name}"
        self.emit(StepProgress(step="base", done=done, total=total, unit="bytes", text=text))


def _beside(url: str, end: str) -> str:
    """The address of a file beside another: its query stays behind the name."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path + end).geturl()
