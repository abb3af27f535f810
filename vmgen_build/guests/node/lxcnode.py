"""lxc containers on a node: nothing but lxc-execute(1) on an unpacked root, in folders of our own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import ClassVar

from vmgen_build.errors import BuildError
from vmgen_build.guests.lxc import foreign, wall
from vmgen_build.guests.node.driver import MARK, SUFFIX, TAR, Driver, Setup, last_line
from vmgen_build.guests.runners import Done

HOME = "/var/lib/vmgen-build"
CONTAINERS = f"{HOME}/lxc"

_RESOLV = "lxc.mount.entry = /etc/resolv.conf etc/resolv.conf none bind,ro,optional,create=file 0 0"


def _config(folder: str, arch: str, *, network: bool) -> str:
    """lxc.container.conf(5). network: the node's own, which the container may use and not change. arch: as of Setup."""
    lines = [
        "lxc.uts.name = localhost",
        f"lxc.rootfs.path = dir:{folder}/rootfs",
        "lxc.mount.entry = tmpfs run tmpfs nosuid,nodev,mode=0755 0 0",
        *wall.lines(f"{folder}/seccomp", network=network),
        *foreign.personality(arch),
        *([_RESOLV] if network else []),
    ]
    return "\n".join(lines) + "\n"


_CREATE = f"""\
set -eu
umask 022
mkdir -p -- "$1/rootfs"
chmod 0700 -- "$1"
printf %s "$3" >"$1/config"
printf %s "$4" >"$1/network"
printf %s "$5" >"$1/seccomp"
{TAR}
tar $options -xpf "$2" -C "$1/rootfs"
"""


_BEGIN = f'''echo $$ >"$1/pid"; shift; execute=$1; shift; exec {" ".join(wall.APART)} "$execute" "$@"'''
_OF_THE_NODE = wall.network_of("/proc/$PPID/ns/net").replace(" ", "")
_BEGIN_IN_NETWORK = _BEGIN.replace('"$execute"', f'"$execute" -s "{_OF_THE_NODE}"')
"""The process stays the same when it becomes lxc-execute; the one that started it is in the node's network."""

_END = f"""\
end() {{  # ID
    pid=$(cat "{CONTAINERS}/$1/pid" 2>/dev/null) || return 0
    case $(tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
        *" -P {CONTAINERS} -n $1 "*) ;;
        *) return 0 ;;
    esac
    nsenter --net="/proc/$pid/ns/net" lxc-stop -P {CONTAINERS} -n "$1" -k >/dev/null 2>&1 ||
        kill -9 "$pid" 2>/dev/null || return 0
}}
"""
"""lxc-stop finds lxc-execute in the network that it was started in (guests.lxc.wall)."""


class LxcDriver(Driver):
    kind: ClassVar[str] = "lxc"
    programs: ClassVar[tuple[str, ...]] = ("lxc-execute", "lxc-stop", "unshare", "nsenter")
    removal: ClassVar[str] = f"""\
{_END}
remove() {{  # ID TAG
    case $1 in
        {MARK}-"$2") ;;
        {MARK}-*) return 0 ;;
        *) return 2 ;;
    esac
    folder={CONTAINERS}/$1
    end_ours "$folder"
    end_ours "$folder/rootfs"
    end "$1"
    discard "$folder" && return
    why="$why container $1: something is mounted in $folder, or writes there; end that, then: rm -rf $folder."
    return 1
}}
cache_folder() {{ printf '%s' {HOME}/templates; }}
"""

    @property
    def cache(self) -> str:
        return f"{HOME}/templates"

    def free_id(self, wanted: str, taken: Collection[str]) -> str:
        own = f"{MARK}-{self.tag}"
        if own in taken:
            raise BuildError(f"{self.where}: container {own} belongs to another build there; build again")
        return own

    def create(self, ct: str, os_template: str, setup: Setup) -> None:
        """Limits of memory, disk and CPUs are left to the image: a build that runs into them helps nobody."""
        folder = f"{CONTAINERS}/{ct}"
        words = [
            "sh",
            "-c",
            _CREATE,
            "sh",
            folder,
            f"{self.cache}/{os_template}{SUFFIX}",
            _config(folder, setup.arch, network=False),
            _config(folder, setup.arch, network=True),
            wall.SECCOMP,
        ]
        done = self.runner.run(words)
        if done.code != 0:
            raise BuildError(f"{self.where}: cannot unpack the OS template {os_template}: {last_line(done)}")

    def start(self, ct: str) -> None:
        done = self.runner.run(self.exec_argv(ct, "exit 0"), timeout=60)
        if done.code != 0:
            raise BuildError(f"{self.where}: the container does not start: {self.explain(ct, done)}")

    def stop(self, ct: str) -> None:
        """Nothing runs between two commands."""

    def end_all(self, ct: str) -> None:
        """Where nothing runs, there is nothing to end."""
        self.runner.run(["sh", "-c", f'{_END}end "$1"', "sh", ct], timeout=60)

    def exec_argv(self, ct: str, command: str, *, network: bool = False) -> list[str]:
        folder = f"{CONTAINERS}/{ct}"
        config = f"{folder}/{'network' if network else 'config'}"
        execute = ["lxc-execute", "-P", CONTAINERS, "-n", ct, "-f", config]
        begin = _BEGIN_IN_NETWORK if network else _BEGIN
        return ["sh", "-c", begin, "sh", folder, *execute, "--", "/bin/sh", "-c", command]

    @contextmanager
    def mounted(self, ct: str) -> Iterator[str]:
        yield f"{CONTAINERS}/{ct}/rootfs"

    def explain(self, ct: str, done: Done) -> str:
        return f"{last_line(done)} (lxc-execute ended with {done.code})"

    def no_way_out(self, ct: str, os_template: str) -> str:
        return "the container uses the node's own network: does the node itself reach the mirror?"

    def how_to_enter(self, ct: str) -> str:
        return (
            f"enter it with:\n  {' '.join(wall.APART)} lxc-execute -P {CONTAINERS} -n {ct} -- /bin/bash\n"
            f"and remove it with: rm -rf {CONTAINERS}/{ct}"
        )
