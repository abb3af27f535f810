"""The root file system in an artifact of others, as it passes by: its files, and the few texts that tell of it.

Nothing is unpacked. Of layers the upper ones count (image-spec, layer.md: whiteouts), as they are laid over each other.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from vmgen_build.artifacts.deadline import Deadline
from vmgen_build.artifacts.gzipped import gzip_content
from vmgen_build.artifacts.kinds import Kind, opened_plain, plain_name
from vmgen_build.artifacts.tarstream import Files, TarEntry, TarStream, exactly
from vmgen_build.errors import BuildError, HostError
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import (
    LISTED_FILES,
    LISTED_NAMES,
    LISTED_TEXTS,
    OCI_INDEXES,
    OCI_LAYERS,
    OCI_TEXT,
    PACKAGE_LIST,
    ROOT_DEPTH,
    TREE_FILE,
    Limit,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"

_KINDS = {b"1": "hardlink", b"2": "link", b"3": "char", b"4": "block", b"5": "dir", b"6": "fifo"}
"""Type flag of a tar (tar(5)) -> kind; all others are files."""

TEXTS: Mapping[str, Limit] = {
    "etc/os-release": TREE_FILE,
    "usr/lib/os-release": TREE_FILE,
    "etc/hostname": TREE_FILE,
    "etc/fstab": TREE_FILE,
    "etc/passwd": TREE_FILE,
    "var/lib/dpkg/status": PACKAGE_LIST,
    "lib/apk/db/installed": PACKAGE_LIST,
    "usr/lib/apk/db/installed": PACKAGE_LIST,
    "usr/lib/sysimage/rpm/rpmdb.sqlite": PACKAGE_LIST,
    "usr/lib/sysimage/rpm/rpmdb.sqlite-wal": PACKAGE_LIST,
    "var/lib/rpm/rpmdb.sqlite": PACKAGE_LIST,
    "var/lib/rpm/rpmdb.sqlite-wal": PACKAGE_LIST,
}
"""Files of the root that are kept."""

_ALSO = re.compile(r"var/lib/(pacman/local/[^/]+/desc|dpkg/status\.d/[^/]+)")

_OUTER = ("config", "metadata.yaml", "metadata.json", "image.json")
"""Files beside the root that are kept."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a root. kind: "file", "dir", "link", "hardlink", "char", "block", "fifo". mode: permissions. target: of
    a link; of a device its numbers. sha256: of a file's content, "" where it was not asked for."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class RootContent:
    """files: by path, "etc/passwd". texts: path -> content of those of them that tell of the root. outer: the same of
    files beside it. members: name -> size of what the artifact itself is packed of, where it is no root. unread: what
    of the root is not there, and why."""

    files: Mapping[str, FileEntry]
    texts: Mapping[str, bytes] = field(default_factory=dict)
    outer: Mapping[str, bytes] = field(default_factory=dict)
    members: Mapping[str, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


def read_content(path: Path, kind: Kind, *, digests: bool = False) -> RootContent:
    """Read the artifact once from end to end. digests: whether each file's sha256 is wanted.

    Raises BuildError where it is damaged, or more than a limit allows; HostError where it cannot be read.
    """
    reading = _Reading(digests, Deadline.from_now())
    try:
        with opened_plain(path) as plain:
            return reading.layered(TarStream(plain)) if kind.name == "oci" else reading.whole(TarStream(plain), kind)
    except ValueError as error:
        raise BuildError(f"{path} cannot be read to its end: {error}") from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


class RootReading:
    """A root that one file system makes up, or several, each laid over those before it. Raises ValueError for more
    than a limit allows."""

    def __init__(self, deadline: Deadline, *, digests: bool = False) -> None:
        """deadline: of all that is read. digests: as of read_content."""
        self._deadline, self._reading, self._whole = deadline, _Reading(digests, deadline), _Layer()

    def add(self, files: Files, at: str = "") -> None:
        """at: the folder in whose place they are, "boot"; "" for the root itself."""
        layer = _Layer()
        self._reading.all(files, layer, at)
        layer.opaque.update(filter(None, [at]))
        self._whole = _laid_over(self._whole, layer, self._deadline)

    def text(self, name: str) -> bytes:
        """Of those that are kept; b"" where it is not there."""
        return self._whole.texts.get(name, b"")

    def content(self, unread: Iterable[str] = ()) -> RootContent:
        return RootContent(_linked(self._whole.files), self._whole.texts, unread=tuple(unread))


class _Layer:
    """What one tar of a root holds. Filled while it is read. gone, opaque: paths that it takes away, folders of which
    it hides what was there."""

    def __init__(self) -> None:
        self.files: dict[str, FileEntry] = {}
        self.texts: dict[str, bytes] = {}
        self.gone: set[str] = set()
        self.opaque: set[str] = set()


class _Reading:
    """Of one artifact: how much of it there may be."""

    def __init__(self, digests: bool, deadline: Deadline) -> None:
        self._digests, self._deadline = digests, deadline
        self._names = self._count = self._texts = 0
        self._has_whiteouts = False

    def whole(self, tar: TarStream, kind: Kind) -> RootContent:
        layer, outer, members = _Layer(), {}, {}
        prefix = "rootfs" if kind.name in ("lxc", "incus") else ""
        for entry in tar.entries():
            name = _checked(entry.name)
            if kind.name in ("box", "openvz", "tar", "ova", "incus-vm"):
                members[name] = entry.size
                self._spend(name)
                if kind.has_root and name.endswith((".tar.gz", ".tgz")):
                    self._packed_root(tar, name, layer)
                elif name in _OUTER:
                    outer[name] = _text(tar, name, TREE_FILE)
            elif not prefix:
                self._take(tar, entry, name, layer)
            elif name == prefix or name.startswith(f"{prefix}/"):
                self._take(tar, entry, name[len(prefix) + 1 :], layer)
            elif name in _OUTER:
                outer[name] = _text(tar, name, TREE_FILE)
        return RootContent(_linked(layer.files), layer.texts, outer, members)

    def layered(self, tar: TarStream) -> RootContent:
        """The layers come in any order, and what names their order may come last."""
        self._has_whiteouts = True
        layers: dict[str, _Layer] = {}
        texts: dict[str, bytes] = {}
        members: dict[str, int] = {}
        for entry in tar.entries():
            name = _checked(entry.name)
            members[name] = entry.size
            self._spend(name)
            if not entry.is_file:
                continue
            head = exactly(tar, len(_GZIP))
            if head[:1] in (b"{", b"[") and entry.size <= OCI_TEXT.amount:
                self._keep(entry.size)
                texts[name] = head + exactly(tar, entry.size - len(head))
            elif name.endswith("/layer.tar") or name.startswith("blobs/"):
                if len(layers) >= OCI_LAYERS.amount:
                    raise ValueError(f"it has too many layers: {OCI_LAYERS.exceeded}")
                layers[name] = self._layer(cast(IO[bytes], _Again(head, tar)), name, packed=head == _GZIP)
        whole = _Layer()
        for name in _order_of(texts):
            if name not in layers:
                raise ValueError(f"the layer {name[:100]} is not in it, or is compressed in a way that is not read")
            whole = _laid_over(whole, layers[name], self._deadline)
        return RootContent(_linked(whole.files), whole.texts, {}, members)

    def _packed_root(self, tar: TarStream, name: str, layer: _Layer) -> None:
        with gzip_content(cast(IO[bytes], tar), name) as content:
            self.all(TarStream(content), layer)

    def _layer(self, data: IO[bytes], name: str, *, packed: bool) -> _Layer:
        layer = _Layer()
        if not packed:
            self.all(TarStream(data), layer)
            return layer
        with gzip_content(data, name) as content:
            self.all(TarStream(content), layer)
        return layer

    def all(self, files: Files, layer: _Layer, at: str = "") -> None:
        """at: the folder that they lie in."""
        for entry in files.entries():
            if at and entry.kind == b"1":
                entry = replace(entry, link=f"{at}/{entry.link}")
            self._take(files, entry, _checked(f"{at}/{entry.name}"), layer)

    def _take(self, tar: Files, entry: TarEntry, name: str, layer: _Layer) -> None:
        self._spend(name)
        folder, _, last = name.rpartition("/")
        if self._has_whiteouts and last == _OPAQUE:
            layer.opaque.add(folder)
            return
        if self._has_whiteouts and last.startswith(_WHITEOUT):
            layer.gone.add("/".join(filter(None, (folder, last.removeprefix(_WHITEOUT)))))
            return
        if not name:
            return
        limit = TEXTS.get(name) or (TREE_FILE if _ALSO.fullmatch(name) else None)
        digest = ""
        if entry.is_file and limit is not None and entry.size <= limit.amount:
            self._keep(entry.size)
            layer.texts[name] = exactly(tar, entry.size)
            digest = hashlib.sha256(layer.texts[name]).hexdigest() if self._digests else ""
        elif entry.is_file and self._digests:
            digest = self._digest(tar)
        layer.files[name] = _file_entry(entry, digest)

    def _digest(self, tar: Files) -> str:
        found = hashlib.sha256()
        while chunk := tar.read(_CHUNK):
            found.update(chunk)
            self._deadline.check()
        return found.hexdigest()

    def _spend(self, name: str) -> None:
        self._count += 1
        self._names += len(name)
        if self._count > LISTED_FILES.amount:
            raise ValueError(f"it has too many files to be listed: {LISTED_FILES.exceeded}")
        if self._names > LISTED_NAMES.amount:
            raise ValueError(f"the names of its files are too long: {LISTED_NAMES.exceeded}")
        if name.count("/") >= ROOT_DEPTH.amount:
            raise ValueError(f"{name[:100]!a} lies too deep: {ROOT_DEPTH.exceeded}")
        self._deadline.check()

    def _keep(self, size: int) -> None:
        """So many bytes more of texts."""
        self._texts += size
        if self._texts > LISTED_TEXTS.amount:
            raise ValueError(f"its lists of packages and the like are too large: {LISTED_TEXTS.exceeded}")


class _Again(io.RawIOBase):
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, rest: TarStream) -> None:
        super().__init__()
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._head[: len(view)] or self._rest.read(len(view)) or b""
        self._head = self._head[len(data) :]
        view[: len(data)] = data
        return len(data)


def _checked(name: str) -> str:
    """Its plain name. Raises ValueError for one that leads out."""
    found = plain_name(name)
    if ".." in found.split("/"):
        raise ValueError(f"the name {name[:100]!a} leads out of it")
    return found


def _file_entry(entry: TarEntry, digest: str) -> FileEntry:
    kind = "dir" if entry.name.endswith("/") and not entry.link else _KINDS.get(entry.kind, "file")
    target = entry.link if kind in ("link", "hardlink") else ""
    if kind in ("char", "block"):
        target = f"{entry.device[0]}:{entry.device[1]}"
    return FileEntry(kind, entry.mode, entry.uid, entry.gid, entry.size, target, digest)


def _linked(files: Mapping[str, FileEntry]) -> Mapping[str, FileEntry]:
    """Each hard link as the file that it is, sorted by name."""
    found = {}
    for name in sorted(files):
        entry = files[name]
        goal = files.get(plain_name(entry.target).removeprefix("rootfs/")) if entry.kind == "hardlink" else None
        found[name] = replace(goal, kind="file") if goal is not None and goal.kind == "file" else entry
    return found


def _laid_over(below: _Layer, above: _Layer, deadline: Deadline) -> _Layer:
    covered = above.gone | {name for name, entry in above.files.items() if entry.kind != "dir"}
    whole = _Layer()
    for name in below.files:
        deadline.check()
        ways = list(_ways(name))
        if name not in above.gone and not any(way in covered or way in above.opaque for way in ways):
            whole.files[name] = below.files[name]
    whole.texts = {name: text for name, text in below.texts.items() if name in whole.files}
    whole.files.update(above.files)
    whole.texts.update(above.texts)
    return whole


def _ways(name: str) -> Iterator[str]:
    """The folders above it, the root ("") too."""
    while name:
        name = name.rpartition("/")[0]
        yield name


def _order_of(texts: Mapping[str, bytes]) -> Iterable[str]:
    """Names of the layers, the lowest first: as index.json leads to them, or docker save's manifest.json."""
    if "manifest.json" in texts:
        layers = _first(_json(texts["manifest.json"]))["Layers"].items(OCI_LAYERS)
        return [layer.text(255) for layer in layers]
    if "index.json" not in texts:
        raise ValueError("it has no index.json that names its layers")
    data = _json(texts["index.json"])
    for _ in range(OCI_INDEXES.amount):
        if (listed := data.optional("manifests")) is None:
            break
        name = _blob(_first(listed))
        if name not in texts:
            raise ValueError("its index leads to a manifest that is not there")
        data = _json(texts[name])
    return [_blob(layer) for layer in data["layers"].items(OCI_LAYERS)]


def _first(listed: Field) -> Field:
    """Of several images the first is meant."""
    found = next(listed.items(OCI_LAYERS), None)
    if found is None:
        raise listed.wrong("a list of at least one image")
    return found


def _json(data: bytes) -> Field:
    return Field(parse_json(data, OCI_TEXT))


def _blob(descriptor: Field) -> str:
    digest = descriptor["digest"].matching("sha256:[0-9a-f]{64}", "a sha256 digest")
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _text(tar: TarStream, name: str, limit: Limit) -> bytes:
    data = exactly(tar, limit.amount + 1)
    if len(data) > limit.amount:
        raise ValueError(f"{name} is too large: {limit.exceeded}")
    return data
