"""Checking an OVA: all that an importer could stumble over, each as a finding of its own."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from vmgen_build.artifacts.nvram import check_nvram
from vmgen_build.artifacts.ova.tar import Member, MemberReader, walk
from vmgen_build.artifacts.ovf.read import Ovf, Reference, read_descriptor
from vmgen_build.artifacts.progress import Progress
from vmgen_build.artifacts.vmdk import VmdkError, VmdkInfo, check_vmdk, extract
from vmgen_build.errors import HostError
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import FINDINGS, OVA_TEXT

_LONGEST_FINDING = 1000
"""Characters."""

_LINE = re.compile(r"(SHA1|SHA256)\((.+)\)= ([0-9a-f]+)")
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class OvaContent:
    """descriptor: "" where there is none to read. disks: by file name, those that are sound. raws: the raw image of
    each of them, where they were asked for. findings: each rule that is broken; none: the OVA is sound."""

    members: tuple[Member, ...]
    descriptor: str
    disks: Mapping[str, VmdkInfo]
    raws: Mapping[str, Path]
    findings: tuple[str, ...]


def check_ova(path: Path, *, folder: Path | None = None, progress: Progress | None = None) -> OvaContent:
    """Read it once from end to end, and check order, tar form, digests, sizes, references both ways, the descriptor,
    and each disk to its end-of-stream marker.

    folder: where each disk is written to on the way, as a sparse raw image of the name of its file and ".raw".
    progress: of the archive's bytes. Raises HostError where the file cannot be read, or the folder not be written to.
    """
    try:
        with open_regular(path) as file:
            return _Check(file, folder, progress).run()
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error


def check_opened(file: BinaryIO) -> tuple[str, ...]:
    """The findings of `check_ova` for an OVA that is open. Raises OSError."""
    return _Check(file, None, None).run().findings


class _Check:
    def __init__(self, file: BinaryIO, folder: Path | None, progress: Progress | None) -> None:
        self._file, self._folder, self._progress = file, folder, progress
        self._done = 0
        self._disks: dict[str, VmdkInfo] = {}
        self._raws: dict[str, Path] = {}
        self._findings: list[str] = []

    def run(self) -> OvaContent:
        members, self._findings = walk(self._file, os.fstat(self._file.fileno()).st_size)
        self._findings += _order(members)
        texts = {suffix: self._text(members, suffix) for suffix in (".ovf", ".mf")}
        sums = self._sums(texts[".mf"])
        ovf = self._ovf(texts[".ovf"])
        self._findings += _references(ovf, members)
        references = {reference.name: reference for reference in ovf.references}
        for member in members:
            self._member(member, sums, references.get(member.name))
        self._findings += self._nvram(ovf, members)
        known = {member.name for member in members}
        self._findings += [
            f"the manifest names {name}, which is not in the archive" for name in sums if name not in known
        ]
        descriptor = (texts[".ovf"] or b"").decode(errors="replace")
        return OvaContent(tuple(members), descriptor, self._disks, self._raws, _few(self._findings))

    def _text(self, members: list[Member], suffix: str) -> bytes | None:
        """The first member of that suffix, or None."""
        member = next((member for member in members if member.name.endswith(suffix)), None)
        if member is None:
            return None
        if member.size > OVA_TEXT.amount:
            why = f"{member.size} bytes are too many to be one: {OVA_TEXT.exceeded}"
            self._findings.append(f"{member.name}: {why}; it is not read")
            return None
        with MemberReader(self._file, member) as reader:
            return reader.readall()

    def _sums(self, text: bytes | None) -> dict[str, tuple[str, str]]:
        """File name -> algorithm and digest, as the manifest has them."""
        found: dict[str, tuple[str, str]] = {}
        if text is None:
            return found
        if not text.endswith(b"\n") or b"\r" in text:
            self._findings.append("the manifest's lines do not end with a line feed each")
        for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
            match = _LINE.fullmatch(line)
            if match is None or match[2] in found:
                why = "is not of the form SHA256(name)= digest" if match is None else f"names {match[2]} again"
                self._findings.append(f"line {number} of the manifest {why}")
                if len(self._findings) > FINDINGS.amount:
                    break
                continue
            found[match[2]] = match[1].lower(), match[3]
        if len({algorithm for algorithm, _ in found.values()}) > 1:
            self._findings.append("the manifest mixes SHA1 and SHA256")
        return found

    def _ovf(self, text: bytes | None) -> Ovf:
        if text is None:
            return Ovf((), ())
        try:
            ovf = read_descriptor(text)
        except ValueError as error:
            self._findings.append(str(error))
            return Ovf((), ())
        self._findings += ovf.findings
        return ovf

    def _nvram(self, ovf: Ovf, members: list[Member]) -> Iterator[str]:
        for member in members:
            if member.name in ovf.nvram:
                try:
                    with MemberReader(self._file, member) as reader:
                        check_nvram(reader, member.size)  # type: ignore[arg-type]
                except ValueError as error:
                    yield f"{member.name}: {error}"

    def _member(self, member: Member, sums: Mapping[str, tuple[str, str]], reference: Reference | None) -> None:
        """Read one whole: its digest, and the disk that it holds."""
        if member.name.endswith(".mf"):
            return
        algorithm, wanted = sums.get(member.name, ("sha256", ""))
        digest = hashlib.new(algorithm)
        reader = MemberReader(self._file, member, lambda data: self._read(digest.update, data))
        if reference is not None and reference.capacity is not None and member.name not in self._disks:
            self._findings += self._disk(member, reader, reference.capacity)
        reader.drain()
        if not wanted:
            self._findings.append(f"{member.name}: the manifest has no digest of it")
        elif digest.hexdigest() != wanted:
            self._findings.append(
                f"{member.name}: its {algorithm} is {digest.hexdigest()}, and the manifest has {wanted}"
            )

    def _read(self, update: Callable[[memoryview], object], data: memoryview) -> None:
        update(data)
        self._done += len(data)
        if self._progress:
            self._progress(self._done)

    def _disk(self, member: Member, reader: MemberReader, capacity: int) -> Iterator[str]:
        stream: IO[bytes] = io.BufferedReader(reader, _BUFFER)
        try:
            if self._folder is None:
                info = check_vmdk(stream)
            else:
                raw = self._folder / f"{Path(member.name).name}.raw"
                info = extract(stream, raw)
                self._raws[member.name] = raw
        except VmdkError as error:
            yield str(error)
            return
        finally:
            stream.detach()  # type: ignore[attr-defined]
        self._disks[member.name] = info
        if info.capacity != capacity:
            yield f"{member.name}: the disk has {info.capacity} bytes, and the descriptor says {capacity}"


def _few(findings: list[str]) -> tuple[str, ...]:
    """Those that are listed, each no longer than a person reads, and how many more there are."""
    listed = [text if len(text) <= _LONGEST_FINDING else f"{text[:_LONGEST_FINDING]}…" for text in findings]
    more = len(findings) - FINDINGS.amount
    if more <= 0:
        return tuple(listed)
    return (*listed[: FINDINGS.amount], f"and more: {FINDINGS.exceeded}")


def _order(members: list[Member]) -> Iterator[str]:
    names = [member.name for member in members]
    if not names or not names[0].endswith(".ovf"):
        yield f"the first file is {names[0] if names else 'missing'}, and not the OVF descriptor"
    if len(names) < 2 or not names[1].endswith(".mf"):
        yield f"the second file is {names[1] if len(names) > 1 else 'missing'}, and not the manifest"
    elif names[0].removesuffix(".ovf") != names[1].removesuffix(".mf"):
        yield f"{names[0]} and {names[1]} have different names"
    yield from (f"{name} is in the archive twice" for name in sorted(set(names)) if names.count(name) > 1)


def _references(ovf: Ovf, members: list[Member]) -> Iterator[str]:
    sizes = {member.name: member.size for member in members}
    for reference in ovf.references:
        if reference.name not in sizes:
            yield f"the descriptor refers to {reference.name}, which is not in the archive"
        elif sizes[reference.name] != reference.size:
            yield f"{reference.name} has {sizes[reference.name]} bytes, and the descriptor says {reference.size}"
    names = [reference.name for reference in ovf.references]
    others = [member.name for member in members if not member.name.endswith((".ovf", ".mf"))]
    yield from (f"{name}: the descriptor does not refer to it" for name in others if name not in names)
    expected = [name for name in names if name in others]
    if [name for name in others if name in names] != expected:
        yield f"the files do not stand in the order of References: {', '.join(expected)}"
