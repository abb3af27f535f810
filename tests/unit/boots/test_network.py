"""Issue 8, items 8 and 12: what a booted machine answers of its own network is foreign."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.boots import network
from vmgen_build.boots.network import answer_as_gateway, ip_entries
from vmgen_build.boots.qemu.net import ip_of
from vmgen_build.errors import BuildError
from vmgen_build.guests.model import Ran
from vmgen_build.limits import GUEST_ADDRESSES, IP_ANSWER

NIC = BridgedNic(0, "eth0", "br0")


class Answers:
    """A machine that answers the same to all."""

    def __init__(self, out: str) -> None:
        self.out = out

    def run(self, script: str, timeout: float | None = None) -> Ran:
        return Ran(0, self.out)


def link(*addresses: str, **more: Any) -> dict[str, Any]:
    found = [{"family": "inet", "local": a, "prefixlen": 24, "scope": "global"} for a in addresses]
    return {"ifname": "eth0", "addr_info": found, **more}


@pytest.mark.parametrize(
    "out",
    [
        "no json",
        "[" * 100_000,
        "{}",
        "3",
        "[3]",
        '["eth0"]',
        '[{"addr_info": []}]',
        '[{"ifname": 3}]',
        '[{"ifname": "eth0", "addr_info": {"a": 1}}]',
        '[{"ifname": "eth0", "addr_info": [3]}]',
        '[{"ifname": "eth0", "addr_info": [{"scope": "global"}]}]',
        '[{"ifname": "eth0", "addr_info": [{"scope": "global", "local": [], "prefixlen": 24}]}]',
        '[{"ifname": "eth0", "addr_info": [{"scope": "global", "local": "10.0.0.1", "prefixlen": "24"}]}]',
        '[{"ifname": "eth0", "addr_info": [{"scope": "global", "local": "10.0.0.1", "prefixlen": 33}]}]',
        '[{"ifname": "eth0", "gateway": {}, "dev": "eth0"}]',
        '[{"ifname": "eth0", "gateway": "10.0.0.1"}]',
        '[{"ifname": "eth0", "gateway": "nowhere", "dev": "eth0"}]',
    ],
)
def test_issue_8_8_a_machine_that_answers_nonsense_is_an_error_of_the_image(out: str) -> None:
    with pytest.raises(BuildError, match="cannot understand"):
        answer_as_gateway(ip_of(Answers(out)), [NIC])  # type: ignore[arg-type]


def test_issue_8_12_too_many_addresses_and_gateways_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(network, "set_up", lambda *words: done.append(words))
    most = [f"10.0.{number}.9" for number in range(GUEST_ADDRESSES.amount)]
    ask = lambda addresses, gateways: (  # noqa: E731
        lambda *words: ip_entries(
            json.dumps([link(*addresses)] if "address" in words else [{"gateway": g, "dev": "eth0"} for g in gateways])
        )
    )
    answer_as_gateway(ask(most, ()), [NIC])
    assert sum(words[:2] == ("route", "replace") for words in done) == GUEST_ADDRESSES.amount
    done.clear()
    for addresses, gateways in (([*most, "10.1.0.9"], ()), ((), most)):
        with pytest.raises(BuildError, match=r"more (addresses|gateways): .*limit 'guest-addresses'"):
            answer_as_gateway(ask(addresses, gateways), [NIC])
    assert not done


def test_issue_8_12_what_ip_prints_is_read_within_a_limit() -> None:
    with pytest.raises(BuildError, match=r"limit 'ip-answer'"):
        network._run(["head", "-c", str(IP_ANSWER.amount + 1), "/dev/zero"])
    with pytest.raises(BuildError, match=r"limit 'guest-links'"):
        ip_entries(json.dumps([link()] * 2000))


def test_what_ip_says_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As iproute2 6.1 prints it; of an interface that does not fit the question, nothing."""
    done: list[tuple[str, ...]] = []
    monkeypatch.setattr(network, "set_up", lambda *words: done.append(words))
    answers = {
        "address": [{}, link("10.1.2.3", ifindex=2, link_netnsid=0, operstate="UP", txqlen=1000)],
        "-4": [{"dst": "default", "gateway": "10.1.2.1", "dev": "eth0", "flags": []}],
        "-6": [{"dst": "default", "dev": "eth0"}],
    }
    answer_as_gateway(lambda *words: ip_entries(json.dumps(answers[words[0]])), [NIC])
    assert done == [
        ("address", "replace", "10.1.2.1/24", "dev", "br0"),
        ("route", "replace", "10.1.2.3", "dev", "br0", "src", "10.1.2.1"),
    ]
    assert ip_entries("") == ip_entries("\n") == []
