"""The lxc configuration: what can stand in it, and the one that verify boots by."""

from __future__ import annotations

import pytest

from vmgen_build.artifacts.lxc import BridgedNic, lxc_value, nics_of, parse_config, throwaway

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


def test_the_throwaway_copy_has_its_own_place_and_only_limits_that_the_host_can_set() -> None:
    entries = parse_config(throwaway(parse_config(TEXT), ["cpu", "pids"], [("lxc.rootfs.path", "dir:/x")]))
    keys = [key for key, _ in entries]
    assert [value for key, value in entries if key == "lxc.rootfs.path"] == ["dir:/x"]
    assert "lxc.cgroup2.cpu.max" in keys and "lxc.cgroup2.devices.allow" in keys
    assert "lxc.cgroup2.memory.max" not in keys and "lxc.cgroup.memory.limit_in_bytes" not in keys
    assert "lxc.apparmor.profile" not in keys
    assert dict(entries)["lxc.net.0.link"] == "br7" and dict(entries)["lxc.net.1.link"] == "vmgen1"


@pytest.mark.parametrize("text", ["", " a", "a ", "a\nb", "a\0", "\ta", "'a'", '"', "a\x1bb", "\udcff", "a\u2028b"])
def test_values_that_the_file_cannot_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot stand in|NUL|Unicode"):
        lxc_value(text)


@pytest.mark.parametrize("text", ["lab", "a b", "a # b", "$(x) {{ y }}", "dir:/a=b", "it's", "\u00e9"])
def test_values_that_come_back_as_they_were(text: str) -> None:
    assert parse_config(f"lxc.uts.name = {lxc_value(text)}\n") == [("lxc.uts.name", text)]
