"""OpenVZ's OS templates: found on a server, downloaded, checked, and kept in the cache.

cache/downloads/ostemplates/NAME.tar.gz          whole and checked
cache/downloads/ostemplates/NAME.tar.gz.sha256   its checksum, as sha256sum(1) writes and checks it
cache/downloads/ostemplates/NAME.tar.gz.asc      its signature, where it was checked by one
cache/downloads/ostemplates/.NAME.tar.gz.part    what came so far, and .part.json: see bases/download.py

A server's tree is that of download.openvz.org/template; beta/, contrib/ and unsupported/ may lie at its top as well.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from vmgen_build.bases import signature
from vmgen_build.bases.download import NotThere, Patience, download, forget, open_client, small_file
from vmgen_build.errors import BuildError, HostError, UsageError
from vmgen_build.events import Event, Note, StepProgress
from vmgen_build.host.files import sha256_of, whole_file, write_whole
from vmgen_build.store.cachedir import READABLE, is_own_folder, own_folder
from vmgen_build.store.layers import Store
from vmgen_build.systems.model import System
from vmgen_build.text import clean

if TYPE_CHECKING:
    import httpx

FOLDER = "downloads/ostemplates"
"""Of the cache."""

DEFAULT_URL = "http://download.openvz.org/template"
FOLDERS = (
    "precreated",
    "precreated/beta",
    "beta",
    "precreated/contrib",
    "contrib",
    "precreated/unsupported",
    "unsupported",
)
SUFFIXES = (".tar.gz", ".tar.xz", ".tar.bz2")
"""What vzctl takes from a cache of OS templates, the usual one first."""

KEYRINGS = ("/usr/share/keyrings/openvz*.gpg", "/etc/apt/keyrings/openvz*.gpg", "/etc/apt/keyrings/openvz*.asc")
"""Where the host's own OpenVZ keys lie, if it has them."""

ARCHITECTURES = {"amd64": "x86_64", "i386": "x86", "arm64": "aarch64"}
"""Debian's words -> those of OpenVZ's names of OS templates; the others are the same."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_INDEX_LIMIT, _SIGNATURE_LIMIT = 2 << 20, 64 << 10

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OsTemplateChoice:
    """Which OS template, and how it is trusted. Raises UsageError for values that cannot be right.

    url: the folder that holds FOLDERS; name: "" is that of the recipe's system; sha256: hex, "" for none;
    keyring: of the keys that may have signed it, binary or armoured.
    """

    url: str = DEFAULT_URL
    name: str = ""
    sha256: str = ""
    keyring: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--ostemplate-url '{clean(self.url)}': write it as {DEFAULT_URL}")
        if "@" in parts.netloc:
            raise UsageError(
                "--ostemplate-url: a user and password in it would show in the list of processes; take it out"
            )
        if self.sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise UsageError(f"--ostemplate-sha256 '{clean(self.sha256)}': a SHA-256 is 64 hexadecimal digits")
        if self.name:
            _check_name(self.name)

    def name_for(self, system: System) -> str:
        return self.name or os_template_name(system)

    def keyrings(self) -> tuple[Path, ...]:
        """The keyring named; else, where no checksum is, the host's own OpenVZ keys."""
        if self.keyring is not None:
            return (self.keyring,)
        if self.sha256:
            return ()
        return tuple(path for pattern in KEYRINGS for path in sorted(Path("/").glob(pattern.lstrip("/"))))


DEFAULT_CHOICE = OsTemplateChoice()
"""That of the recipe's system, and no other source than the node itself."""


def os_template_name(system: System) -> str:
    """distribution-version-arch in OpenVZ's words: debian-12-x86_64, fedora-14-x86."""
    return f"{system.distribution}-{system.version}-{ARCHITECTURES.get(system.arch, system.arch)}"


def fetch(
    choice: OsTemplateChoice,
    name: str,
    cache: Path,
    emit: Emit,
    *,
    offline: bool = False,
    patience: Patience | None = None,
) -> Path:
    """The OS template `name`, whole and checked, in the cache; its file's name is `name` and one of SUFFIXES.

    Of processes that want the same one, one downloads and the others wait. Raises UsageError when there is nothing to
    check it by, BuildError when no server has it or it is not what it should be, HostError on a full disk.
    """
    _check_name(name)
    folder = own_folder(Path(cache).absolute(), FOLDER, READABLE)
    lock = hashlib.sha256(f"ostemplate {name}".encode()).hexdigest()
    with Store(cache).claim(
        lock, lambda: emit(Note(text=f"waiting for another build that downloads OS template {name}"))
    ):
        try:
            path = _kept(choice, name, folder, emit)
            if path is None:
                _check_may_download(choice, name, folder, offline)
                path = _Download(choice, name, folder, emit, patience or Patience()).run()
            os.utime(path)
            os.utime(folder)
        except FileNotFoundError as error:
            raise BuildError(f"{error.filename} vanished: the cache was pruned meanwhile; build again") from error
        except OSError as error:
            raise HostError(
                f"cannot keep OS template {name} in {folder}: {error.strerror}; make room there, or choose another"
                " cache with --cache"
            ) from error
        return path


def kept(choice: OsTemplateChoice, name: str, cache: Path) -> Path | None:
    """The file that `fetch` would take without a download; None where it would download one. Changes nothing."""
    _check_name(name)
    if not is_own_folder(cache, FOLDER):
        return None
    return _kept(choice, name, Path(cache).absolute() / FOLDER, lambda _event: None)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith(SUFFIXES):
        raise UsageError(f"'{clean(name)}' is no name of an OS template; write it without .tar.gz, as debian-12-x86_64")


def _check_may_download(choice: OsTemplateChoice, name: str, folder: Path, offline: bool) -> None:
    if offline:
        raise BuildError(f"OS template {name} is not in the cache yet ({folder}): run once without --offline")
    if not choice.sha256 and not choice.keyrings():
        raise UsageError(
            f"OS template {name} would be downloaded from {choice.url} without a check, and run as root:"
            " give --ostemplate-sha256 HEX, or --ostemplate-keyring FILE with the key that signs its .asc"
            " (in a recipe that names it: base_sha256, base_key);"
            " or put the file into the node's cache of OS templates (/vz/template/cache) yourself"
        )
    if choice.keyrings():
        signature.require_gpgv()


def _kept(choice: OsTemplateChoice, name: str, folder: Path, emit: Emit) -> Path | None:
    """The cache's own file, where it is still what it was and what is asked for now."""
    for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES):
        if not path.is_file():
            continue
        wrong = _wrong_kept(choice, path)
        if not wrong:
            return path
        emit(Note(text=f"the cache's {path.name} is not taken: {wrong}", level="warning"))
    return None


def _wrong_kept(choice: OsTemplateChoice, path: Path) -> str:
    recorded, asc = path.with_name(path.name + ".sha256"), path.with_name(path.name + ".asc")
    found = sha256_of(path)
    if choice.sha256 and found != choice.sha256.lower():
        return f"its sha256 is {found}, and {choice.sha256.lower()} is asked for"
    if choice.keyring is not None:
        if not asc.is_file():
            return "it was not checked by a signature"
        return signature.verify(path, asc, [choice.keyring], strict=False).reason
    if not choice.sha256:
        words = recorded.read_text(errors="replace").split() if recorded.is_file() else []
        if not words or words[0] != found:
            return f"its sha256 is {found}, and {recorded.name} says {words[0] if words else 'nothing'}"
    return ""


@dataclass(frozen=True, slots=True)
class _Download:
    """One OS template on its way from the server into the cache."""

    choice: OsTemplateChoice
    name: str
    folder: Path
    emit: Emit
    patience: Patience

    def run(self) -> Path:
        missing: list[tuple[str, str]] = []
        with open_client(self.patience) as client:
            for url, file in self._places():
                try:
                    return self._take(client, url, file)
                except NotThere as reason:
                    missing.append((url, str(reason)))
            near = self._near(client)
        raise BuildError(self._nowhere(missing, near))

    def _places(self) -> Iterator[tuple[str, str]]:
        for suffix in SUFFIXES:
            for folder in FOLDERS:
                file = self.name + suffix
                yield f"{self.choice.url.rstrip('/')}/{folder}/{quote(file)}", file

    def _take(self, client: httpx.Client, url: str, file: str) -> Path:
        """Download, check and keep. A file put together from parts that fails its check is fetched once more, whole."""
        part = self.folder / f".{file}.part"
        continued = download(client, url, part, self._progress(file), self.patience)
        asc = self._signature(client, url)
        digest = sha256_of(part)
        wrong = self._wrong(url, part, digest, asc)
        if wrong and continued:
            self.emit(Note(text=f"{file} does not fit what came of it before: downloading it from the start"))
            forget(part)
            download(client, url, part, self._progress(file), self.patience)
            digest = sha256_of(part)
            wrong = self._wrong(url, part, digest, asc)
        if wrong:
            forget(part)
            raise BuildError(f"{wrong}\n  It was removed and not used.")
        return self._keep(part, self.folder / file, digest, asc)

    def _progress(self, file: str) -> Callable[[int, int], None]:
        return lambda done, total: self.emit(
            StepProgress(step="base", done=done, total=total, unit="bytes", text=f"downloading {file}")
        )

    def _signature(self, client: httpx.Client, url: str) -> bytes:
        if not self.choice.keyrings():
            return b""
        try:
            return small_file(client, url + ".asc", _SIGNATURE_LIMIT, self.patience)
        except NotThere as reason:
            raise BuildError(
                f"{url} has no signature to check it by: {url}.asc: {reason};"
                " give the file's checksum by --ostemplate-sha256"
            ) from None

    def _wrong(self, url: str, part: Path, found: str, asc: bytes) -> str:
        """What the file fails by; "" if it is what it should be. found: its sha256."""
        wanted = self.choice.sha256.lower()
        if wanted and found != wanted:
            return (
                f"{url} is not the file that is asked for by its sha256:\n  asked for  {wanted}\n  downloaded {found}\n"
                "  Compare both with what its publisher says."
            )
        keyrings = self.choice.keyrings()
        if not keyrings:
            return ""
        scratch = part.with_name(part.name + ".asc")
        scratch.write_bytes(asc)
        try:
            verdict = signature.verify(part, scratch, keyrings, strict=False)
        finally:
            scratch.unlink()
        if verdict.expired:
            self.emit(Note(text=f"the key {verdict.signer} that signed {url} has expired since", level="warning"))
        return (
            ""
            if verdict.good
            else (
                f"the signature {url}.asc does not hold: {clean(verdict.reason)}\n  downloaded file: sha256 {found}\n"
                f"  keyring: {', '.join(map(str, keyrings))}"
            )
        )

    def _keep(self, part: Path, goal: Path, digest: str, asc: bytes) -> Path:
        if asc:
            with whole_file(goal.with_name(goal.name + ".asc")) as file:
                file.write(asc)
        write_whole(goal.with_name(goal.name + ".sha256"), f"{digest}  {goal.name}\n")
        part.replace(goal)
        forget(part)
        self.emit(Note(text=f"downloaded and checked {goal.name}, sha256 {digest}", verbose=True))
        return goal

    def _near(self, client: httpx.Client) -> list[str]:
        """Names like this one in the server's listings, where it gives any."""
        names: set[str] = set()
        once = replace(self.patience, tries=1)
        for folder in FOLDERS:
            try:
                page = small_file(client, f"{self.choice.url.rstrip('/')}/{folder}/", _INDEX_LIMIT, once)
            except (NotThere, BuildError):
                continue
            links = re.findall(rb'href="(?:[^"]*/)?([^"/]+)\.tar\.(?:gz|xz|bz2)"', page)
            names |= {clean(unquote(link.decode("ascii", "replace"))) for link in links}
        return difflib.get_close_matches(self.name, sorted(names), n=5, cutoff=0.6)

    def _nowhere(self, missing: list[tuple[str, str]], near: list[str]) -> str:
        lines = [f"no OS template {self.name} at {self.choice.url}; looked for:"]
        ends = ", ".join(SUFFIXES[1:])
        lines += [f"  {url} (or {ends}): {why}" for url, why in missing[: len(FOLDERS)]]
        if near:
            lines.append(f"  near names there: {', '.join(near)}")
        lines.append(
            "  Name one that there is by --ostemplate, another server by --ostemplate-url, or put the file into the"
            " node's cache of OS templates (/vz/template/cache)."
        )
        return "\n".join(lines)
