"""What was made, used: run and entered on a terminal, kept with lxc; and nothing stays of what was thrown away."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.terminals import User, at_terminal

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = used
os = debian-12
ram = 256
    [[eths]]
        [[[eth0]]]
            hw_addr = 00:16:3e:00:00:07
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
            sudo = yes
[services]
sshd = 1
"""

KEPT = f"vmgen-test-{os.getpid()}"
CONTAINERS = Path("/var/lib/lxc")
LEAVE = b"\x1d"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("used") / "used.ini"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def image(vmgen: Run, recipe: Path) -> Path:
    done = vmgen(recipe, "-o", recipe.parent / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    return recipe.parent / "out/used-lxc-amd64.tar.zst"


@pytest.fixture
def at(cache: Path) -> Iterator[Callable[..., User]]:
    """The tool on a terminal, and the user before it."""
    with ExitStack() as stack:

        def begun(*words: object) -> User:
            command = [sys.executable, "-m", "vmgen_build", *words]
            return stack.enter_context(at_terminal(command, {"VMGEN_CACHE": str(cache), "NO_COLOR": "1"}))

        yield begun
    assert_nothing_left(cache / "tmp")
    assert not list((cache / "tmp").iterdir())


def logged_in(user: User) -> str:
    """All that was shown until there is a prompt."""
    shown = user.read_until("used login: ")
    user.type("ana")
    user.read_until("assword: ")
    user.type("correct horse")
    user.read_until("ana@used:~$ ")
    return shown


def banner(port: int) -> bytes:
    """What the machine's sshd says at a port of this host, once it runs."""
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            if first := connection.recv(100):
                return first
        time.sleep(0.2)
    return b""


def answer(user: User, line: str) -> str:
    """What a command prints between two marks, which the line itself does not hold."""
    user.type(f"echo '<''<'; {line}; echo '>''>'")
    found = re.search("<<(.*?)>>", user.read_until(">>"), re.DOTALL)
    assert found is not None
    return re.sub("\r+\n", "\n", found[1]).strip()


def test_run_shows_the_console_and_its_ports_and_nothing_stays(at: Callable[..., User], image: Path) -> None:
    before = image.stat()
    user = at("run", image)
    shown = logged_in(user)
    port = re.search(r"127\.0\.0\.1:(\d+) leads to its port 22", shown)
    assert port and f"ssh -p {port[1]} ana@127.0.0.1" in shown
    assert "its users: ana" in shown and "Ctrl-] ends the machine" in shown
    assert banner(int(port[1])).startswith(b"SSH-2.0-")
    assert "192.168.50.7/24" in answer(user, "ip -br -4 a show eth0")
    assert answer(user, "cat /proc/self/uid_map").split()[1] != "0", "its root is nobody here"
    user.type("sleep 1000")
    time.sleep(0.5)
    os.write(user.fd, b"\x03")
    assert answer(user, "echo a''live") == "alive", "Ctrl-C is the machine's"
    os.write(user.fd, LEAVE)
    user.read_until("used-lxc-amd64.tar.zst: the machine is gone; the image is as it was")
    assert user.process.wait(60) == 0
    assert (image.stat().st_mtime_ns, image.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_poweroff_inside_ends_it_and_a_named_port_is_the_one(at: Callable[..., User], image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    user = at("run", image, "-p", f"{port}:22")
    logged_in(user)
    assert banner(port).startswith(b"SSH-2.0-")
    user.type("sudo poweroff")
    user.read_until("assword for ana: ")
    user.type("correct horse")
    user.read_until("Reached target")
    assert user.process.wait(120) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_a_run_nothing_is_left(cache: Path, vmgen: Run, image: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "vmgen_build", "run", image]
    with at_terminal(command, {"VMGEN_CACHE": str(cache)}) as user:
        user.read_until("used login: ")
        user.process.send_signal(number)
        user.process.wait(60)
    if number == signal.SIGKILL:
        assert vmgen("shell", image, "--", "true").returncode == 0, "the next run clears up"
    assert_nothing_left(cache / "tmp")
    assert not list((cache / "tmp").iterdir())


def test_a_port_that_is_taken_is_refused_before_anything_is_made(vmgen: Run, image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = vmgen("run", image, "-p", f"{port}:22")
    assert done.returncode == 1
    assert f"error: --port {port}:22: something else listens there; take another port" in done.stderr


def test_one_command_in_an_image_has_its_exit_code_and_its_streams(vmgen: Run, image: Path) -> None:
    done = vmgen("shell", image, "--", "sh", "-c", "systemctl is-system-running; echo complaint >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "running\n")
    assert "complaint" in done.stderr


def test_a_shell_on_the_layers_up_to_a_step(at: Callable[..., User], vmgen: Run, recipe: Path) -> None:
    user = at("shell", recipe, "--step", "users")
    user.read_until("after the step 'users'; nothing of what is done here stays")
    user.read_until("# ")
    assert answer(user, "getent passwd ana; stty size").startswith("ana:x:1000:")
    assert answer(user, "touch /left; test -e /etc/iptables/rules.v4 || echo none") == "none", "a later step's"
    user.type("sleep 1000")
    time.sleep(0.5)
    os.write(user.fd, b"\x03")
    assert answer(user, "echo a''live") == "alive"
    user.type("exit 5")
    assert user.process.wait(60) == 5
    again = vmgen("shell", recipe, "--step", "users and groups", "--", "sh", "-c", "test ! -e /left")
    assert again.returncode == 0, again.stderr
    base = vmgen("shell", recipe, "--step", "base", "--", "sh", "-c", "! getent passwd ana && ! command -v sshd")
    assert base.returncode == 0, base.stderr


def test_a_shell_makes_what_is_not_there_first(vmgen: Run, recipe: Path) -> None:
    """And what it made is a build's, too."""
    more = ("--set", f"config.hostname={KEPT}")
    done = vmgen("shell", recipe, *more, "--step", "system", "--", "cat", "/etc/hostname")
    assert (done.returncode, done.stdout) == (0, f"{KEPT}\n"), done.stderr
    assert "host name, time, language: done" in done.stderr
    rest = vmgen(recipe, *more, "--dry-run")
    assert rest.stdout.count("cached") == 4, rest.stdout


def test_on_error_shell_is_where_the_step_failed(at: Callable[..., User], tmp_path: Path) -> None:
    script = "[config]\n[[scripts]]\n[[[one]]]\nrun = 'touch /here; exit 3'\n"
    (tmp_path / "f.ini").write_text(f"[hardware]\nvm_id = fails\nos = debian-12\n{script}")
    user = at(tmp_path / "f.ini", "-o", tmp_path, "--on-error", "shell")
    user.read_until("this shell is where it failed")
    user.read_until("# ")
    assert answer(user, "ls /here; tty") == "/here\n/dev/pts/0"
    user.type("exit")
    assert user.process.wait(60) == 1


@contextmanager
def kept() -> Iterator[Path]:
    """Where the container is, which is gone afterwards."""
    try:
        yield CONTAINERS / KEPT
    finally:
        subprocess.run(["lxc-stop", "-k", "-n", KEPT], capture_output=True)
        for folder in (CONTAINERS / KEPT, CONTAINERS / f".{KEPT}.vmgen-part"):
            subprocess.run(["rm", "-rf", folder], check=True)


def inside(command: str) -> subprocess.CompletedProcess[str]:
    words = ["lxc-attach", "-n", KEPT, "--clear-env", "--", "sh", "-c", command]
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_container_is_kept_under_another_name_starts_and_is_nobody_elses(vmgen: Run, image: Path) -> None:
    with kept() as folder:
        done = vmgen("run", image, "--keep", KEPT)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"installed; now: lxc-start -n {KEPT}\n"
        config = (folder / "config").read_text()
        assert f"lxc.rootfs.path = dir:{folder}/rootfs\n" in config and f"lxc.uts.name = {KEPT}\n" in config
        assert "00:16:3e:00:00:07" not in config, "the image's own address may be another container's"
        again = vmgen("install", image, "--to", "lxc", "--name", KEPT)
        assert again.returncode == 2 and f"there is a container '{KEPT}' already" in again.stderr
        subprocess.run(["lxc-start", "-n", KEPT], check=True)
        up = "until systemctl is-system-running | grep -q running; do sleep 0.2; done; getent passwd ana"
        assert inside(up).stdout.startswith("ana:x:1000:")
        assert inside("cat /proc/self/cgroup").returncode == 0


def begun(cache: Path, image: Path) -> subprocess.Popen[str]:
    """An install that is unpacking."""
    command = [sys.executable, "-m", "vmgen_build", "install", str(image), "--to", "lxc", "--name", KEPT]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"VMGEN_CACHE": str(cache)})
    deadline = time.monotonic() + 60
    while not (CONTAINERS / f".{KEPT}.vmgen-part/rootfs/usr").exists():
        assert time.monotonic() < deadline and process.poll() is None
    return process


def test_an_interrupted_install_leaves_nothing(cache: Path, image: Path) -> None:
    with kept(), begun(cache, image) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert not [path for path in CONTAINERS.iterdir() if KEPT in path.name]


def test_a_killed_install_is_none_and_the_next_one_does_it(cache: Path, vmgen: Run, image: Path) -> None:
    with kept() as folder:
        with begun(cache, image) as process:
            process.kill()
        assert not folder.exists()
        assert_nothing_left(Path(f"/.{KEPT}.vmgen-part"))
        done = vmgen("install", image, "--to", "lxc", "--name", KEPT, "--start")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"installed; now: lxc-attach -n {KEPT}\n"
        assert [path.name for path in CONTAINERS.iterdir() if KEPT in path.name] == [KEPT]


def test_the_printed_commands_do_the_same(vmgen: Run, image: Path) -> None:
    with kept() as folder:
        printed = vmgen("install", image, "--to", "lxc", "--name", KEPT, "--print")
        assert printed.returncode == 0 and not folder.exists()
        *lines, last = printed.stdout.splitlines()
        assert last == f"lxc-start -n {KEPT}", "on a host that has the image's bridge"
        subprocess.run(["sh", "-eu"], input="\n".join(lines), text=True, check=True)
        assert (folder / "rootfs/etc/passwd").exists() and f"lxc.uts.name = {KEPT}" in (folder / "config").read_text()
