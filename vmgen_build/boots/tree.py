"""The files of a foreign image, unpacked to be booted. Runs inside a worker of host.namespaces."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.compression import decompressor
from vmgen_build.boots.watch import KEPT_FREE, Watch
from vmgen_build.errors import BuildError
from vmgen_build.host import memory
from vmgen_build.host import syscalls as sc
from vmgen_build.host.beneath import open_beneath
from vmgen_build.host.pipeline import pipeline
from vmgen_build.host.usernamespace import FIRST_ID
from vmgen_build.limits import IMAGE_IDS, UNPACK_MEMORY, UNPACK_TIME, UNPACKED, UNPACKED_ENTRIES

PLACE, ROOT = Path("/run/lxc/vmgen-tree"), Path("/run/lxc/vmgen-root")
"""Where the image and its root lie: in the worker's own mount namespace, on a way that all may go. The root's path is
part of lxc's configuration, and so has nothing of the cache's path in it."""

LIKELY_RATIO = 12
"""Compressed to unpacked size: few images are compressed better than that."""

_SIGNS = {
    f"ended with {-signal.SIGXFSZ}": UNPACKED,
    "File too large": UNPACKED,
    "emory exhausted": UNPACK_MEMORY,
    "annot allocate memory": UNPACK_MEMORY,
}
"""What says that a program met one of the limits that the kernel holds it to (setrlimit(2))."""

_OWNERS = re.compile(r"tar: .*: Cannot change ownership to uid \d+, gid \d+: Invalid argument")
"""What tar says of an owner that the user namespace does not have."""

_FULL = ("No space left on device", "Wrote only ")
"""What tar says on a full disk."""

_DEVICES = re.compile(r"tar: .*: Cannot mknod: Operation not permitted|tar: Exiting with failure status.*")
"""What tar says in a user namespace, where it cannot make device nodes: the booted machine gets its own."""


@dataclass(frozen=True, slots=True)
class Tree:
    """An image's place. disk: a folder for what does not fit in memory. enter: words before a command that handles what
    is foreign, none where it is trusted. undo: of what is mounted."""

    disk: Path
    enter: tuple[str, ...]
    undo: ExitStack

    @property
    def owner(self) -> int:
        """The host's number for the image's root."""
        return FIRST_ID if self.enter else 0

    @property
    def kept_free(self) -> int:
        """Bytes that stay free where the image lies: in memory its size is fixed."""
        return KEPT_FREE if PLACE.stat().st_dev == self.disk.parent.stat().st_dev else 0

    def unpack(self, artifact: Path, inside: str = ".") -> None:
        """Untar, below `inside`: into memory where it surely fits and the kernel allows, else on the disk.

        Raises BuildError, naming the limit where one is exceeded.
        """
        room = min(memory.available() // 2, UNPACKED.amount)
        PLACE.mkdir()
        if artifact.stat().st_size * LIKELY_RATIO < room:
            with ExitStack() as attempt:
                options = f"size={room},nr_inodes={UNPACKED_ENTRIES.amount},mode=0755,uid={self.owner},gid={self.owner}"
                sc.mount("tmpfs", PLACE, "tmpfs", sc.MS_NODEV, options)
                attempt.callback(sc.unmount, PLACE, sc.MNT_DETACH)
                if self._untar(artifact, inside):
                    self.undo.push(attempt.pop_all())
                    return
        self.disk.mkdir(mode=0o755)
        os.chown(self.disk, self.owner, self.owner)
        sc.mount(str(self.disk), PLACE, flags=sc.MS_BIND)
        self.undo.callback(sc.unmount, PLACE, sc.MNT_DETACH)
        sc.mount("none", PLACE, flags=sc.MS_REMOUNT | sc.MS_BIND | sc.MS_NODEV)
        if not self._untar(artifact, inside):
            raise BuildError(f"cannot unpack {artifact}: the disk of {self.disk} is full; make room there")

    def mount_root(self) -> None:
        """Have the image's folder "rootfs" at ROOT. Raises BuildError where it is none, but a link out, say."""
        try:
            folder = open_beneath(PLACE, "rootfs", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, 0)
        except OSError as error:
            raise BuildError(f"the image's rootfs is no folder: {error.strerror}; build the image anew") from error
        try:
            ROOT.mkdir()
            sc.mount(f"/proc/self/fd/{folder}", ROOT, flags=sc.MS_BIND)
        finally:
            os.close(folder)
        self.undo.callback(sc.unmount, ROOT, sc.MNT_DETACH)

    def _untar(self, artifact: Path, inside: str) -> bool:
        """Whether there was room for it."""
        folder = PLACE / inside
        folder.mkdir(exist_ok=True)
        os.chown(folder, self.owner, self.owner)
        limits = ["prlimit", f"--fsize={UNPACKED.amount}", f"--as={UNPACK_MEMORY.amount}", "--core=0", "--"]
        wall = [*limits, *self.enter]
        tar = ["tar", "--extract", "--file=-", "--numeric-owner", "--same-owner", "--same-permissions", "--acls"]
        tar += ["--xattrs", "--xattrs-include=*", "--warning=no-timestamp"]
        tar += ["--anchored", "--exclude=./dev/*", "--exclude=rootfs/dev/*", "--exclude=./rootfs/dev/*"]
        decompress = decompressor(artifact)
        commands = ({decompress[0]: [*wall, *decompress]} if decompress else {}) | {"tar": [*wall, *tar]}
        with (
            artifact.open("rb") as source,
            pipeline(commands, stdin=source, cwd=folder) as running,
            Watch(f"cannot unpack {artifact}", PLACE, UNPACK_TIME, running.end, self.kept_free),
        ):
            failure = running.failure()
        if any(words in failure for words in _FULL):
            return False
        lines = [line for line in failure.removeprefix("tar: ").splitlines() if not _DEVICES.fullmatch(line)]
        if lines:
            if any(map(_OWNERS.fullmatch, failure.splitlines())):
                raise BuildError(
                    f"cannot unpack {artifact}: of the number of a user or group in it {IMAGE_IDS.exceeded};"
                    " add --trusted for an image of your own: its root is then root of this host"
                )
            reasons = [limit.exceeded for sign, limit in _SIGNS.items() if sign in failure] or lines[:3]
            raise BuildError(f"cannot unpack {artifact}: {'; '.join(reasons)}")
        return True
