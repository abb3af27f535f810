"""The files of an ext2, ext3 or ext4 file system within a raw disk of others, by debugfs(8), which runs confined.

One debugfs answers all questions: it reads commands from its standard input (-f -), says each again before its answer,
and says a comment again as it stands. A comment with a number that nobody can guess ends each answer, so that no name
and no content of a file is taken for it. Numbers of inodes alone are asked for, never names.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import IO

from vmgen_build.artifacts.deadline import Deadline
from vmgen_build.artifacts.tarstream import TarEntry
from vmgen_build.host.confined import Reach, start_filter
from vmgen_build.host.inmemory import name_of
from vmgen_build.host.run import PIPE, Process, kill
from vmgen_build.limits import LISTED_FILES, LISTED_NAMES, TAR_CONTENT, Limit

READS = ("ext2", "ext3", "ext4")
"""Types of file systems, as blkid(8) names them."""

_ROOT = 2
"""The inode of the top folder (the kernel's Documentation/filesystems/ext4/special_inodes.rst)."""

_ENTRY = re.compile(rb"/(\d{1,10})/([0-7]{6})/(-?\d{1,10})/(-?\d{1,10})/([^/]*)/(\d{0,20})/\n")
"""Of "ls -p": inode, mode, owner, group, name, size of what is no folder. A name may hold line ends, but no slash.
Inode 0: a place of no file."""

_DEVICE = re.compile(rb"Device major/minor number: (\d{1,10}):(\d{1,10})")
_FAST = b'Fast link dest: "'
_LONGEST_LINK = 4096
_ANSWER = 1 << 20
"""Bytes of what "stat" says of one inode."""

_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
"""Type flags of a tar (tar(5)). A tar has no sockets, and they are left out."""

_VERSION = re.compile(r"debugfs \d")
"""What it begins with on its standard error."""

_CHUNK = 1 << 20
_REASON = 400


@contextmanager
def ext_files(raw: IO[bytes], start: int, deadline: Deadline) -> Iterator[ExtFiles]:
    """raw: an image that confined programs may open; start: byte of it where the file system begins. deadline: of all.

    Raises HostError where there is no debugfs; the body, as TarStream, ValueError.
    """
    with tempfile.TemporaryFile() as errors:
        command = ["debugfs", "-c", "-f", "-", f"{name_of(raw)}?offset={start}"]
        process = start_filter(command, Reach((raw.fileno(),)), PIPE, errors)
        assert process.stdin is not None and process.stdout is not None
        try:
            yield ExtFiles(_Answers(process, errors, deadline))
        finally:
            kill(process)
            process.stdin.close()
            process.stdout.close()


class ExtFiles:
    """As a TarStream: `entries` gives all files, a folder before what it holds; `read` the data of the one that was
    given last. Of a file with several names, all but the first are hard links."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
        self._file = self._left = self._content = 0
        self._listed, self._entries = LISTED_NAMES.amount, 0

    @property
    def is_unclean(self) -> bool:
        """Whether its journal holds what the file system itself does not have yet."""
        return b" needs_recovery" in self._answers.whole("features", _ANSWER)

    def has_at_top(self, names: Collection[str]) -> set[str]:
        """Those of the names that its top folder has."""
        return {name for _, _, raw_name, _ in self._folder(_ROOT) if (name := _decoded(raw_name)) in names}

    def entries(self) -> Iterator[TarEntry]:
        waiting, seen, files = [("", _ROOT)], {_ROOT}, dict[int, str]()
        while waiting:
            above, folder = waiting.pop()
            self._begin(0, 0)
            for number, (mode, uid, gid), raw_name, size in self._folder(folder):
                name = f"{above}{_decoded(raw_name)}"
                kind = _TYPES.get(stat.S_IFMT(mode))
                if kind is None:
                    continue
                if kind == b"5":
                    if number in seen:
                        raise ValueError(f"the folder {name[:100]!a} is in two folders, or holds itself")
                    seen.add(number)
                    waiting.append((f"{name}/", number))
                first = files.setdefault(number, name) if kind == b"0" else name
                is_file = kind == b"0" and first == name
                self._begin(number, size if is_file else 0)
                yield TarEntry(
                    name=name,
                    is_file=is_file,
                    size=self._left,
                    kind=kind if first == name else b"1",
                    mode=stat.S_IMODE(mode),
                    uid=uid,
                    gid=gid,
                    link=self._link(number, size) if kind == b"2" else first,
                    device=self._device(number) if kind in (b"3", b"4") else (0, 0),
                )

    def read(self, size: int = -1) -> bytes:
        if not self._left or not size:
            return b""
        if self._file:
            self._content += self._left
            if self._content > TAR_CONTENT.amount:
                raise ValueError(f"its files are too large: {TAR_CONTENT.exceeded}")
            self._answers.begin(f"cat <{self._file}>")
            self._file = 0
        data = self._answers.some(min(self._left, _CHUNK if size < 0 else size, _CHUNK))
        self._left -= len(data)
        if not self._left:
            self._answers.end()
        return data

    def _begin(self, number: int, size: int) -> None:
        """A file that was read in part is read to its end."""
        while self._left and not self._file:
            self.read(_CHUNK)
        self._file, self._left = number, size

    def _folder(self, number: int) -> Iterator[tuple[int, tuple[int, int, int], bytes, int]]:
        """Inode; mode, owner and group; name; size."""
        text = self._answers.whole(f"ls -p <{number}>", self._listed, LISTED_NAMES)
        self._listed -= len(text)
        at = 0
        while match := _ENTRY.match(text, at):
            at = match.end()
            inode, mode, uid, gid, name, size = match.groups()
            if int(inode) and name not in (b".", b".."):
                self._entries += 1
                if self._entries > LISTED_FILES.amount:
                    raise ValueError(f"it has too many files to be listed: {LISTED_FILES.exceeded}")
                owners = int(mode, 8), int(uid) & 0xFFFFFFFF, int(gid) & 0xFFFFFFFF
                yield int(inode), owners, name, int(size or 0)
        if text[at:].strip(b"\n"):
            raise ValueError(f"a folder has a name that no folder can have: {text[at : at + 100]!a}")

    def _link(self, number: int, size: int) -> str:
        if size > _LONGEST_LINK:
            raise ValueError(f"a link's goal has {size} bytes, and no link can have as many")
        text = self._answers.whole(f"stat <{number}>", _ANSWER)
        at = len(text) - len(_FAST) - size - 2
        if at >= 0 and text[at:].startswith(_FAST):
            return _decoded(text[at + len(_FAST) : -2])
        return _decoded(self._answers.whole(f"cat <{number}>", _ANSWER))

    def _device(self, number: int) -> tuple[int, int]:
        match = _DEVICE.search(self._answers.whole(f"stat <{number}>", _ANSWER))
        return (int(match[1]), int(match[2])) if match else (0, 0)


class _Answers:
    """Of a debugfs that runs. An answer is asked for once the one before it is read to its end.

    Raises ValueError where it says that something is wrong, says more than may be, or takes too long.
    """

    def __init__(self, process: Process, errors: IO[bytes], deadline: Deadline) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._commands, self._output, self._errors = process.stdin, process.stdout, errors
        self._deadline, self._data, self._known_errors = deadline, bytearray(), 0
        self._mark = f"#{secrets.token_hex(16)}\n".encode()
        self.whole("features", _ANSWER, opening=True)

    def whole(self, command: str, most: int, limit: Limit | None = None, *, opening: bool = False) -> bytes:
        """most: bytes; limit: that which it is. opening: the first, before which debugfs says its own version."""
        self.begin(command)
        while not self._data.endswith(self._mark):
            if len(self._data) > most + len(self._mark):
                raise ValueError(f"debugfs says too much of it{f': {limit.exceeded}' if limit else ''}")
            self._more()
        text = bytes(self._data[: -len(self._mark)])
        self._data.clear()
        if opening and text:
            self._known_errors = os.fstat(self._errors.fileno()).st_size
        self._check()
        return text

    def begin(self, command: str) -> None:
        try:
            self._commands.write(f"{command}\n".encode() + self._mark)
        except BrokenPipeError as error:
            raise self._ended() from error
        head = f"debugfs: {command}\n".encode()
        if self._taken(len(head)) != head:
            raise ValueError("debugfs answers otherwise than it is known to")

    def some(self, size: int) -> bytes:
        """So many bytes of an answer that has at least as many to come. Raises ValueError where it has not."""
        while len(self._data) < size + len(self._mark):
            if self._data.endswith(self._mark):
                self._check()
                raise ValueError("a file of it ends before its size")
            self._more()
        return bytes(self._taken(size))

    def end(self) -> None:
        """All of it was read."""
        if self._taken(len(self._mark)) != self._mark:
            raise ValueError("a file of it goes on beyond its size")
        self._check()

    def _taken(self, size: int) -> bytearray:
        while len(self._data) < size:
            self._more()
        data = self._data[:size]
        del self._data[:size]
        return data

    def _more(self) -> None:
        while not select.select([self._output], [], [], self._deadline.left)[0]:
            pass
        data = os.read(self._output.fileno(), _CHUNK)
        if not data:
            raise self._ended()
        self._data += data

    def _check(self) -> None:
        """It tells of what is wrong on its standard error, before the mark."""
        if os.fstat(self._errors.fileno()).st_size != self._known_errors:
            raise ValueError(f"its file system is damaged: {self._reason()}")

    def _ended(self) -> ValueError:
        return ValueError(f"debugfs ended: {self._reason()}")

    def _reason(self) -> str:
        text = os.pread(self._errors.fileno(), _REASON, self._known_errors).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if not _VERSION.match(line)]
        return next(filter(None, lines), "it says nothing of why")


def _decoded(name: bytes) -> str:
    """Two names are two, be they text or not."""
    return name.decode("utf-8", "backslashreplace")
