"""Issue 8, item 1: a foreign bundle's configuration goes the same way as an lxc image's."""

from __future__ import annotations

import pytest

from vmgen_build.artifacts.lxc import taken_over
from vmgen_build.boots.openvz import entries_of


def test_issue_8_1_only_what_is_known_and_sound_is_taken_over() -> None:
    conf = {"HOSTNAME": "ct", "PHYSPAGES": "0:256", "CPUS": "2", "VE_PRIVATE": "/", "CAPABILITY": "SYS_MODULE:on"}
    assert taken_over(entries_of(conf)) == [
        ("lxc.uts.name", "ct"),
        ("lxc.cgroup2.memory.max", str(256 * 4096)),
        ("lxc.cgroup2.cpu.max", "200000 100000"),
    ]


@pytest.mark.parametrize(
    "conf",
    [
        {"HOSTNAME": "ct\nlxc.hook.mount = /evil"},
        {"HOSTNAME": "$(id)"},
        {"IP_ADDRESS": "1.2.3"},
        {"IP_ADDRESS": "fe80::1%x"},
        {"NETIF": "ifname=eth0,mac=evil"},
        {"NETIF": "ifname=../eth0"},
        {"NETIF": "ifname=eth0,bridge=a b"},
        {"NETIF": "nothing"},
    ],
)
def test_issue_8_1_what_is_unsound_is_refused(conf: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        taken_over(entries_of(conf))


def test_issue_8_12_numbers_without_end_are_no_limits() -> None:
    digits = "9" * 5000
    assert entries_of({"PHYSPAGES": f"0:{digits}", "CPUS": digits}) == []
