"""What programs find in /dev and /proc of a new root while packages are put into it. Runs in a worker's namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host import syscalls as sc
from vmgen_build.host.undo import Undo
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import host_arch

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def require_own_architecture(system: System) -> None:
    """Raises HostError where the packages' own scripts would not run on this host while they are put into a root."""
    if system.arch not in (host_arch(), "i386" if host_arch() == "amd64" else ""):
        raise HostError(
            f"this host makes no base of packages for {system.arch} by {system.base}: their scripts would not run;"
            " name a base: [hardware] base = FILE, URL or images:ALIAS"
        )


@contextmanager
def devices(root: Path) -> Iterator[None]:
    """A /dev in memory with the devices that every program expects, and /proc."""
    with Undo() as undo:
        for name in ("dev", "proc"):
            (root / name).mkdir(parents=True, exist_ok=True)
        sc.mount("tmpfs", root / "dev", "tmpfs", sc.MS_NOSUID, "mode=0755")
        undo.callback(sc.unmount, root / "dev", sc.MNT_DETACH)
        for name in _DEVICES:
            (root / "dev" / name).touch()
            sc.mount(f"/dev/{name}", root / "dev" / name, flags=sc.MS_BIND)
            undo.callback(sc.unmount, root / "dev" / name, sc.MNT_DETACH)
        sc.mount("proc", root / "proc", "proc", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
        undo.callback(sc.unmount, root / "proc", sc.MNT_DETACH)
        yield
