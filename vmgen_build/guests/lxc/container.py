"""Commands in containers on a root of this host, a new one for each (lxc-execute(1)).

Everything here runs inside a worker of host.namespaces: the mounts and containers die with it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.guests.lxc import foreign, wall
from vmgen_build.guests.lxc.words import value, word
from vmgen_build.guests.model import Output
from vmgen_build.host import syscalls as sc
from vmgen_build.host.architectures import emulation_of
from vmgen_build.host.environment import ON_TERMINAL, own
from vmgen_build.host.landlock import keep_abstract_sockets_apart
from vmgen_build.host.pseudoterminal import Session
from vmgen_build.host.run import run_lines
from vmgen_build.store.lease import CGROUPS, remove_cgroups

_NETWORK = Path("/run/lxc/vmgen-network")
"""In the worker's own /run/lxc (host.namespaces)."""

ENDING = 10.0
"""Seconds that the kernel has to end what was killed."""


@dataclass(frozen=True, slots=True)
class Container:
    """tag: of the build; folder: of the container's own, on this host; root: its root file system.

    inside: the folder of this host that the guest sees as step_folder. environment: of each command.
    arch: of its programs, in Debian's words.
    """

    tag: str
    folder: Path
    root: Path
    inside: Path
    step_folder: str
    environment: Mapping[str, str]
    arch: str

    def run(self, command: Sequence[str], output: Output, *, network: bool, timeout: float | None = None) -> int | None:
        """Its exit code; None where it took longer than `timeout` seconds and was ended with all that it started."""
        argv = self._argv(command, network)
        try:
            return run_lines(argv, output, timeout=timeout, prepare=keep_abstract_sockets_apart)
        except TimeoutError:
            self._wait_until_ended()
            return None
        except BaseException:
            self._wait_until_ended()
            raise

    def _wait_until_ended(self) -> None:
        """What was killed has mounts and cgroups until the kernel is done with it, and the next one takes the same."""
        end = time.monotonic() + ENDING
        while not remove_cgroups(self._cgroup) and time.monotonic() < end:
            time.sleep(0.02)

    def open_shell(self, *, network: bool, command: Sequence[str] = ("/bin/bash", "-i")) -> int:
        """A command on our own terminal, by default an interactive shell; its exit code."""
        variables = [f"{name}={text}" for name, text in own(ON_TERMINAL).items()]
        words = ["/usr/bin/env", *variables, *command]
        return Session(self._argv(words, network), prepare=keep_abstract_sockets_apart).end()

    @property
    def _lxc_path(self) -> Path:
        return self.folder.parent / "lxc"

    @property
    def _cgroup(self) -> str:
        return f"{self.tag}/{self.folder.name}"

    @property
    def _name(self) -> str:
        return f"vmgen-{self.tag}-{self.folder.name}"

    def _argv(self, command: Sequence[str], network: bool) -> list[str]:
        config = self.folder / "config"
        config.write_text(self._config(network))
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        head = [*wall.APART, "lxc-execute", "-P", str(self._lxc_path), "-n", self._name, "-f", str(config)]
        return [*head, "--", "/usr/bin/env", "-i", *variables, *command]

    def _config(self, network: bool) -> str:
        """lxc.container.conf(5). The host's name servers are seen by steps that use the network alone."""
        resolv = Path("/etc/resolv.conf").resolve()
        group = f"{CGROUPS}/{self._cgroup}"
        lines = [
            "lxc.uts.name = localhost",
            f"lxc.rootfs.path = dir:{value(self.root)}",
            *walled(self.folder, self.arch, network=network),
            f"lxc.cgroup.dir.container = {group}/guest",
            f"lxc.cgroup.dir.monitor = {group}/monitor",
            f"lxc.cgroup.dir.monitor.pivot = {group}/pivot",
            "lxc.mount.entry = tmpfs run tmpfs nosuid,nodev,mode=0755 0 0",
            f"lxc.mount.entry = {word(self.inside)} {self.step_folder.lstrip('/')} none rbind,create=dir 0 0",
        ]
        if network:
            lines.append(wall.network_of(_own_network()))
        if network and resolv.exists():
            lines.append(f"lxc.mount.entry = {word(resolv)} etc/resolv.conf none bind,ro,create=file 0 0")
        return "\n".join(lines) + "\n"


def walled(folder: Path, arch: str, *, network: bool) -> list[str]:
    """The lines of its wall, and what its programs need to run; files for both are written into `folder`. Raises
    HostError where this host cannot run them."""
    seccomp = folder / "seccomp"
    seccomp.write_text(wall.SECCOMP)
    emulation = emulation_of(arch)
    return [
        *wall.lines(seccomp, network=network, own_users=emulation is not None),
        *foreign.personality(arch),
        *(foreign.EVERYBODY_ITSELF if emulation else ()),
        *foreign.emulated(emulation, folder),
    ]


def _own_network() -> Path:
    """This worker's network as a file of its own: a program that Landlock binds may not look at /proc/PID/ns."""
    if not _NETWORK.exists():
        _NETWORK.touch()
        sc.mount("/proc/self/ns/net", _NETWORK, flags=sc.MS_BIND)
    return _NETWORK
