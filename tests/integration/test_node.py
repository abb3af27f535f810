"""The stand-in of an OpenVZ node behaves as vzctl 4.11 is known to (tests/node/README.md)."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.node import Node, make_node, template_from

TEMPLATE = "debian-12-x86_64"
ADDRESS = "10.213.77.4"
MAC, HOST_MAC = "02:00:00:00:77:11", "FE:FF:FF:FF:FF:FF"

OVERHEAD = 0.3
"""Seconds of the median exec2, container and all."""


@pytest.fixture(autouse=True)
def _no_fault_stays(node: Node) -> Iterator[None]:
    yield
    node.clear()


@pytest.fixture(scope="module")
def running(node: Node) -> Iterator[int]:
    """A container with an address, a veth and name servers; its CTID."""
    assert node.vzctl("create", 101, "--ostemplate", TEMPLATE, "--hostname", "ct.example.org").returncode == 0
    veth = f"eth1,{MAC},vt{node.mark}.1,{HOST_MAC},nobridge0"
    options = ["--ipadd", ADDRESS, "--netif_add", veth, "--nameserver", "inherit", "--stop-timeout", "15"]
    assert node.vzctl("set", 101, *options, "--ram", "300M", "--diskspace", "4G:4G", "--save").returncode == 0
    (node.private / "101/etc/network/interfaces.tail").write_text("# the tail\n")
    started = node.vzctl("start", 101)
    assert started.returncode == 0, started
    yield 101
    assert node.vzctl("stop", 101).returncode == 0
    assert node.vzctl("destroy", 101).returncode == 0


def small(node: Node, name: str = "small") -> str:
    """The name of a template that is unpacked at once and does not boot."""
    if not (node.cache / f"{name}.tar").exists():
        root = node.folder / "small-root"
        (root / "etc").mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-cf", node.cache / f"{name}.tar", "-C", root, "."], check=True)
    return name


def test_version(node: Node) -> None:
    assert node.vzctl("--version").stdout == "vzctl version 4.11.1\n"


def test_its_configuration_file(node: Node, running: int) -> None:
    lines = (node.conf / "101.conf").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    assert values["PHYSPAGES"] == '"0:76800"'
    assert values["DISKSPACE"] == '"4194304:4194304"'
    assert values["VE_PRIVATE"].endswith('/$VEID"')
    assert values["OSTEMPLATE"] == f'"{TEMPLATE}"'
    netif = f'"ifname=eth1,bridge=nobridge0,mac={MAC},host_ifname=vt{node.mark}.1,host_mac={HOST_MAC}"'
    assert values["NETIF"] == netif


def test_status_and_list(node: Node, running: int) -> None:
    assert node.vzctl("status", 101).stdout == "CTID 101 exist mounted running\n"
    unknown = node.vzctl("status", 999)
    assert (unknown.returncode, unknown.stdout) == (0, "CTID 999 deleted unmounted down\n")
    listed = json.loads(node.vzlist("-a", "-j", "-o", "ctid,status,hostname,ip,name").stdout)
    row = {"ctid": 101, "status": "running", "hostname": "ct.example.org", "ip": [ADDRESS], "name": None}
    assert row in listed
    none = node.vzlist("-a", "-j", "-o", "ctid", 999)
    assert (none.returncode, none.stdout.strip()) == (1, "[]")


def test_commands_inside(node: Node, running: int) -> None:
    ran = node.vzctl("--quiet", "exec2", 101, "echo", "'a  b';", "echo", "wrong", ">&2;", "exit", "9")
    assert (ran.returncode, ran.stdout, ran.stderr) == (9, "a  b\n", "wrong\n")
    assert node.vzctl("exec", 101, "exit 5").returncode == 8
    assert node.vzctl("exec2", 101, "kill -9 $$").returncode == 3
    assert node.vzctl("exec2", 101, "cat", data="standard input").stdout == "standard input"
    environment = node.vzctl("exec2", 101, "pwd; env | cut -d= -f1").stdout
    names = set(environment.split()) - {"PWD", "SHLVL", "_"}
    assert names == {"/", "HOME", "PATH", "TERM"}


def test_a_script_by_standard_input(node: Node, running: int) -> None:
    ran = node.vzctl(
        "--quiet", "exec2", 101, "-", data='cat >/root/got <<"X"\n$HOME it\'s\nX\ncat /root/got\nexit 31\n'
    )
    assert (ran.returncode, ran.stdout) == (31, "$HOME it's\n")
    assert (node.seen / "vz/root/101/root/got").read_text() == "$HOME it's\n"


def test_runscript(node: Node, running: int) -> None:
    script = node.folder / "script"
    script.write_text("echo on $(hostname)\nexit 4\n")
    ran = node.vzctl("runscript", 101, script)
    assert (ran.returncode, ran.stdout) == (4, "on ct\n")
    assert node.vzctl("runscript", 101, "/none").returncode == 11


def test_what_the_distribution_scripts_write(node: Node, running: int) -> None:
    etc = node.private / "101/etc"
    interfaces = (etc / "network/interfaces").read_text()
    assert f"iface venet0:0 inet static\n\taddress {ADDRESS}\n" in interfaces
    assert interfaces.endswith("# the tail\n")
    assert (etc / "hostname").read_text() == "ct\n"
    assert (etc / "hosts").read_text().startswith(f"{ADDRESS} ct.example.org ct\n")
    assert (etc / "resolv.conf").read_text() == Path("/etc/resolv.conf").read_text()


def test_its_network(node: Node, running: int) -> None:
    inside = node.vzctl("exec2", 101, "ip -4 -o addr show dev venet0; ip -o link show eth1; ip route").stdout
    assert f"{ADDRESS}/32" in inside
    assert MAC in inside
    assert "default dev venet0" in inside
    host = Path(f"/sys/class/net/vt{node.mark}.1")
    assert (host / "address").read_text().strip() == HOST_MAC.lower()
    assert int((host / "flags").read_text(), 16) & 1  # IFF_UP


def test_the_outside_is_reached(node: Node, running: int) -> None:
    """By the name server that the host uses, where that one speaks TCP to the host."""
    servers = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if "nameserver" in line]
    asked = f"timeout 5 bash -c '</dev/tcp/{servers[0]}/53'"
    if servers[0].startswith("127.") or subprocess.run(["bash", "-c", asked], capture_output=True).returncode != 0:
        pytest.skip("no name server outside of this host")
    assert node.vzctl("exec2", 101, asked).returncode == 0


def test_changes_of_a_running_one(node: Node, running: int) -> None:
    other = "10.213.77.9"
    assert node.vzctl("set", 101, "--ipadd", other, "--save").returncode == 0
    assert other in node.vzctl("exec2", 101, "ip addr show venet0").stdout
    assert node.vzctl("set", 101, "--ipdel", other, "--save").returncode == 0
    assert other not in node.vzctl("exec2", 101, "ip addr show venet0").stdout
    assert node.vzctl("set", 101, "--netif_add", f"eth2,,vt{node.mark}.2", "--save").returncode == 0
    assert "eth2" in node.vzctl("exec2", 101, "ip link").stdout
    assert node.vzctl("set", 101, "--netif_del", "eth2", "--save").returncode == 0
    assert node.vzctl("set", 101, "--netif_del", "none", "--save").returncode == 0


def test_a_bridge_is_joined_where_it_exists(node: Node, running: int) -> None:
    bridge, host = f"vb{node.mark}", f"vt{node.mark}.3"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    try:
        added = node.vzctl("set", 101, "--netif_add", f"eth3,{MAC[:-2]}13,{host},{HOST_MAC},{bridge}", "--save")
        assert added.returncode == 0
        assert node.vzctl("restart", 101).returncode == 0
        assert Path(f"/sys/class/net/{host}/master").readlink().name == bridge
        assert f"{MAC[:-2]}13" in node.vzctl("exec2", 101, "cat /sys/class/net/eth3/address").stdout
        assert node.vzctl("set", 101, "--netif_del", "eth3", "--save").returncode == 0
    finally:
        subprocess.run(["ip", "link", "del", bridge], check=True)


def test_a_command_costs_little(node: Node, running: int) -> None:
    took = []
    for _ in range(15):
        start = time.monotonic()
        node.vzctl("exec2", 101, "-", data="true")
        took.append(time.monotonic() - start)
    assert statistics.median(took) < OVERHEAD, took


def test_running_ones_are_guarded(node: Node, running: int) -> None:
    assert node.vzctl("start", 101).returncode == 32
    assert node.vzctl("destroy", 101).returncode == 32
    assert node.vzctl("create", 101, "--ostemplate", TEMPLATE).returncode == 44


def test_it_survives_its_starter_and_a_restart(node: Node, running: int) -> None:
    assert node.vzctl("restart", 101).returncode == 0
    assert node.vzctl("exec2", 101, "test -d /proc/1").returncode == 0
    assert node.left_over() != []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["create", "150", "--ostemplate", "no-such"], 91),
        (["create", "150"], 29),
        (["create", "150", "--ostemplate", "small", "--config", "none"], 82),
        (["create", "150", "--ostemplate", "small", "--netif_add", "eth0"], 21),
        (["create", "150", "--ostemplate", "small", "--layout", "ploop"], 99),
        (["create", "150", "--ostemplate", "small", "--ipadd", "300.1.2.3"], 21),
        (["create", "0", "--ostemplate", "small"], 21),
        (["create", "x"], 21),
        (["start", "150"], 14),
        (["exec2", "150", "true"], 14),
        (["destroy", "150"], 14),
        (["frobnicate", "150"], 20),
        (["create"], 21),
        ([], 20),
    ],
)
def test_refusals(node: Node, words: list[str], code: int) -> None:
    small(node)
    assert node.vzctl(*words).returncode == code
    assert not (node.private / "150").exists()
    assert not (node.conf / "150.conf").exists()


def test_a_stopped_one(node: Node) -> None:
    node.vzctl("create", 151, "--ostemplate", small(node), "--name", "mine")
    try:
        assert node.vzctl("status", "mine").stdout == "CTID 151 exist unmounted down\n"
        assert node.vzctl("exec2", 151, "true").returncode == 31
        assert node.vzctl("exec2", 151, "true").stderr == "Container is not running\n"
        assert node.vzctl("--quiet", "exec2", 151, "true").stderr == ""
        assert node.vzctl("exec", 151, "true").returncode == 8
        assert node.vzctl("set", 151, "--cpus", "2").returncode == 31
        assert node.vzctl("stop", 151).returncode == 0
        assert node.vzctl("umount", 151).returncode == 40
        assert node.vzctl("create", 152, "--ostemplate", small(node), "--name", "mine").returncode == 131
        assert node.vzctl("set", 151, "--netif_add", "a-name-too-long1", "--save").returncode == 21
        assert node.vzctl("set", 151, "--netif_add", "eth0,01:00:00:00:00:01", "--save").returncode == 0
        assert node.vzctl("set", 151, "--hostname", "a b", "--save").returncode == 0
        assert node.vzctl("start", 151).returncode == 47
        assert node.vzctl("status", 151).stdout == "CTID 151 exist unmounted down\n"
        assert node.vzctl("mount", 151).returncode == 0
        assert (node.seen / "vz/root/151/etc").is_dir()
        assert node.vzctl("destroy", 151).returncode == 41
        assert node.vzctl("umount", 151).returncode == 0
    finally:
        assert node.vzctl("destroy", 151).returncode == 0
    assert (node.conf / "151.conf.destroyed").exists()
    (node.conf / "151.conf.destroyed").unlink()
    assert not [thing for thing in node.left_over() if re.search(r"\b151\b|mine", thing)]


def test_an_unknown_distribution_is_left_alone(node: Node, running: int) -> None:
    """Of the same root, under a name that says nothing."""
    os.link(node.folder / f"vz/template/cache/{TEMPLATE}.tar.gz", node.folder / "vz/template/cache/odd.tar.gz")
    try:
        assert node.vzctl("create", 153, "--ostemplate", "odd", "--hostname", "strange").returncode == 0
        started = node.vzctl("start", 153)
        assert (started.returncode, "unknown distribution" in started.stdout) == (0, True)
        assert (node.private / "153/etc/hostname").read_text() == "localhost\n"
        assert node.vzctl("set", 153, "--ipadd", ADDRESS, "--save").returncode == 78
    finally:
        node.vzctl("stop", 153, "--fast")
        node.vzctl("destroy", 153)
        (node.cache / "odd.tar.gz").unlink()


def test_locks(node: Node) -> None:
    lock = node.folder / "vz/lock/160.lck"
    lock.write_text(f"{os.getpid()}\nsetting\n")
    assert node.vzctl("create", 160, "--ostemplate", small(node)).returncode == 9
    lock.write_text("999999999\nsetting\n")
    assert node.vzctl("create", 160, "--ostemplate", small(node)).returncode == 0
    assert not lock.exists()
    node.fault("locked", times=2)
    assert [node.vzctl("destroy", 160).returncode for _ in range(3)] == [9, 9, 0]


@pytest.mark.parametrize(
    ("fault", "words", "code"),
    [
        ("template-missing", ["create", "161", "--ostemplate", "small"], 91),
        ("private-exists", ["create", "161", "--ostemplate", "small"], 44),
        ("no-space", ["create", "161", "--ostemplate", "small"], 46),
        ("no-init", ["start", "161"], 47),
        ("old-kernel", ["set", "161", "--ram", "1G", "--save"], 3),
    ],
)
def test_faults(node: Node, fault: str, words: list[str], code: int) -> None:
    node.fault(fault)
    assert node.vzctl(*words).returncode == code
    node.clear()
    assert node.vzctl("status", 161).returncode == 0


def test_the_older_measure_of_memory(node: Node) -> None:
    node.vzctl("create", 162, "--ostemplate", small(node))
    node.fault("old-kernel")
    assert node.vzctl("set", 162, "--ram", "1G", "--save").returncode == 3
    assert node.vzctl("set", 162, "--privvmpages", "1000:2000", "--save").returncode == 0
    assert 'PRIVVMPAGES="1000:2000"' in (node.conf / "162.conf").read_text()
    assert node.vzctl("destroy", 162).returncode == 0


def test_a_hang(node: Node) -> None:
    node.fault("hang", commands="status")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(node.inside(["vzctl", "status", "101"]), timeout=0.5)


def test_a_full_disk(node: Node, running: int) -> None:
    """At the start, while the template is unpacked, and in a container."""
    used = shutil.disk_usage(node.private).used // 2**20
    for spare, code in (1, 46), (120, 48):
        node.small_disk(f"{used + spare}M")
        assert node.vzctl("create", 163, "--ostemplate", TEMPLATE).returncode == code
        assert not list(node.private.glob("163*"))
    full = node.vzctl("exec2", 101, "head -c 150M /dev/zero >/root/big; rc=$?; rm /root/big; exit $rc")
    assert full.returncode == 1
    assert "No space left" in full.stderr


def test_by_its_own_programs_as_one_on_the_node_finds_them(node: Node) -> None:
    plain = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    gone = ["CTID", "999", "deleted", "unmounted", "down"]
    script = ". /etc/vz/vz.conf && echo $TEMPLATE && vzctl status 999 && pwd"
    ran = subprocess.run(node.inside(["sh", "-c", script]), env=plain, capture_output=True, text=True)
    assert ran.stdout.split() == [f"{node.folder}/vz/template", *gone, os.getcwd()]


def test_a_reboot_leaves_the_disk_alone(cache: Path, tmp_path: Path) -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    node = make_node(tmp_path / "n")
    try:
        template_from(cache, node)
        node.vzctl("create", 101, "--ostemplate", TEMPLATE, "--ipadd", ADDRESS.replace("77", "78"))
        assert node.vzctl("start", 101).returncode == 0
        (node.folder / "vz/lock/102.lck").write_text("1\n")
        node.reboot()
        assert node.containers() == {101: "stopped"}
        assert set(node.left_over()) == {
            "etc/vz/conf/101.conf",
            "vz/private/101",
            "vz/root/101",
            "container 101 stopped",
        }
        assert node.vzctl("start", 101).returncode == 0
        assert node.vzctl("exec2", 101, "true").returncode == 0
    finally:
        node.destroy()
    assert forwarding.read_text() == before
    assert not node.folder.exists()


KILLED = """
import os, sys
from pathlib import Path
from tests.node.node import make_node, template_from
node = make_node(Path(sys.argv[1]))
template_from(Path(sys.argv[2]), node)
node.vzctl("create", 101, "--ostemplate", sys.argv[3], "--ipadd", sys.argv[4])
assert node.vzctl("start", 101).returncode == 0
print(node.mark, *(word.split()[1] for word in node.left_over() if word.startswith("process")), flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_ends_with_the_process_that_made_it(cache: Path, tmp_path: Path) -> None:
    """Killed, which no process can answer to."""
    folder = tmp_path / "n"
    words = [folder, cache, TEMPLATE, ADDRESS.replace("77", "79")]
    ran = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, timeout=120)
    mark, *processes = ran.stdout.split()
    assert processes
    deadline = time.monotonic() + 20
    while any(Path("/proc", pid).exists() for pid in processes) or list((folder / "run").glob("*/*")):
        assert time.monotonic() < deadline, processes
        time.sleep(0.1)
    assert not [name for name in os.listdir("/sys/class/net") if name.startswith(f"vn{mark}.")]
    rules = subprocess.run(["iptables", "-w", "-t", "nat", "-S"], capture_output=True, text=True).stdout
    assert f"vz-standin:{mark}:" not in rules
