"""The lxc configuration: what can stand in it, and the one that verify boots by."""

from __future__ import annotations

import re

import pytest

from vmgen_build.artifacts.lxc import (
    BridgedNic,
    config_text,
    for_this_host,
    lxc_value,
    nics_of,
    parse_config,
    taken_over,
)

TEXT = """\
# a comment = no entry
lxc.include = /usr/share/lxc/config/common.conf
  lxc.uts.name=lab
lxc.rootfs.path = dir:/var/lib/lxc/lab/rootfs
lxc.apparmor.profile = generated
lxc.environment = "A=b # c "

lxc.net.1.type = veth
lxc.net.0.type = veth
lxc.net.0.name = lan
lxc.net.0.link = br7
lxc.cgroup.memory.limit_in_bytes = 1
lxc.cgroup2.memory.max = 1
lxc.cgroup2.cpu.max = 1 2
lxc.cgroup2.devices.allow = a
"""


def test_it_is_read_as_lxc_reads_it() -> None:
    entries = parse_config(TEXT)
    assert ("lxc.uts.name", "lab") in entries
    assert ("lxc.environment", "A=b # c ") in entries
    assert len(entries) == 13
    assert nics_of(entries) == [BridgedNic(0, "lan", "br7"), BridgedNic(1, "eth1", "vmgen1")]


def test_what_is_no_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="'nonsense' is no line of an lxc configuration"):
        parse_config("nonsense\n")


HOSTILE = """\
lxc.hook.pre-start = /bin/sh -c 'id > /hooked'
lxc.hook.version = 1
lxc.include = /etc/evil
lxc.mount.entry = / mnt none bind 0 0
lxc.mount.auto = proc:rw sys:rw
lxc.rootfs.path = dir:/
lxc.rootfs.mount = /
lxc.log.file = /etc/passwd
lxc.environment = LD_PRELOAD=/evil
lxc.init.cmd = /evil
lxc.execute.cmd = /evil
lxc.cap.drop =
lxc.cap.keep = sys_admin
lxc.idmap =
lxc.seccomp.profile =
lxc.apparmor.profile = unconfined
lxc.namespace.keep = net pid user
lxc.namespace.share.net = 1
lxc.cgroup.dir = /
lxc.cgroup2.devices.allow = a
lxc.cgroup2.memory.max.x = 1
lxc.prlimit.nofile = 1
lxc.sysctl.kernel.core_pattern = |/evil
lxc.proc.oom_score_adj = -1000
lxc.net.0.script.up = /evil
lxc.net.100.type = veth
lxc.net.x.type = veth
lxc.net.0.veth.pair = eth0
\tlxc.hook.mount\t=\t/evil
lxc\t.uts.name = evil
LXC.UTS.NAME = evil
lxc.utsXname = evil
lxc.uts.name.x = evil
"""


def test_issue_8_1_nothing_of_a_hostile_configuration_is_taken_over() -> None:
    assert taken_over([("lxc.uts.name", "good"), *parse_config(HOSTILE)]) == [("lxc.uts.name", "good")]


@pytest.mark.parametrize(
    "line",
    [
        "lxc.net.0.type = none",
        "lxc.net.0.type = phys",
        "lxc.net.0.link = ../br0",
        "lxc.net.0.link = ..",
        "lxc.net.0.name = a b",
        "lxc.net.0.name = sixteen-letters-",
        "lxc.net.0.hwaddr = 00:16:3e:00:00",
        "lxc.net.0.flags = down",
        "lxc.net.0.ipv4.address = 1.2.3.4; id",
        "lxc.net.0.ipv6.address = fe80::1%x lxc.hook",
        "lxc.net.0.ipv4.gateway = auto",
        "lxc.uts.name = a/b",
        "lxc.uts.name = -a",
        "lxc.uts.name = \u0661",
        "lxc.arch = $(id)",
        "lxc.cgroup2.memory.max = 1G",
        "lxc.cgroup2.cpu.max = max",
    ],
)
def test_issue_8_1_values_are_checked(line: str) -> None:
    key = line.split(" ")[0]
    with pytest.raises(ValueError, match=f"^{re.escape(key)} = .*: write "):
        taken_over(parse_config(line))


def test_issue_8_1_a_value_with_a_line_end_makes_no_second_line() -> None:
    for value in ("good\nlxc.hook.mount = /evil", "good\n", "\tgood", "good\0"):
        with pytest.raises(ValueError, match="write a host name"):
            taken_over([("lxc.uts.name", value)])


def test_what_a_machine_is_verified_with_and_only_limits_that_the_host_can_set() -> None:
    entries = dict(for_this_host(taken_over(parse_config(TEXT)), ["cpu", "pids"]))
    assert entries == {
        "lxc.uts.name": "lab",
        "lxc.net.0.type": "veth",
        "lxc.net.0.name": "lan",
        "lxc.net.0.link": "br7",
        "lxc.net.1.type": "veth",
        "lxc.net.1.link": "vmgen1",
        "lxc.cgroup2.cpu.max": "1 2",
    }
    assert parse_config(config_text(entries.items())) == list(entries.items())


@pytest.mark.parametrize("text", ["", " a", "a ", "a\nb", "a\0", "\ta", "'a'", '"', "a\x1bb", "\udcff", "a\u2028b"])
def test_values_that_the_file_cannot_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot stand in|NUL|Unicode"):
        lxc_value(text)


@pytest.mark.parametrize("text", ["lab", "a b", "a # b", "$(x) {{ y }}", "dir:/a=b", "it's", "\u00e9"])
def test_values_that_come_back_as_they_were(text: str) -> None:
    assert parse_config(f"lxc.uts.name = {lxc_value(text)}\n") == [("lxc.uts.name", text)]
