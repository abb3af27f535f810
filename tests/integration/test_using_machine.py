"""A whole machine that is run: its console on a terminal, its ports, its screen in a window; nothing of it stays."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.libvirtd import waited
from tests.integration.terminals import User, at_terminal
from vmgen_build.boots.qemu.window import AT_ONCE

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = used
os = debian-12
ram = 512
[network]
    [[eths]]
        [[[eth0]]]
            address = 192.168.50.7/24
            gateway = 192.168.50.1
    [[open_ports]]
        [[[ssh]]]
            port = 22
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
[services]
sshd = 1
"""


PROMPT = "used login: "


def prompted(user: User) -> str:
    """All that is shown until there is a prompt of its own line: the boot's own lines may break the first one."""
    seen, fresh, deadline = user.read_until("Login Prompts"), "", time.monotonic() + 900
    while PROMPT not in fresh:
        assert time.monotonic() < deadline, seen[-3000:]
        user.type("")
        time.sleep(5)
        fresh = os.read(user.fd, 1 << 16).decode(errors="replace") if select.select([user.fd], [], [], 5)[0] else ""
        seen += fresh
    return seen


@pytest.fixture(scope="module")
def image(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("machine")
    (folder / "used.ini").write_text(RECIPE)
    done = vmgen(folder / "used.ini", "-b", "kvm", "-o", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "used-kvm-amd64.qcow2"


@pytest.fixture(autouse=True)
def _nothing_stays(cache: Path) -> Iterator[None]:
    yield
    assert_nothing_left(cache / "tmp")
    assert not list((cache / "tmp").iterdir())


def banner(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return connection.recv(100)


@pytest.mark.slow
def test_its_console_and_the_port_of_its_fixed_address(cache: Path, image: Path) -> None:
    """The machine is asked nothing for that: its manifest says the address. Its file is not changed."""
    before = image.read_bytes()[: 1 << 20], image.stat().st_mtime_ns
    command = [sys.executable, "-m", "vmgen_build", "run", image]
    with at_terminal(command, {"VMGEN_CACHE": str(cache), "NO_COLOR": "1"}) as user:
        shown = prompted(user)
        user.type("ana")
        user.read_until("assword: ")
        user.type("correct horse")
        user.read_until("ana@used:~$ ")
        port = re.search(r"127\.0\.0\.1:(\d+) leads to its port 22", shown)
        assert port is not None
        assert waited(lambda: banner(int(port[1])).startswith(b"SSH-2.0-"), 120)
        user.type("systemctl status vmgen-verify.service; echo '<''<'")
        assert "could not be found" in user.read_until("<<"), "nothing of verify's is in it"
        os.write(user.fd, b"\x1d")
        assert user.process.wait(60) == 0
    assert (image.read_bytes()[: 1 << 20], image.stat().st_mtime_ns) == before


@contextmanager
def display() -> Iterator[str]:
    """An X server that nobody sees, in the words of $DISPLAY."""
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1024x768x24"]
    with subprocess.Popen(command, pass_fds=(theirs,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            os.close(theirs)
            yield f":{os.read(ours, 10).decode().strip()}"
        finally:
            os.close(ours)
            server.kill()


def windows(where: str) -> str:
    command = ["xwininfo", "-display", where, "-root", "-tree"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def test_its_screen_is_a_window_and_closing_that_ends_it(cache: Path, image: Path) -> None:
    command = [sys.executable, "-m", "vmgen_build", "run", str(image), "--window", "--no-ports"]
    with display() as where:
        environ = os.environ | {"VMGEN_CACHE": str(cache), "DISPLAY": where}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as running:
            try:
                assert waited(lambda: "QEMU (used)" in windows(where), 120), windows(where)
                listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
                (viewer,) = (line.split()[0] for line in listed.splitlines() if line.split()[1:2] == ["vncviewer"])
                time.sleep(AT_ONCE + 1)
                os.kill(int(viewer), signal.SIGTERM)
                assert running.wait(60) == 0
            finally:
                running.kill()


def test_a_window_needs_a_display_and_a_machine(vmgen: Run, image: Path) -> None:
    nowhere = vmgen("run", image, "--window", env={"DISPLAY": "", "WAYLAND_DISPLAY": ""})
    assert nowhere.returncode == 1 and "--window: there is no display here" in nowhere.stderr, nowhere.stderr
    entered = vmgen("shell", image, "--", "true")
    assert entered.returncode == 2 and "is a whole machine, which nobody enters without a login" in entered.stderr
    kept = vmgen("run", image, "--keep", "x")
    assert kept.returncode == 2 and "which LXC does not take; build it with -b lxc --format tar" in kept.stderr
