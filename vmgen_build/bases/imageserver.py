"""Image servers that speak simplestreams, as those of LXD and Incus do: which file holds the root of a system.

streams/v1/index.json names lists of products; each list has products, of these versions, of these files ("items") with
path, size and sha256 (the documentation of simplestreams; LXD's, "Image server"). Who signs, signs index and lists:
NAME.sjson is the list as a clear-signed message, NAME.json.asc and NAME.json.gpg are detached signatures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from vmgen_build.bases import signature
from vmgen_build.bases.download import NotThere, Patience, open_client, small_file
from vmgen_build.bases.fetched import WantedFile
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import IMAGE_INDEX, IMAGE_PRODUCTS, IMAGE_STREAMS
from vmgen_build.systems.model import System
from vmgen_build.text import clean, without_passwords

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "https://images.linuxcontainers.org"
INDEX = "streams/v1/index.json"

_SIGNATURE_LIMIT = 64 << 10
_WORD, _ALIASES = 1_000, 10_000
_PATH = r"[A-Za-z0-9][A-Za-z0-9._+:~-]*(/[A-Za-z0-9][A-Za-z0-9._+:~-]*){0,20}"
_ROOTS = (r"root\.tar\.[a-z0-9]+", "squashfs", r"root\.squashfs", r"(lxd|incus)_combined\.tar\.[a-z0-9]+")
"""Kinds of files that hold a container's root, the one that is taken first to begin with."""


@dataclass(frozen=True, slots=True)
class ImageServer:
    """url: the folder that holds streams/. key: that must have signed its lists, None where https is trusted for them.

    Raises UsageError for what is no address of one.
    """

    url: str = DEFAULT_URL
    key: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"--image-server '{clean(without_passwords(self.url))}': write it as {DEFAULT_URL}")
        if "@" in parts.netloc:
            raise UsageError(
                "--image-server: a user and password in it would show in the list of processes; take it out"
            )

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https:")

    def address(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{quote(path, safe='/:+~')}"


@dataclass(frozen=True, slots=True)
class _Product:
    aliases: frozenset[str]
    arch: str
    versions: Field


def aliases_of(system: System) -> tuple[str, ...]:
    """Under which a server may have the system, the likeliest first: "fedora/42", "debian/12", "debian/bookworm"."""
    row = next((row for row in system.family.distributions if row.name == system.distribution), None)
    names = (system.distribution, *(row.words if row else ()))
    releases = [system.version, system.codename, f"{system.version}-Stream"]
    if row is not None and row.rolling == system.version:
        releases += ["current", ""]
    found = [f"{name}/{release}".rstrip("/") for release in dict.fromkeys(filter(None, releases)) for name in names]
    return tuple(found + (list(names) if "" in releases else []))


def find_image(
    server: ImageServer, aliases: Sequence[str], arch: str, *, summed: bool = False, patience: Patience | None = None
) -> WantedFile:
    """The file that holds the root of the newest image with one of these aliases. arch: in Debian's words.

    summed: what is downloaded is checked by a sum of the recipe's own, so that the server need not be trusted. Raises
    BuildError where the server cannot be reached or trusted, or has no such image.
    """
    if server.key is None and not server.is_secure and not summed:
        raise BuildError(
            f"the image server {server.url} speaks http, and nothing says who made its lists; take https, or name the"
            " key that signs them ([hardware] base_key), or the file's checksum (base_sha256)"
        )
    patience = patience or Patience()
    with open_client(patience, secure=server.key is None and server.is_secure) as client:
        lists = _Lists(server, client, patience)
        try:
            return lists.found(aliases, arch)
        except ValueError as error:
            raise BuildError(f"the image server {server.url} cannot be read: {clean(str(error))}") from error


@dataclass(frozen=True, slots=True)
class _Lists:
    server: ImageServer
    client: httpx.Client
    patience: Patience

    def found(self, aliases: Sequence[str], arch: str) -> WantedFile:
        """Raises ValueError for what no list holds, BuildError."""
        near: set[str] = set()
        others: set[str] = set()
        for path in self._paths():
            products = list(_products(self._json(path)))
            for alias in aliases:
                of_alias = [one for one in products if alias in one.aliases]
                for product in of_alias:
                    if product.arch == arch and (file := _newest(product)) is not None:
                        return WantedFile(self.server.address(file[0]), file[1])
                others |= {one.arch for one in of_alias}
            heads = {alias.partition("/")[0] for alias in aliases}
            near |= {one for product in products for one in product.aliases if one.partition("/")[0] in heads}
        raise BuildError(self._nothing(aliases, arch, near, others))

    def _nothing(self, aliases: Sequence[str], arch: str, near: set[str], others: set[str]) -> str:
        text = f"the image server {self.server.url} has no image {' or '.join(aliases[:3])} for {arch}"
        if others - {arch}:
            return f"{text}; it has it for {', '.join(sorted(map(clean, others - {arch})))}"
        return f"{text}; near ones there: {', '.join(sorted(map(clean, near))[:8])}" if near else text

    def _paths(self) -> Iterator[str]:
        """Of the lists of images."""
        for _, stream in self._json(INDEX)["index"].members(IMAGE_STREAMS):
            if stream.or_else("datatype", "").text(_WORD) == "image-downloads":
                yield stream["path"].matching(_PATH, "a path below the server's address")

    def _json(self, path: str) -> Field:
        return Field(parse_json(self._bytes(path), IMAGE_INDEX))

    def _bytes(self, path: str) -> bytes:
        """Checked by the server's key, where it has one."""
        if self.server.key is None:
            return self._file(path, IMAGE_INDEX.amount)
        stem = path.removesuffix(".sjson").removesuffix(".json")
        try:
            message = self._fetched(f"{stem}.sjson", IMAGE_INDEX.amount)
        except NotThere:
            return self._with_signature(f"{stem}.json")
        text, reason = signature.signed_text(message, self.server.key)
        self._judge(f"{stem}.sjson", reason)
        return text

    def _with_signature(self, path: str) -> bytes:
        assert self.server.key is not None
        data = self._file(path, IMAGE_INDEX.amount)
        for end in (".asc", ".gpg"):
            try:
                signed = self._fetched(path + end, _SIGNATURE_LIMIT)
            except NotThere:
                continue
            self._judge(path, signature.why_not_signed(data, signed, self.server.key))
            return data
        raise BuildError(f"{self.server.address(path)} is not signed: there is neither .sjson, .json.asc nor .json.gpg")

    def _judge(self, path: str, reason: str) -> None:
        if reason:
            raise BuildError(
                f"{self.server.address(path)} is not signed by a key of {self.server.key}: {clean(reason)};"
                " take another server (--image-server), or the right key (base_key)"
            )

    def _file(self, path: str, limit: int) -> bytes:
        try:
            return self._fetched(path, limit)
        except NotThere as reason:
            raise BuildError(f"{self.server.address(path)}: {reason}; is it an image server?") from None

    def _fetched(self, path: str, limit: int) -> bytes:
        return small_file(self.client, self.server.address(path), limit, self.patience)


def _products(whole: Field) -> Iterator[_Product]:
    for _, product in whole["products"].members(IMAGE_PRODUCTS, _WORD):
        aliases = product.or_else("aliases", "").text(_ALIASES).split(",")
        arch = product.or_else("arch", "").text(_WORD)
        yield _Product(frozenset(one.strip() for one in aliases), arch, product["versions"])


def _newest(product: _Product) -> tuple[str, str] | None:
    """Path and sha256 of the root in the newest version that has one."""
    for _, version in sorted(product.versions.members(IMAGE_PRODUCTS), key=lambda pair: pair[0], reverse=True):
        items = [item for _, item in version["items"].members(IMAGE_PRODUCTS)]
        for kind in _ROOTS:
            for item in items:
                if re.fullmatch(kind, item["ftype"].text(_WORD)) and item.optional("sha256") is not None:
                    digest = item["sha256"].matching("[0-9a-f]{64}", "a sha256 of 64 hexadecimal digits")
                    return item["path"].matching(_PATH, "a path below the server's address"), digest
    return None
