"""A root file system entered for one command: a chroot in mount and PID namespaces that end with it.

The network is the host's, so that a server on loopback is reached. The root itself stays as it is: changes go into
memory, or into a folder that is named.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}

ENTER = """
lower=$1 upper=$2; shift 2
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/root
if [ "$upper" ]; then
    mkdir -p "$upper/upper" "$upper/work"
else
    upper=/mnt; mkdir /mnt/upper /mnt/work
fi
root=/mnt/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper/upper,workdir=$upper/work,xino=off" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for pair; do
    shift
    [ "$pair" != -- ] || break
    mkdir -p "$root${pair#*:}"
    mount --bind "${pair%%:*}" "$root${pair#*:}"
done
exec chroot "$root" "$@"
"""
"""sh -eu LOWER UPPER [FROM:TO]... -- COMMAND. LOWER: folders with : between, the uppermost first; UPPER: "" for memory,
or a folder for upper/ and work/."""


@dataclass(frozen=True, slots=True)
class Root:
    """layers: folders of which it is made, the uppermost first."""

    layers: tuple[Path, ...]
    binds: Mapping[Path, str] = field(default_factory=dict)

    def run(
        self, *command: str, upper: Path | None = None, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Output and errors come together. upper: where changes go and stay; in memory by default."""
        lower = ":".join(map(str, self.layers))
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        words += ["sh", "-euc", ENTER, "sh", lower, str(upper or "")]
        words += [f"{here}:{there}" for here, there in self.binds.items()]
        ran = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", *words, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**ENVIRONMENT, **{name: os.environ[name] for name in ("SOURCE_DATE_EPOCH",) if name in os.environ}},
            timeout=timeout,
        )
        if check and ran.returncode != 0:
            raise RuntimeError(f"{' '.join(command)[:200]}: exit {ran.returncode}\n{ran.stdout[-4000:]}")
        return ran

    def sh(
        self, script: str, *words: str, upper: Path | None = None, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """A script of sh, with its words as $1 and so on."""
        return self.run("sh", "-euc", script, "sh", *words, upper=upper, check=check, timeout=timeout)

    def over(self, layer: Path) -> Root:
        return Root((layer, *self.layers), self.binds)

    def bound(self, binds: Mapping[Path, str]) -> Root:
        """binds: folder of this host -> where it is seen in the root."""
        return Root(self.layers, {**self.binds, **binds})
