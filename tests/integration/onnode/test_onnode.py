"""Builds on a node: the stand-in of tests/node behind a real sshd on loopback, and an lxc node."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.onnode.onnode import QUICK, Build, OsTemplateServer, outcomes
from tests.integration.sshd import Sshd
from tests.integration.test_install import FULL, command, created_and_probed
from tests.node.node import Node

PASSWORD = "quietly-kept"


def paused(seconds: int) -> list[str]:
    return ["--set", f"config.scripts.last.run=echo the script runs; sleep {seconds}"]


def test_the_image_of_a_node_is_created_there_again_and_every_setting_holds(
    node: Node, over_ssh: Build, tmp_path: Path
) -> None:
    done = over_ssh(FULL, "--build-address", "10.77.0.5", "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    assert outcomes(done.stdout)["packages-services"] == "built"
    kept = [name for name in node.left_over() if "-vmgen-" in name]
    assert len(kept) == 1 and node.left_over() == kept

    again = over_ssh(FULL, "--build-address", "10.77.0.5", "--set", "config.timezone=Europe/Paris", "--json")
    assert again.returncode == 0, again.stderr[-4000:]
    steps = outcomes(again.stdout)
    assert steps["packages-services"] == "cached" and steps["system"] == "built"
    node.begin()

    bundle = tmp_path / "out/4101-openvz-amd64.tar"
    created_and_probed(node, bundle, json.loads(bundle.with_name("4101-openvz-amd64.tar.manifest.json").read_text()))


def test_the_node_has_no_template_and_none_is_named(node: Node, over_ssh: Build, aside: Path, tmp_path: Path) -> None:
    """A base made here takes its place, with what vzctl's scripts call in a container."""
    done = over_ssh(QUICK)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "has no OS template debian-12-x86_64: a base made here takes its place" in done.stderr
    with tarfile.open(tmp_path / "out/4102-openvz-amd64.tar") as tar:
        assert "debian-12-x86_64-4102.tar.gz" in tar.getnames()
    kept = list(node.cache.glob("*-vmgen-*.tar.gz"))
    assert len(kept) >= 2
    for path in kept:
        with tarfile.open(path) as tar:
            assert {"./usr/sbin/ifconfig", "./usr/sbin/route"} <= set(tar.getnames()), path


def test_a_template_is_downloaded_checked_and_copied_over(
    node: Node, over_ssh: Build, served: str, aside: Path
) -> None:
    wrong = over_ssh(QUICK, "--ostemplate-url", served, "--ostemplate-sha256", "0" * 64)
    assert wrong.returncode == 1 and "0" * 64 in wrong.stderr, wrong.stderr
    assert node.left_over() == []
    digest = hashlib.sha256(aside.read_bytes()).hexdigest()
    done = over_ssh(QUICK, "--ostemplate-url", served, "--ostemplate-sha256", digest)
    assert "/template/precreated/contrib/debian-12-x86_64.tar.gz" in OsTemplateServer.requests
    assert done.returncode == 0, done.stderr[-4000:]
    copied = node.cache / "debian-12-x86_64.tar.gz"
    assert hashlib.sha256(copied.read_bytes()).hexdigest() == digest

    other = over_ssh(QUICK, "--ostemplate-sha256", "0" * 64)
    assert other.returncode == 1 and f"has the sha256 {digest}, not {'0' * 64}" in other.stderr, other.stderr
    copied.unlink()


def test_neither_mmdebstrap_nor_lxc_is_asked_for_here_where_the_node_has_the_base(
    cache: Path, server: Sshd, tmp_path: Path
) -> None:
    hide = 'for one in mmdebstrap lxc-execute; do mount --bind /dev/null /usr/bin/$one; done; exec "$@"'
    head = ["unshare", "--mount", "sh", "-euc", hide, "sh"]
    line = command(cache, QUICK, tmp_path / "out", "-b", "openvz", "--no-cache")
    here = subprocess.run([*head, *line, "--offline"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert here.returncode == 1
    lacks = ["mmdebstrap (makes a Debian base)", "lxc-execute (runs the containers of a build)"]
    assert any(f"this host lacks {one}; get it with" in here.stderr for one in lacks), here.stderr
    there = subprocess.run(
        [*head, *line, "--host", server.url],
        capture_output=True,
        text=True,
        env=os.environ | server.environ,
        stdin=subprocess.DEVNULL,
    )
    assert there.returncode == 0, there.stderr[-4000:]


def test_a_base_that_the_recipe_names_is_made_here_and_sent_there(node: Node, over_ssh: Build, tmp_path: Path) -> None:
    """A tar, and then an OS template by its name: the one that the node has."""
    root = node.folder / "vz/template/cache/debian-12-x86_64.tar.gz"
    done = over_ssh(QUICK, "--json", "--set", f"hardware.base={root}")
    assert done.returncode == 0, done.stderr[-4000:]
    assert outcomes(done.stdout)["base"] == "built"
    assert any("/debian-12-x86_64-vmgen-" in name for name in node.left_over())
    node.begin()
    manifest = json.loads((tmp_path / "out/4102-openvz-amd64.tar.manifest.json").read_text())
    digest = hashlib.sha256(root.read_bytes()).hexdigest()
    assert manifest["base"] == {"method": "tarball", "source": root.name, "sha256": digest}
    named = ["--set", "hardware.base=template:debian-12-x86_64", "--set", f"hardware.base_sha256={digest}"]
    done = over_ssh(QUICK, "--json", *named)
    assert done.returncode == 0 and outcomes(done.stdout)["base"] == "cached", done.stderr[-4000:]
    node.begin()


def test_on_the_node_itself(cache: Path, node: Node, tmp_path: Path) -> None:
    line = command(cache, QUICK, tmp_path / "out", "-b", "openvz", "--host", "local")
    done = subprocess.run(node.inside(line), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "out/4102-openvz-amd64.tar").exists()


def test_a_full_disk_in_the_middle_of_a_step(node: Node, over_ssh: Build) -> None:
    node.small_disk("400M")
    fill = "config.scripts.last.run=dd if=/dev/zero of=/filler bs=1M count=2000"
    done = over_ssh(QUICK, "--set", fill)
    assert done.returncode == 1
    assert "step 'script-last' failed" in done.stderr and "No space left on device" in done.stderr, done.stderr


def test_a_killed_shell_is_no_refusal_of_the_node(over_ssh: Build) -> None:
    done = over_ssh(QUICK, "--set", "config.scripts.last.run=kill -9 $PPID")
    assert done.returncode == 1
    assert "step 'script-last' was cut short" in done.stderr and "in the container was killed" in done.stderr, (
        done.stderr
    )


def test_keep_leaves_the_container_and_says_how_to_enter_it(node: Node, over_ssh: Build) -> None:
    done = over_ssh(QUICK, "--on-error", "keep", "--set", "config.scripts.last.run=echo half >/root/half; false")
    try:
        assert done.returncode == 1
        assert "vzctl enter 4102" in done.stderr and "vzctl destroy 4102" in done.stderr, done.stderr
        assert node.containers() == {4102: "running"}
        assert node.vzctl("exec2", "4102", "cat /root/half").stdout == "half\n"
    finally:
        node.vzctl("stop", "4102", "--fast")
        node.vzctl("destroy", "4102")
        (node.conf / "4102.conf.destroyed").unlink(missing_ok=True)


@pytest.fixture()
def begun(cache: Path, server: Sshd, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a build whose last step takes a minute, and come back once what is waited for stands in its events."""
    processes = []

    def begin(until: str, *words: str) -> subprocess.Popen[str]:
        line = command(cache, QUICK, tmp_path / "out", "-b", "openvz", "--host", server.url, "--json", *words)
        process = subprocess.Popen(
            line,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | server.environ,
            stdin=subprocess.DEVNULL,
        )
        processes.append(process)
        assert process.stdout is not None
        for event in process.stdout:
            if until in event:
                return process
        raise AssertionError(process.communicate()[1])

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_connection_cut_in_a_step(node: Node, server: Sshd, begun: Any) -> None:
    process = begun("the script runs", *paused(60))
    assert node.containers() == {4102: "running"}
    server.cut()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "was cut" in err and "nothing of the build is left there" in err, err


def test_a_connection_cut_while_the_root_comes_home(node: Node, server: Sshd, begun: Any, tmp_path: Path) -> None:
    process = begun("bringing the root home")
    server.cut()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "nothing of the build is left there" in err, err
    assert list((tmp_path / "out").iterdir()) == []


def test_the_node_goes_down_in_a_step(node: Node, server: Sshd, begun: Any) -> None:
    process = begun("the script runs", *paused(60))
    process.send_signal(signal.SIGSTOP)  # what goes down at once is seen at once
    for pid in server.running("vmgen-guardian"):
        os.kill(pid, signal.SIGKILL)
    node.reboot()
    server.cut()
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "nothing of the build is left there" in err, err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_builder_that_is_killed_or_interrupted(node: Node, begun: Any, number: int) -> None:
    process = begun("the script runs", *paused(60))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    end = time.monotonic() + 30
    while node.left_over() and time.monotonic() < end:
        time.sleep(0.2)
    assert node.left_over() == []


@pytest.mark.parametrize("backend", ["openvz", "lxc"])
def test_what_a_dead_guardian_left_goes_with_the_next_build(
    node: Node, server: Sshd, begun: Any, over_ssh: Build, backend: str
) -> None:
    """Of any backend: what was made by vzctl is removed by vzctl, though lxc's containers are made by lxc-execute."""
    process = begun("the script runs", *paused(60))
    for pid in [*server.running("vmgen-guardian"), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert 4102 in node.containers()
    node.fault("no-space")
    done = over_ssh(QUICK, backend=backend)
    assert "what a build that was cut off left" in done.stderr and node.containers() == {}, done.stderr


@pytest.fixture()
def arguments() -> Iterator[set[str]]:
    """The command lines of all processes that were seen meanwhile, on the node and here."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    over.set()
    watcher.join()


def test_an_old_busy_node(node: Node, over_ssh: Build, tmp_path: Path, arguments: set[str]) -> None:
    """Its kernel knows no --ram, another vzctl holds the lock for a while, and a container of others has our number,
    which is left alone. No password is seen in an argument of any process, nor in what comes out."""
    assert node.vzctl("create", "4102", "--ostemplate", "debian-12-x86_64").returncode == 0
    mark = node.private / "4102/root/mark"
    mark.write_text("mine")
    before = (node.conf / "4102.conf").read_text()
    node.fault("locked", times=2)
    node.fault("old-kernel")
    try:
        done = over_ssh(QUICK, "-v")
        assert done.returncode == 0, done.stderr[-4000:]
        assert mark.read_text() == "mine" and (node.conf / "4102.conf").read_text() == before
    finally:
        node.clear()
        node.vzctl("destroy", "4102")
        (node.conf / "4102.conf.destroyed").unlink(missing_ok=True)
    assert any("vzctl" in line and "9001" in line for line in arguments)
    assert [line for line in arguments if PASSWORD in line] == []
    assert PASSWORD not in done.stdout + done.stderr
    for path in (tmp_path / "out").glob("*.json"):
        assert PASSWORD not in path.read_text()


def test_lxc_on_a_host_reached_by_ssh(over_ssh: Build, tmp_path: Path) -> None:
    done = over_ssh(QUICK, backend="lxc")
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "out/4102-lxc-amd64.tar.zst").exists()
    assert list(Path("/var/lib/vmgen-build/lxc").iterdir()) == []
