"""A root file system and a few texts as one tar file, compressed, hashed while it is written, the same bytes each time.

GNU tar in its POSIX format: entries sorted by name, no time later than the given one, owners and ACLs by number, no
access or change times. Of the extended attributes file capabilities, ACLs and users' own are kept; those of overlayfs
and of security modules belong to the host. Sockets are left out: tar knows none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from vmgen_build.artifacts.compression import Compression
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, is_full, whole_file
from vmgen_build.host.names import nameless, names_can_be_hidden
from vmgen_build.text import size as in_words

Progress = Callable[[int], None]
"""Takes how many bytes of the uncompressed tar have been made so far."""

Encode = Callable[[Iterable[bytes]], Iterable[bytes]]

_CHUNK = 1 << 20
_PAX = "exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime,delete=mtime"
"""Header names without the process id of tar; whole seconds of a modification time suffice, the header holds them."""

_COMMON = (
    "--format=posix",
    f"--pax-option={_PAX}",
    "--sort=name",
    "--blocking-factor=64",
    "--acls",
    "--xattrs",
    "--xattrs-include=security.capability",
    "--xattrs-include=user.*",
    "--xattrs-exclude=user.overlay.*",
    "--warning=no-file-ignored",
    "--clamp-mtime",
)


@dataclass(frozen=True, slots=True)
class Content:
    """A folder to pack under the name `name` ("rootfs", or "." for the tar's top).

    empty: folders of it, as "dev", whose content stays out.
    """

    folder: Path
    name: str
    empty: Sequence[str] = ()


def write_tarball(
    goal: Path,
    texts: Mapping[str, str],
    content: Content,
    *,
    epoch: int,
    compression: Compression,
    progress: Progress | None = None,
    scratch: Path | None = None,
    encode: Encode | None = None,
) -> Written:
    """Write `texts` (name -> content, in this order, owned by root, 0644) and then `content` to `goal`.

    epoch: seconds; no entry is younger. scratch: where a temporary folder may be made. encode: makes of what is written
    so far what the file holds, as vmgen_build.artifacts.gzipped does. Raises HostError (disk full,
    program missing), BuildError (tar or the compressor failed); then there is no new file, and an old `goal` stands as
    it was.
    """
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vmgen-pack-", dir=scratch)))
        for name, text in texts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
        command = tar_command(folder, tuple(texts), content, epoch)
        try:
            return _write(goal, command, compression, progress, encode)
        except OSError as error:
            if is_full(error):
                raise _no_room(goal, content) from error
            raise BuildError(f"cannot write {goal}: {error.strerror}") from error


def tar_command(texts_folder: Path, texts: Sequence[str], content: Content, epoch: int) -> list[str]:
    """tar(1), writing to its standard output. It sees relative names only, so that no path of the host comes in.

    It runs where no user or group has a name. --numeric-owner does not reach the ACLs of tar 1.34, and has tar 1.35 end
    them without a newline; it is for an ordinary user, whose tar takes names of ACLs from this host before 1.35.
    """
    hidden = names_can_be_hidden()
    name = content.name.replace("\\", "\\\\").replace("&", "\\&").replace("|", "\\|")
    command = [
        "tar",
        "--create",
        "--file=-",
        *_COMMON,
        *(() if hidden else ("--numeric-owner",)),
        f"--mtime=@{epoch}",
        "--anchored",
        *(f"--exclude=./{folder}/*" for folder in content.empty),
        *(() if content.name == "." else (f"--transform=s|^\\.|{name}|S",)),
        f"--directory={texts_folder}",
        *texts,
        f"--directory={content.folder.absolute()}",
        ".",
    ]
    return nameless(command) if hidden else command


def _write(
    goal: Path,
    command: Sequence[str],
    compression: Compression,
    progress: Progress | None,
    encode: Encode | None,
) -> Written:
    digest, size = hashlib.sha256(), 0
    with whole_file(goal) as file, _Pipeline(command, compression.command()) as pipeline:
        meter = _Meter(pipeline.first.pid, progress)
        chunks = iter(partial(pipeline.output.read, _CHUNK), b"")
        for chunk in encode(chunks) if encode else chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            meter.look()
        meter.look(last=True)
        pipeline.check()
    return Written(goal, size, digest.hexdigest())


class _Pipeline:
    """tar, and behind it the compressor, where there is one. Leaving the context ends both."""

    def __init__(self, tar: Sequence[str], compressor: Sequence[str] | None) -> None:
        self._errors: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
        with ExitStack() as undo:
            self.first = self._start(undo, "tar", tar, None)
            last = self.first
            if compressor is not None:
                last = self._start(undo, Path(compressor[0]).name, compressor, self.first.stdout)
                assert self.first.stdout is not None
                self.first.stdout.close()
            assert last.stdout is not None
            self.output = last.stdout
            self._undo = undo.pop_all()

    def _start(
        self, undo: ExitStack, name: str, command: Sequence[str], source: IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        errors = undo.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if source is None else source,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        undo.callback(_end, process)
        assert process.stdout is not None
        with suppress(OSError):
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _CHUNK)
        self._errors.append((name, process, errors))
        return process

    def check(self) -> None:
        """Wait for both. Raises BuildError with what the one that failed said; tar's SIGPIPE is never the cause."""
        codes = [process.wait() for _, process, _ in self._errors]
        for code, (name, _, errors) in zip(reversed(codes), reversed(self._errors), strict=True):
            if code != 0:
                errors.seek(0)
                reason = errors.read(4000).decode(errors="replace").strip() or f"ended with {code}"
                raise BuildError(f"packing failed: {name}: {reason}")

    def __enter__(self) -> _Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class _Meter:
    """Tells at most ten times a second how far tar has come: its `wchar` of /proc/PID/io (proc(5))."""

    def __init__(self, pid: int, progress: Progress | None) -> None:
        self._path, self._progress, self._next, self._done = Path(f"/proc/{pid}/io"), progress, 0.0, 0

    def look(self, last: bool = False) -> None:
        now = time.monotonic()
        if self._progress is None or (now < self._next and not last):
            return
        self._next = now + 0.1
        with suppress(OSError, IndexError, ValueError):
            self._done = max(self._done, int(self._path.read_text().split()[3]))
        self._progress(self._done)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    process.kill()
    process.wait()


def _no_room(goal: Path, content: Content) -> HostError:
    need = sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(content.folder) for name in names)
    free = shutil.disk_usage(goal.parent).free
    return HostError(
        f"the disk of {goal.parent} is full: {in_words(free)} are free, and {goal.name} needs up to {in_words(need)};"
        " make room there, or choose another folder with --output"
    )
