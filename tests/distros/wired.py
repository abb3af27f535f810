"""A test distribution's root booted as a router: eth0 leads to an outside with a DHCP server, eth1 to an inside.

Outside and inside are network namespaces of their own, with one address each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.distros.inside import Root
from tests.distros.machine import START, UP_SECONDS

OUTSIDE, INSIDE = "198.18.0.1", "10.9.0.50"
PORT = 7777

CONFIG = """\
lxc.include = /usr/share/lxc/config/common.conf
lxc.rootfs.path = dir:/mnt/root
lxc.uts.name = guest
lxc.net.0.type = veth
lxc.net.0.name = eth0
lxc.net.0.veth.pair = outside
lxc.net.1.type = veth
lxc.net.1.name = eth1
lxc.net.1.veth.pair = inside
lxc.apparmor.profile = unconfined
lxc.log.file = {folder}/lxc.log
"""

WIRES = """
for try in $(seq 100); do ip link show inside >/dev/null 2>&1 && break; sleep 0.1; done
ip link set inside netns "$1"
ip address add {outside}/24 dev outside
ip link set outside up
exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-ping --dhcp-authoritative \
    --bind-interfaces --interface=outside --pid-file= --dhcp-leasefile="$2" --dhcp-range=198.18.0.10,198.18.0.99,1h
"""
CABLE = """
for try in $(seq 100); do ip link show inside >/dev/null 2>&1 && break; sleep 0.1; done
ip address add {inside}/16 dev inside
ip link set inside up
ip route add default via 10.9.0.1
"""
SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("ready", flush=True)
    server.settimeout(5)
    try:
        print(server.accept()[1][0], flush=True)
    except TimeoutError:
        print("nobody", flush=True)
"""
CLIENT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"

Words = list[str]


@dataclass(frozen=True, slots=True)
class Router:
    """outside, inside: the words that a command begins with, to run there."""

    folder: Path
    outside: Words
    inside: Words

    def sh(self, script: str) -> tuple[int, str]:
        """A script's exit code, and its output with its errors."""
        words = [*self.outside, "lxc-attach", "-P", str(self.folder), "-n", "guest", "--clear-env", "--", "sh", "-c"]
        ran = subprocess.run(
            [*words, script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return ran.returncode, ran.stdout.strip()

    def visitor(self, server: Words, address: str, client: Words) -> str:
        """From which address a server at `address` is reached by the client; "nobody" where it is not."""
        words = [*server, sys.executable, "-c", SERVER, address, str(PORT)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening:
            assert listening.stdout is not None
            assert listening.stdout.readline() == "ready\n"
            subprocess.run([*client, sys.executable, "-c", CLIENT, address, str(PORT)], capture_output=True)
            return listening.stdout.readline().strip()


@contextmanager
def routing(root: Root, folder: Path) -> Iterator[Router]:
    """folder: a new one; what the machine changes is forgotten. It is up when systemd says so."""
    (folder / "guest").mkdir(parents=True)
    (folder / "guest/config").write_text(CONFIG.format(folder=folder))
    with ExitStack() as stack:
        (outside, _), (inside, pid) = (stack.enter_context(_network()) for _ in range(2))
        lower = ":".join(map(str, root.layers))
        space = ["unshare", "--mount", "--propagation=private", "sh", "-euc", START, "sh", lower, str(folder)]
        console = stack.enter_context(open(folder / "console", "wb"))
        stack.enter_context(_running([*outside, *space], console.fileno()))
        router = Router(folder, outside, inside)
        stack.callback(_stop, router)
        wires = [*outside, "sh", "-euc", WIRES.format(outside=OUTSIDE), "sh", str(pid), str(folder / "leases")]
        stack.enter_context(_running(wires, console.fileno()))
        subprocess.run([*inside, "sh", "-euc", CABLE.format(inside=INSIDE)], check=True)
        _wait(router)
        yield router
    shutil.rmtree(folder)


@contextmanager
def _network() -> Iterator[tuple[Words, int]]:
    """A network namespace: how to enter it, and the process that holds it."""
    holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
    net = f"/proc/{holder.pid}/ns/net"
    try:
        while os.readlink(net) == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        enter = ["nsenter", f"--net={net}"]
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        yield enter, holder.pid
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def _running(words: Words, output: int) -> Iterator[None]:
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _stop(router: Router) -> None:
    words = [*router.outside, "lxc-stop", "-k", "-P", str(router.folder), "-n", "guest"]
    subprocess.run(words, capture_output=True)


def _wait(router: Router) -> None:
    end = time.monotonic() + UP_SECONDS
    state = ""
    while time.monotonic() < end:
        state = router.sh("systemctl is-system-running")[1]
        if state in ("running", "degraded"):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the machine does not come up: {state}\n{(router.folder / 'console').read_text()[-2000:]}")
