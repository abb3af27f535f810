"""The stand-in does what the real vzctl 4.11.1 was seen to do, point by point (tests/node/README.md)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.test_install import conf_of
from tests.integration.test_node import ADDRESS, TEMPLATE, small
from tests.node.node import Node, make_node, template_from

BIG = "big"
"""A template whose unpacking takes seconds."""


@pytest.fixture(autouse=True)
def _nothing_stays(node: Node) -> Iterator[None]:
    yield
    node.clear()
    for ctid in node.containers():
        node.vzctl("stop", ctid, "--fast")
        subprocess.run(node.inside(["umount", f"{node.folder}/vz/root/{ctid}"]), capture_output=True)
        node.vzctl("destroy", ctid)


@pytest.fixture(scope="module")
def upstream(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """On a kernel of Linux's own."""
    made = make_node(tmp_path_factory.mktemp("vz") / "u", upstream=True)
    try:
        template_from(cache, made)
        yield made
    finally:
        made.destroy()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


def conf(node: Node, ctid: int) -> dict[str, str]:
    return conf_of((node.conf / f"{ctid}.conf").read_text())


@pytest.fixture()
def slow(node: Node) -> Iterator[subprocess.Popen[bytes]]:
    """A create that is at its template, of container 301 with the name mine."""
    assert node.vzctl("status", 301).stdout == "CTID 301 deleted unmounted down\n"
    words = node.inside(["vzctl", "create", 301, "--ostemplate", TEMPLATE, "--name", "mine"])
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        until((node.private / "301.tmp/etc").exists)
        yield process
        process.kill()
    subprocess.run(["pkill", "-9", "-f", f"{node.folder}/vz/private/301.tmp"], check=False)
    for left in ("vz/private/301", "vz/private/301.tmp"):
        subprocess.run(["rm", "-rf", node.seen / left], check=True)
    (node.seen / "etc/vz/names/mine").unlink(missing_ok=True)
    (node.conf / "301.conf").unlink(missing_ok=True)


def test_point_1_create_begins_with_the_conf_and_the_link_and_ends_with_the_name(
    node: Node, slow: subprocess.Popen[bytes]
) -> None:
    half = (node.conf / "301.conf").read_text()
    assert "# For a kernel with VSwap." in half and 'DISKSPACE="2G:2.2G"' in half
    assert "NAME=" not in half
    assert os.readlink(node.seen / "etc/vz/names/mine") == "/etc/vz/conf/301.conf"
    assert list((node.private / "301").iterdir()) == []
    printed, _ = slow.communicate()
    assert printed.startswith(b"Name mine assigned\n")
    whole = (node.conf / "301.conf").read_text()
    assert whole.startswith(half) and whole.endswith('NAME="mine"\n')
    assert not (node.private / "301.tmp").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_point_1_a_killed_create(node: Node, slow: subprocess.Popen[bytes], number: int) -> None:
    """SIGTERM undoes all but the name's link."""
    os.kill(int(subprocess.check_output(["pgrep", "-f", "vzctl create 301"]).split()[-1]), number)
    slow.wait()
    assert (node.conf / "301.conf").exists() is (number == signal.SIGKILL)
    assert (node.private / "301.tmp").exists() is (number == signal.SIGKILL)
    assert (node.seen / "etc/vz/names/mine").is_symlink()


def test_point_1_what_create_says_where_it_fails(node: Node) -> None:
    missing = node.vzctl("create", 302, "--ostemplate", "none", "--name", "odd")
    assert missing.returncode == 91
    assert missing.stdout == "Name odd assigned\n"
    assert missing.stderr.splitlines()[-2:] == [
        f"Cached OS template {node.folder}/vz/template/cache/none.tar[.gz|.bz2|.xz] not found",
        "Creation of container private area failed",
    ]
    (node.seen / "etc/vz/names/odd").unlink()


def test_point_1_an_existing_conf_is_kept(node: Node) -> None:
    (node.conf / "303.conf").write_text('CPUS="3"\n')
    made = node.vzctl("create", 303, "--ostemplate", small(node))
    assert made.returncode == 0
    assert "Warning: CT config file already exists, not applying a default config sample." in made.stdout
    assert conf(node, 303)["CPUS"] == "3" and "PHYSPAGES" not in conf(node, 303)


def test_point_1_a_stale_mount_at_its_root(node: Node) -> None:
    """One of a folder that is gone."""
    root = node.stale_mount(304)
    try:
        made = node.vzctl("create", 304, "--ostemplate", small(node))
        assert made.returncode == 50, made
        assert not (node.private / "304").exists() and not (node.conf / "304.conf").exists()
    finally:
        subprocess.run(node.inside(["umount", root]), check=True)


def test_point_2_a_busy_root_and_what_follows(node: Node) -> None:
    node.vzctl("create", 305, "--ostemplate", small(node))
    assert node.vzctl("mount", 305).returncode == 0
    again = node.vzctl("mount", 305)
    assert (again.returncode, again.stdout) == (0, "Container is already mounted\n")
    within = f"cd {node.folder}/vz/root/305 && vzctl umount 305"
    busy = subprocess.run(node.inside(["sh", "-c", within]), capture_output=True, text=True)
    assert busy.returncode == 51 and "Device or resource busy" in busy.stderr
    assert node.vzctl("destroy", 305).returncode == 41
    assert node.vzctl("umount", 305).returncode == 0
    (node.conf / "306.conf").write_text("")
    assert node.vzctl("mount", 306).returncode == 43
    (node.conf / "306.conf").unlink()


def test_point_3_set(node: Node) -> None:
    assert node.vzctl("set", 307, "--cpus", "2", "--save").returncode == 0
    assert conf(node, 307) == {"CPUS": "2"}
    assert node.vzctl("set", 307, "--ipadd", "300.1.1.1", "--save").returncode == 21
    assert node.vzctl("set").returncode == 21
    for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"):
        assert node.vzctl("set", 307, "--netif_add", f"eth0,{mac}", "--save").returncode == 0
    assert conf(node, 307)["NETIF"].count("eth0") == 1
    assert "mac=02:00:00:00:00:02" in conf(node, 307)["NETIF"]
    (node.conf / "307.conf").unlink()


def test_point_4_names_and_limits(node: Node, upstream: Node) -> None:
    node.vzctl("set", 310, "--netif_add", "eth1", "--save")
    assert "host_ifname=veth310.1," in conf(node, 310)["NETIF"]
    node.vzctl("set", 310, "--privvmpages", "5000", "--physpages", "300M", "--save")
    assert (conf(node, 310)["PRIVVMPAGES"], conf(node, 310)["PHYSPAGES"]) == ("5000", "76800")
    (node.conf / "310.conf").unlink()
    refused = upstream.vzctl("set", 310, "--ram", "1G", "--save")
    assert refused.returncode == 3 and "kernel does not support vswap" in refused.stderr


def test_point_5_applyconfig_wins(node: Node) -> None:
    node.vzctl("create", 311, "--ostemplate", small(node), "--diskspace", "4G:4G")
    for words in (
        (("--applyconfig", "basic"), ("--privvmpages", "100")),
        (("--privvmpages", "100"), ("--applyconfig", "basic")),
    ):
        assert node.vzctl("set", 311, *words[0], *words[1], "--save").returncode == 0
        values = conf(node, 311)
        assert values["PRIVVMPAGES"] == "65536:69632"
        assert (values["PHYSPAGES"], values["DISKSPACE"]) == ("0:unlimited", "2G:2.2G")
    assert node.vzctl("set", 311, "--privvmpages", "100", "--save").returncode == 0
    assert conf(node, 311)["PRIVVMPAGES"] == "100"


def test_points_6_and_9_commands_and_a_venet_without_net_tools(node: Node) -> None:
    """Beside them: 28, where limits lack, and 2 s for an address."""
    node.vzctl("create", 312, "--ostemplate", TEMPLATE, "--ipadd", ADDRESS)
    (node.private / "312/usr/sbin/route").rename(node.private / "312/usr/sbin/route.away")
    node.fault("old-kernel")
    lacking = node.vzctl("start", 312)
    assert lacking.returncode == 28 and "required UB parameter kmemsize not set" in lacking.stderr
    node.clear()
    node.fault("arpsend")
    began = time.monotonic()
    assert node.vzctl("start", 312).returncode == 0
    assert time.monotonic() - began > 2
    assert node.vzctl("exec2", 312, "exit 137").returncode == 137
    assert node.vzctl("exec2", 312, "-", data="exit 137").returncode == 137
    assert node.vzctl("exec2", 312, "-", data="kill -9 $$").returncode == 3
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert node.vzctl("exec2", 312, "pwd; echo $PATH").stdout == f"/\n{path}\n"
    assert "default" not in node.vzctl("exec2", 312, "ip route").stdout
    interfaces = (node.private / "312/etc/network/interfaces").read_text()
    assert "\niface venet0 inet6 manual\n" in interfaces
    (node.private / "312/usr/sbin/route.away").rename(node.private / "312/usr/sbin/route")
    assert node.vzctl("restart", 312, "--fast").returncode == 0
    assert "default dev venet0" in node.vzctl("exec2", 312, "ip route").stdout


def test_point_7_streams_and_locks(node: Node) -> None:
    node.vzctl("create", 313, "--ostemplate", small(node))
    stopped = node.vzctl("stop", 313)
    assert (stopped.returncode, stopped.stderr) == (0, "Unable to stop: container is not running\n")
    node.vzctl("mount", 313)
    mounted = node.vzctl("destroy", 313)
    assert (mounted.stdout, mounted.stderr) == ("Container is currently mounted (umount first)\n", "")
    lock = node.folder / "vz/lock/313.lck"
    lock.write_text(f"{os.getpid()}\nsetting\n")
    locked = node.vzctl("umount", 313)
    lock.unlink()
    first, second = locked.stderr.splitlines()
    assert first.startswith(f"Locked by: pid {os.getpid()}, cmdline ") and second == "Container already locked"


def test_points_3_7_and_8_on_a_kernel_of_linux_itself(upstream: Node) -> None:
    """No message without --quiet is alone; nothing is listed; an address that is used is taken."""
    printed = upstream.vzctl("create", 314, "--ostemplate", TEMPLATE, "--ipadd", ADDRESS).stdout
    assert printed.startswith("Directory /proc/vz not found, assuming non-OpenVZ kernel\n")
    listed = upstream.vzlist("-a", "-j", "-o", "ctid,status")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert upstream.vzctl("status", 314).stdout == "CTID 314 exist unmounted down\n"
    upstream.vzctl("create", 315, "--ostemplate", TEMPLATE, "--ipadd", ADDRESS)
    try:
        assert [upstream.vzctl("start", ctid).returncode for ctid in (314, 315)] == [0, 0]
    finally:
        for ctid in (314, 315):
            upstream.vzctl("stop", ctid, "--fast")
            upstream.vzctl("destroy", ctid)


def test_point_8_a_start_that_waits_is_cancelled(node: Node) -> None:
    node.vzctl("create", 316, "--ostemplate", TEMPLATE)
    words = node.inside(["vzctl", "start", 316, "--wait"])
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        until(lambda: node.containers()[316] == "running")
        time.sleep(1)
        process.terminate()
        assert "Cancelling..." in process.communicate(timeout=20)[0]
    assert node.containers()[316] == "stopped"


def test_point_10_destroy_removes_in_the_background(node: Node) -> None:
    node.vzctl("create", 317, "--ostemplate", TEMPLATE)
    assert node.vzctl("destroy", 317).returncode == 0
    assert not (node.private / "317").exists()
    until(lambda: not list((node.private / "vztmp").iterdir()))
