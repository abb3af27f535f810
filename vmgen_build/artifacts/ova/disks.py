"""The disks of an OVA of others, whatever tool has made it: what importers stumble over is no matter here."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from vmgen_build.artifacts.ova.tar import Member, MemberReader, walk
from vmgen_build.artifacts.ovf.read import read_descriptor
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import OVA_TEXT

_LINE = re.compile(r"(SHA1|SHA256|SHA512)\s*\((.+)\)\s*=\s*([0-9a-f]+)\s*", re.IGNORECASE)
_CHUNK = 1 << 20


def take_disks(path: Path, folder: Path) -> tuple[Path, ...]:
    """The file of each disk, as a new one in `folder`, in the order of the descriptor's References.

    Raises BuildError where it is no OVA, lacks what its descriptor names, or holds another file than its manifest says;
    HostError where it cannot be read, or the folder not be written to.
    """
    try:
        with open_regular(path) as file:
            return _Taking(path, file, folder).run()
    except OSError as error:
        raise HostError(f"cannot take the disks out of {path} into {folder}: {error.strerror}") from error


class _Taking:
    def __init__(self, path: Path, file: BinaryIO, folder: Path) -> None:
        self._path, self._file, self._folder = path, file, folder

    def run(self) -> tuple[Path, ...]:
        members, _ = walk(self._file, os.fstat(self._file.fileno()).st_size)
        by_name = {member.name: member for member in members}
        sums = self._sums(members)
        names = self._disk_names(members)
        if lacking := [name for name in names if name not in by_name]:
            raise BuildError(f"{self._path} lacks {lacking[0]}, a disk that its descriptor names; give a whole OVA")
        return tuple(self._copied(by_name[name], sums, number) for number, name in enumerate(names))

    def _disk_names(self, members: Sequence[Member]) -> list[str]:
        descriptor = self._text(members, ".ovf")
        if not descriptor:
            raise BuildError(f"{self._path} holds no descriptor (.ovf): it is no OVA")
        try:
            references = read_descriptor(descriptor).references
        except ValueError as error:
            raise BuildError(f"{self._path} is not read: {error}") from error
        names = [reference.name for reference in references if reference.capacity is not None]
        if not names:
            raise BuildError(f"{self._path} has no disk that a machine could start from")
        return names

    def _text(self, members: Sequence[Member], suffix: str) -> bytes:
        """Of the first member of that suffix; nothing where there is none."""
        member = next((member for member in members if member.name.endswith(suffix)), None)
        if member is None:
            return b""
        if member.size > OVA_TEXT.amount:
            raise BuildError(f"{self._path}: {member.name}: {OVA_TEXT.exceeded}")
        with MemberReader(self._file, member) as reader:
            return reader.readall()

    def _sums(self, members: Sequence[Member]) -> Mapping[str, tuple[str, str]]:
        """File name -> algorithm and digest, as the manifest has them, where there is one."""
        lines = self._text(members, ".mf").decode(errors="replace").splitlines()
        found = (match for line in lines if (match := _LINE.fullmatch(line)))
        return {match[2]: (match[1].lower(), match[3].lower()) for match in found}

    def _copied(self, member: Member, sums: Mapping[str, tuple[str, str]], number: int) -> Path:
        algorithm, wanted = sums.get(member.name, ("sha256", ""))
        digest = hashlib.new(algorithm, usedforsecurity=False)
        goal = self._folder / f"disk{number}.vmdk"
        with MemberReader(self._file, member, digest.update) as reader, goal.open("xb") as copy:
            shutil.copyfileobj(reader, copy, _CHUNK)
        if wanted and digest.hexdigest() != wanted:
            raise BuildError(
                f"{self._path}: {member.name} is not what the OVA's manifest says of it ({algorithm}); fetch it again"
            )
        return goal
