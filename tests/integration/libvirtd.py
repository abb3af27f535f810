"""libvirt's own daemon, in namespaces of its own: its machines, networks and files end with it.

It sees no KVM, as most hosts that only look at an image; and a /var and an /etc/libvirt that nobody else uses.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

QEMU_CONF = 'security_driver = "none"\nstdio_handler = "file"\nuser = "root"\ngroup = "root"\n'
"""No other daemon for logs, no profiles of AppArmor, and QEMU as root."""

ACCOUNTS = {"passwd": "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin\n", "group": "libvirt-qemu:x:64055:\n"}
"""libvirt looks for the account that Debian's libvirt-daemon-system makes. That package would start services, too."""

START = """set -eu
mount --bind "$1/var" /var
mount --bind "$1/etc" /etc/libvirt
mount -t tmpfs tmpfs /run
for file in passwd group; do mount --bind "$1/$file" "/etc/$file"; done
mkdir /run/libvirt
mount --bind "$1/run" /run/libvirt
if [ -e /dev/kvm ]; then mount --bind /dev/null /dev/kvm; fi
ip link set lo up
libvirtd
exit
"""
"""The shell stays, the first of all its processes: it takes the end of each that is left behind, as an init does."""


@dataclass(frozen=True, slots=True)
class Libvirt:
    """folder: where all lies that its daemon writes. daemon: the process that its namespaces live by.
    It listens in a folder that is seen from outside, too."""

    folder: Path
    daemon: int = 0

    def inside(self, *words: object) -> list[str]:
        """The command as one that runs where the daemon does."""
        first = Path(f"/proc/{self.daemon}/task/{self.daemon}/children").read_text().split()[0]
        enter = ["nsenter", "--target", first, "--mount", "--pid", "--net", f"--wdns={Path.cwd()}", "--"]
        return [*enter, *map(str, words)]

    @property
    def images(self) -> Path:
        """What is /var/lib/libvirt/images for the daemon."""
        return self.folder / "var/lib/libvirt/images"

    @property
    def address(self) -> str:
        return f"qemu:///system?socket={self.folder}/run/libvirt-sock"

    def tried(self, *words: object, text: str = "") -> subprocess.CompletedProcess[str]:
        command = ["virsh", "--quiet", "--connect", self.address, *map(str, words)]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    def virsh(self, *words: object, text: str = "") -> str:
        """What it prints. text: its standard input."""
        done = self.tried(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def waited(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.5)
    return False


@contextmanager
def libvirt(folder: Path) -> Iterator[Libvirt]:
    """folder: with a short path, since it holds a socket."""
    one = Libvirt(folder)
    for name in ("var/cache", "var/log", "var/tmp", "run"):
        (folder / name).mkdir(parents=True)
    one.images.mkdir(parents=True)
    (folder / "var/run").symlink_to("/run")
    subprocess.run(["cp", "-a", "/etc/libvirt", folder / "etc"], check=True)
    (folder / "etc/qemu.conf").write_text(QEMU_CONF)
    for name, account in ACCOUNTS.items():
        (folder / name).write_text(Path("/etc", name).read_text() + account)
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc"]
    command += ["--kill-child", "sh", "-c", START, "libvirtd", str(folder)]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        up = waited(lambda: daemon.poll() is not None or one.tried("uri").returncode == 0, 60)
        assert up and daemon.poll() is None, (folder / "log").read_text()
        yield replace(one, daemon=daemon.pid)
    finally:
        daemon.kill()
        daemon.wait()
