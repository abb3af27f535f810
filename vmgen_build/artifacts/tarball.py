"""A root file system and a few texts as one tar file, compressed, hashed while it is written, the same bytes each time.

GNU tar in its POSIX format: entries sorted by name, no time later than the given one, owners and ACLs by number, no
access or change times. Of the extended attributes file capabilities, ACLs and users' own are kept; those of overlayfs
and of security modules belong to the host. Sockets are left out: tar knows none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.progress import Progress
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, is_full, no_room, whole_file
from vmgen_build.host.names import nameless, names_can_be_hidden
from vmgen_build.host.pipeline import pipeline

Encode = Callable[[Iterable[bytes]], Iterable[bytes]]
"""Makes of the bytes of a tar what its file holds, as vmgen_build.artifacts.gzipped does."""

_CHUNK = 1 << 20
_WITHOUT = ".vmgen-without"
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
class TarContent:
    """texts: name -> content of files at the tar's beginning, in this order, owned by root, 0644. folder: what follows,
    under the name `name` ("rootfs", or "." for the tar's top). empty: folders of it, as "dev", whose content stays out.
    without: paths of it that stay out, of no folders. ours: whether the folder was made here: all in it is root's then,
    whoever made it. epoch: seconds; no entry is younger.
    """

    folder: Path
    name: str
    epoch: int
    empty: Sequence[str] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    ours: bool = False


def write_tarball(
    goal: Path,
    content: TarContent,
    packing: Compression | Encode,
    *,
    progress: Progress | None = None,
    scratch: Path | None = None,
) -> Written:
    """Write `content` to `goal`.

    progress: of the tar's bytes before they are packed. scratch: where a temporary folder may be made. Raises HostError
    (disk full, program missing), BuildError (tar or the compressor failed); then there is no new file, and an old
    `goal` stands as it was.
    """
    with tempfile.TemporaryDirectory(prefix="vmgen-pack-", dir=scratch) as name:
        folder = Path(name)
        for text_name, text in content.texts.items():
            (folder / text_name).parent.mkdir(parents=True, exist_ok=True)
            (folder / text_name).write_text(text)
            (folder / text_name).chmod(0o644)
        try:
            return _write(goal, tar_command(folder, content), packing, progress)
        except OSError as error:
            if is_full(error):
                raise _no_room(goal, content) from error
            raise BuildError(f"cannot write {goal}: {error.strerror}") from error


def tar_command(texts_folder: Path, content: TarContent) -> list[str]:
    """tar(1), writing to its standard output. It sees relative names only, so that no path of the host comes in.

    It runs where no user or group has a name. --numeric-owner does not reach the ACLs of tar 1.34, and has tar 1.35 end
    them without a newline; it is for an ordinary user, whose tar takes names of ACLs from this host before 1.35.
    texts_folder: holds the content's texts."""
    hidden = names_can_be_hidden()
    name = content.name.replace("\\", "\\\\").replace("&", "\\&").replace("|", "\\|")
    command = [
        "tar",
        "--create",
        "--file=-",
        *_COMMON,
        *(() if hidden else ("--numeric-owner",)),
        f"--mtime=@{content.epoch}",
        *(("--owner=:0", "--group=:0") if content.ours else ()),
        "--anchored",
        *(f"--exclude=./{folder}/*" for folder in content.empty),
        *(("--no-wildcards", f"--exclude-from={_list_of(content.without, texts_folder)}") if content.without else ()),
        *(() if content.name == "." else (f"--transform=s|^\\.|{name}|S",)),
        f"--directory={texts_folder}",
        *content.texts,
        f"--directory={content.folder.absolute()}",
        ".",
    ]
    return nameless(command) if hidden else command


def _list_of(names: Sequence[str], folder: Path) -> Path:
    """A file for --exclude-from."""
    path = folder / _WITHOUT
    path.write_bytes(b"".join(os.fsencode(f"./{name}\n") for name in names))
    return path


def _write(goal: Path, tar: list[str], packing: Compression | Encode, progress: Progress | None) -> Written:
    digest, size = hashlib.sha256(), 0
    compressor = packing.command() if isinstance(packing, Compression) else None
    commands = {"tar": tar} | ({compressor[0]: compressor} if compressor else {})
    with whole_file(goal) as file, pipeline(commands, env={"LC_ALL": "C"}) as running:
        meter = _Meter(running.first_pid, progress)
        chunks = iter(partial(running.output.read, _CHUNK), b"")
        for chunk in chunks if isinstance(packing, Compression) else packing(chunks):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            meter.look()
        meter.look(last=True)
        if failure := running.failure():
            raise BuildError(f"packing failed: {failure}")
    return Written(goal, size, digest.hexdigest())


class _Meter:
    """Reports at most ten times a second how far tar has come: its `wchar` of /proc/PID/io (proc(5))."""

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


def _no_room(goal: Path, content: TarContent) -> HostError:
    need = sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(content.folder) for name in names)
    return no_room(goal, need, at_most=True)
