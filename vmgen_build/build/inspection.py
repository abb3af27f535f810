"""A look at an artifact, with or without its manifest, or at a manifest alone. Nothing is unpacked or booted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.contents import FileEntry, RootContent, read_content
from vmgen_build.artifacts.diskcontents import ON_DISKS, read_on_disks
from vmgen_build.artifacts.kinds import WITH_ROOT, Kind, kind_of
from vmgen_build.artifacts.manifest import Package, manifest_bytes, manifest_in, manifest_path
from vmgen_build.artifacts.packagelists import packages_of
from vmgen_build.build.holdings import Fact, of_manifest, of_root
from vmgen_build.errors import HostError, UsageError, VmgenError
from vmgen_build.host.files import Written
from vmgen_build.host.regular import open_regular
from vmgen_build.text import size

NO_FILES = "the files of {what} are not listed: only those of a root file system are"


@dataclass(frozen=True)
class Inspection:
    """kind, written: of the file; None where a manifest alone is looked at. manifest: that which describes it, {} for
    none. doubt: why the manifest beside it is not taken for its own; "" for no reason. content: of its root, where that
    was read. unread: why it could not be; "" for no reason."""

    path: Path
    kind: Kind | None
    written: Written | None
    manifest: Mapping[str, Any]
    doubt: str = ""
    content: RootContent | None = None
    unread: str = ""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Those that there are."""
        found: list[Fact] = []
        if self.kind is not None and self.written is not None:
            found += [("format", (self.kind.title,)), ("size", (size(self.written.size),))]
            found += [("sha256", (self.written.sha256,)), ("manifest", (self._of_manifest,))]
        if self.manifest:
            packed_as = self.manifest["packed_as"]
            found += [("packed as", (packed_as,)), *of_manifest(self.manifest)]
        elif self.content is not None:
            found += of_root(self.content)
        found.append(("not read", self.not_read))
        packages = self.packages
        if packages is not None:
            found.append(("packages", (f"{len(packages):,}",)))
        return tuple((word, values) for word, values in found if any(values))

    @property
    def not_read(self) -> tuple[str, ...]:
        """What of its root is not known, and why."""
        beside = self.content.unread if self.content is not None else ()
        return tuple(filter(None, (*beside, self.unread)))

    @property
    def packages(self) -> tuple[Package, ...] | None:
        """As the manifest lists them, else as the root does. None where nothing is known of them. Raises HostError."""
        if self.manifest.get("packages"):
            return tuple(Package(**package) for package in self.manifest["packages"])
        if self.content is None:
            return None
        try:
            return packages_of(self.content.texts)
        except ValueError as error:
            raise HostError(f"{self.path}: {error}") from error

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """Raises HostError where they are not known."""
        if self.unread:
            raise HostError(self.unread)
        if self.content is None:
            what = "a manifest" if self.kind is None else self.kind.title
            raise HostError(f"{self.path}: {NO_FILES.format(what=what)}")
        return self.content.files

    @property
    def _of_manifest(self) -> str:
        if self.manifest:
            return f"{manifest_path(self.path).name} describes this very file"
        if self.doubt:
            return self.doubt
        return "none beside it" if self.unread else "none beside it: what follows was read from the file"


def inspect(path: Path, *, files: bool = False, digests: bool = False) -> Inspection:
    """files: whether they are wanted too, though a manifest tells the rest. digests: as of read_content.

    Raises UsageError where there is no such file, HostError where it is nothing that is known here or cannot be read,
    BuildError where it is damaged.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; name an artifact, or its manifest")
    if is_manifest(path):
        return Inspection(path, None, None, manifest_in(manifest_bytes(path), path))
    kind = kind_of(path)
    if kind is None:
        raise HostError(
            f"{path} is no artifact: it is no tar, no disk and no image that is known here; name an artifact or its"
            " manifest (recipes are for 'vmgen-build check' and 'why')"
        )
    written = Written.of(path)
    manifest, doubt = _manifest_of(written)
    if manifest and not files:
        return Inspection(path, kind, written, manifest)
    content, unread = _content(path, kind, digests)
    return Inspection(path, kind, written, manifest, doubt, content, unread)


def _content(path: Path, kind: Kind, digests: bool) -> tuple[RootContent | None, str]:
    """Of the root. A disk whose root cannot be read is still a disk: then why it cannot."""
    content = read_content(path, kind, digests=digests) if kind.name in WITH_ROOT else None
    if kind.name not in ON_DISKS or (content is not None and content.files):
        return content, ""
    try:
        found = read_on_disks(path, kind, digests=digests)
    except VmgenError as error:
        return content, str(error)
    if content is not None:
        found = replace(found, members=content.members, outer=content.outer)
    return found, ""


def is_manifest(path: Path) -> bool:
    """By its first letter. Raises HostError."""
    try:
        with open_regular(path) as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def _manifest_of(written: Written) -> tuple[Mapping[str, Any], str]:
    """What lies beside an artifact and describes it; else {} and why what lies there does not."""
    path = manifest_path(written.path)
    try:
        data = manifest_in(manifest_bytes(path), path)
    except FileNotFoundError:
        return {}, ""
    except HostError as error:
        return {}, str(error)
    entry = next((file for file in data["files"] if file["name"] == written.path.name), None)
    if entry is None or (entry["size"], entry["sha256"]) != (written.size, written.sha256):
        return {}, f"{path.name} describes another file: what follows was read from this one"
    return data, ""
