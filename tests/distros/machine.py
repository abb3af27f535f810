"""A test distribution's root booted with its own init, by lxc, with one adapter whose other end nobody holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.distros.inside import Root

START = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work,xino=off" /mnt/root
exec lxc-start -P "$2" -n guest -F
"""

CONFIG = """\
lxc.include = /usr/share/lxc/config/common.conf
lxc.rootfs.path = dir:/mnt/root
lxc.uts.name = guest
lxc.net.0.type = veth
lxc.net.0.name = eth0
lxc.net.0.hwaddr = 02:16:3e:77:00:01
lxc.apparmor.profile = unconfined
lxc.log.file = {folder}/lxc.log
"""

STATE = """
starting() { pgrep -f '^/bin/sh /etc/rc.d/rc ' >/dev/null; }
if [ -x /usr/bin/systemctl ]; then
    systemctl is-system-running || :
elif ! starting && sleep 1 && ! starting; then
    runlevel
fi
"""
"""Prints what systemd says, or the runlevel of an older init once rc(8) is through: it writes the runlevel first."""

UP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Machine:
    folder: Path

    def sh(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Output and errors come together."""
        words = ["lxc-attach", "-P", str(self.folder), "-n", "guest", "--clear-env", "--", "sh", "-euc", script]
        ran = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
        )
        if check and ran.returncode != 0:
            raise RuntimeError(f"{script}: exit {ran.returncode}\n{ran.stdout}")
        return ran


@contextmanager
def booted(root: Root, folder: Path) -> Iterator[Machine]:
    """It is up when its init says so. folder: a new one; what the machine changes is forgotten."""
    (folder / "guest").mkdir(parents=True)
    (folder / "guest/config").write_text(CONFIG.format(folder=folder))
    lower = ":".join(map(str, root.layers))
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private", "sh", "-euc", START, "sh"]
    with open(folder / "console", "wb") as console:
        started = subprocess.Popen(
            [*words, lower, str(folder)], stdin=subprocess.DEVNULL, stdout=console, stderr=console
        )
    machine = Machine(folder)
    try:
        _wait(machine, started)
        yield machine
    finally:
        subprocess.run(["lxc-stop", "-k", "-P", str(folder), "-n", "guest"], capture_output=True)
        started.wait(timeout=30)
        shutil.rmtree(folder)


def _wait(machine: Machine, started: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + UP_SECONDS
    state = ""
    while time.monotonic() < end and started.poll() is None:
        state = machine.sh(STATE, check=False).stdout.strip()
        if state in ("running", "degraded", "N 3"):
            return
        time.sleep(0.2)
    log = (machine.folder / "lxc.log").read_text() if (machine.folder / "lxc.log").exists() else ""
    raise RuntimeError(f"the machine does not come up: {state}\n{log[-2000:]}\n{os.listdir(machine.folder)}")
