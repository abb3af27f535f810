"""Incus and LXD in a root of their own: a daemon with a bridge and a pool, and instances of our images in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.consumers.chroot import Inside, Refused, entered, made
from tests.integration.freshroot import remove_cgroup

COMMON = ("dnsmasq-base", "zstd", "xz-utils", "nftables", "iproute2", "iptables", "kmod", "mawk")

OWN_GROUPS = """\
name=$1; shift
if grep -qw memory /sys/fs/cgroup/cgroup.controllers; then exec "$@"; fi
hierarchies="$(awk '!/^#/ && $2 != 0 {print $1}' /proc/cgroups) none,name=systemd"
join() {
    mkdir "/mnt/$name"
    [ ! -e /mnt/cpuset.cpus ] || for file in cpus mems; do
        cat "/mnt/cpuset.$file" >"/mnt/$name/cpuset.$file"
    done
    echo 0 >"/mnt/$name/cgroup.procs"
    umount /mnt
}
for one in $hierarchies; do
    mount -t cgroup -o "$one" cgroup /mnt
    join
done
mount -t cgroup2 cgroup2 /mnt
join
exec env HIERARCHIES="$hierarchies" unshare --cgroup --mount --pid --fork --kill-child --mount-proc sh -euc '
    umount /sys/fs/cgroup
    mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
    for one in $HIERARCHIES; do
        mkdir "/sys/fs/cgroup/${one#none,name=}"
        mount -t cgroup -o "$one" cgroup "/sys/fs/cgroup/${one#none,name=}"
    done
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    "$@"
' sh "$@"
"""
"""sh -eu NAME COMMAND: where this host's controllers are those of cgroup v1, the command has them too, below a group of
that name in each hierarchy. liblxc goes by the group of the process 1, and so the command has processes of its own."""

UP = "until systemctl is-system-running | grep -qE '^(running|degraded)$'; do sleep 0.2; done"
LIMIT = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
END = "end of output"
OTHERS = ("hostname", "hostname-full", "ram", "num_cpu")
"""Probes of what an instance has otherwise: its own name, and limits by Incus's own means."""


@dataclass(frozen=True, slots=True)
class Kind:
    """client: the program's name. start: the daemon's command; ready: waits for it; first: makes bridge and pool."""

    client: str
    suite: str
    packages: tuple[str, ...]
    start: str
    ready: str
    first: str

    @property
    def state(self) -> str:
        return f"/var/lib/{'incus' if self.client == 'incus' else 'lxd'}"


INCUS = Kind(
    client="incus",
    suite="trixie",
    packages=("incus-base", "incus-client", "qemu-utils", *COMMON),
    start="INCUS_SECURITY_APPARMOR=false /usr/libexec/incus/incusd --group incus-admin",
    ready="/usr/libexec/incus/incusd waitready --timeout=60",
    first="incus admin init --minimal",
)
LXD = Kind(
    client="lxc",
    suite="bookworm",
    packages=("lxd", "qemu-utils", *COMMON),
    start="LXD_SECURITY_APPARMOR=false lxd --group lxd",
    ready="lxd waitready --timeout=60",
    first="lxd init --auto",
)


@dataclass(frozen=True, slots=True)
class Daemon:
    """Images are below /images inside."""

    kind: Kind
    inside: Inside

    def client(self, *words: str) -> str:
        """What it prints. Raises Refused."""
        return self.inside.ask(self.kind.client, *words)

    def version(self) -> str:
        """As "6.0.4"."""
        return self.client("query", "/1.0").partition('"server_version": "')[2].partition('"')[0]

    def take(self, image: str, alias: str) -> Mapping[str, Any]:
        """Import it; what is known of it then."""
        self.client("image", "import", f"/images/{image}", "--alias", alias)
        (found,) = json.loads(self.client("image", "list", alias, "--format", "json"))
        return dict(found)

    def launch(self, alias: str, name: str, options: str) -> None:
        """options: the file with an instance's configuration. Returns once it is up."""
        script = f'{self.kind.client} launch -q "$1" "$2" <"/images/$3"'
        self.inside.ask("sh", "-euc", script, "sh", alias, name, options)
        self.run(name, UP)

    def copied(self, name: str, goal: str) -> None:
        self.client("copy", "-q", name, goal)
        self.client("start", goal)
        self.run(goal, UP)

    def run(self, name: str, script: str) -> str:
        """What a script, which may run more than once, prints in an instance: on a busy host output is lost at times.
        Raises Refused where it fails."""
        words = ("exec", name, "--", "timeout", "120", "sh", "-euc", f"{script}\necho {END}")
        for _ in range(5):
            printed = self.client(*words).rstrip()
            if printed.endswith(END):
                return printed.removesuffix(END).strip()
        raise Refused(f"{name}: what {script!r} prints does not come to its end")

    def failing(self, name: str, manifest: Mapping[str, Any]) -> list[str]:
        """The probes of the image that do not hold in an instance of it, whatever its name and limits are."""
        found = []
        for probe in manifest["probes"]:
            if probe["kind"] != "guest" or probe["name"] in OTHERS:
                continue
            command = [self.kind.client, "exec", name, "--", "timeout", "120", "sh", "-c", probe["script"]]
            deadline = time.monotonic() + probe["retry"]
            while (done := self.inside.run(*command)).returncode not in (0, 77):
                if time.monotonic() > deadline:
                    found.append(f"{probe['name']}: {(done.stdout + done.stderr).strip()[:200]}")
                    break
                time.sleep(1)
        return found


@contextmanager
def daemon(kind: Kind, chroots: Path, images: Path, state: Path) -> Iterator[Daemon]:
    """state: an empty folder for all that it keeps. Raises Refused where it does not start."""
    root, groups = made(chroots, kind.suite, kind.packages), f"vmgen-instances-{os.getpid()}"
    try:
        with entered(root, [(images, "/images"), (state, kind.state)]) as inside:
            inside.ask("sh", "-euc", "mkdir -p /dev/net; mknod /dev/net/tun c 10 200")
            inside.ask(
                "sh", "-euc", f"({OWN_GROUPS}) >{kind.state}/output 2>&1 &", "sh", groups, "sh", "-c", kind.start
            )
            inside.ask("sh", "-euc", f"{kind.ready}; {kind.first}")
            yield Daemon(kind, inside)
    finally:
        for folder in list(Path("/sys/fs/cgroup").rglob(groups)):
            remove_cgroup(folder)
