"""The firewall step: which rules a recipe becomes, and what is asked of the booted guest."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.plan.model import Plan, Step

Planner = Callable[..., Plan]

ADDRESS = "\n[[eths]]\n[[[eth0]]]\naddress = 192.168.1.2/24\n"
SSH = "[network]\n[[open_ports]]\n[[[ssh]]]\nport = 22\n"
HOSTILE = """[network]
[[open_ports]]
[[[p0]]]
port = 22
description = '''it's "ssh" \\ $(touch x) `id`; | {{ é }}'''
[[firewall_rules]]
r0 = '''-A INPUT -m comment --comment "$(id) 'x'" -j ACCEPT'''
"""


def firewall_step(plan: Plan) -> Step:
    return next(s for s in plan.steps if s.name == "firewall")


def rules(step: Step, version: int = 4) -> list[str]:
    """The lines of a rules file that are no comment."""
    content = next(f.content for f in step.files if f.name == f"rules.v{version}")
    return [line for line in (content or b"").decode().splitlines() if not line.startswith("#")]


def probes(step: Step, kind: str) -> list[tuple[str, str]]:
    return [(p.name, p.script) for p in step.probes if p.kind == kind]


def test_nothing_asked_for_is_no_step_and_no_package(planned: Planner) -> None:
    plan = planned("[network]\nip_routing = 1\n" + ADDRESS)
    assert not [s for s in plan.steps if s.name in ("firewall", "packages-config")]


def test_open_ports_close_all_others(planned: Planner) -> None:
    step = firewall_step(planned(SSH))
    heads = ["*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]", "-A INPUT -i lo -j ACCEPT"]
    states = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    opened = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"
    assert rules(step) == [*heads, states, "-A INPUT -p icmp -j ACCEPT", opened, "COMMIT"]
    assert rules(step, 6) == [*heads, states, "-A INPUT -p ipv6-icmp -j ACCEPT", opened, "COMMIT"]
    assert {f.name: f.mode for f in step.files if f.name.startswith("rules")} == {"rules.v4": 0o640, "rules.v6": 0o640}


def test_ranges_and_both_protocols(planned: Planner) -> None:
    text = "[network]\n[[open_ports]]\n[[[p]]]\nport = 8000-8080\nproto = all\ndescription = the lab\n"
    found = rules(firewall_step(planned(text)))
    for proto in ("tcp", "udp"):
        assert f'-A INPUT -p {proto} -m {proto} --dport 8000:8080 -m comment --comment "the lab" -j ACCEPT' in found


def test_allowed_programs_open_the_catalogues_ports(planned: Planner) -> None:
    found = rules(firewall_step(planned("[network]\nallowed_programs = sshd\n")))
    assert "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment sshd -j ACCEPT" in found
    assert ":INPUT DROP [0:0]" in found


def test_a_port_that_is_named_twice_is_opened_once(planned: Planner) -> None:
    text = SSH + "[[allowed_programs]]\np0 = sshd\n"
    assert sum("--dport 22 " in line for line in rules(firewall_step(planned(text)))) == 1


def test_a_program_without_a_known_port_still_closes_the_others(planned: Planner) -> None:
    step = firewall_step(planned("[network]\nallowed_programs = vim\n"))
    assert ":INPUT DROP [0:0]" in rules(step)
    assert not [line for line in rules(step) if "--dport" in line]


def test_own_rules_alone_leave_the_policies_open(planned: Planner) -> None:
    text = "[network]\n[[firewall_rules]]\nr0 = -A INPUT -s 10.0.0.0/8 -j DROP\nr1 = ip6tables -A INPUT -j LOG\n"
    step = firewall_step(planned(text))
    policies = [":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    assert rules(step) == ["*filter", *policies, "-A INPUT -s 10.0.0.0/8 -j DROP", "COMMIT"]
    assert rules(step, 6) == ["*filter", *policies, "-A INPUT -j LOG", "COMMIT"]


def test_own_rules_stand_before_the_generated_ones_of_their_table(planned: Planner) -> None:
    text = SSH + "[[firewall_rules]]\nr0 = -t nat -A POSTROUTING -s 10.0.0.0/8 -j ACCEPT\nr1 = -A INPUT -j LOG\n"
    found = rules(firewall_step(planned(text, sets=("network.nat=1", "network.ip_routing=1"))))
    own, generated = "-A POSTROUTING -s 10.0.0.0/8 -j ACCEPT", "-A POSTROUTING -o eth0 -j MASQUERADE"
    assert found.index("*nat") < found.index(own) < found.index(generated) < found.index("*filter")
    assert found.index("-A INPUT -j LOG") < found.index("-A INPUT -i lo -j ACCEPT")


def test_nat_hides_behind_the_interface_with_the_gateway(planned: Planner) -> None:
    text = """[network]
    gateway = 10.1.0.1
    nat = 1
    ip_routing = 1
    [[eths]]
        [[[eth0]]]
            address = 10.0.0.2/24
        [[[eth1]]]
            address = 10.1.0.2/24
"""
    open_step = firewall_step(planned(text))
    assert "-A POSTROUTING -o eth1 -j MASQUERADE" in rules(open_step)
    assert ":FORWARD ACCEPT [0:0]" in rules(open_step)
    assert "MASQUERADE" not in "\n".join(rules(open_step, 6))
    closed = rules(firewall_step(planned(text + "    [[open_ports]]\n        [[[p]]]\n            port = 22\n")))
    assert ":FORWARD DROP [0:0]" in closed
    assert "-A FORWARD ! -i eth1 -j ACCEPT" in closed


def test_a_router_with_a_firewall_still_forwards(planned: Planner) -> None:
    assert ":FORWARD ACCEPT [0:0]" in rules(firewall_step(planned(SSH, sets=("network.ip_routing=1",))))


def test_open_and_closed_ports_are_knocked_at(planned: Planner) -> None:
    text = SSH + "[[[nine]]]\nport = 9\n[[[web]]]\nport = 8000-8080\n[[[dns]]]\nport = 53\nproto = udp\n" + ADDRESS
    step = firewall_step(planned(text))
    assert [script for _, script in probes(step, "tcp-open")] == [
        "192.168.1.2 22", "192.168.1.2 9", "192.168.1.2 8000", "192.168.1.2 8080",
    ]  # fmt: skip
    assert probes(step, "tcp-closed") == [("port-7-closed", "192.168.1.2 7")]


@pytest.mark.parametrize("text", [SSH, "[network]\n[[firewall_rules]]\nr0 = -A INPUT -j LOG\n" + ADDRESS])
def test_no_knock_without_a_known_address_or_a_closed_firewall(planned: Planner, text: str) -> None:
    assert {p.kind for p in firewall_step(planned(text)).probes} == {"guest"}


def test_no_knock_where_an_own_rule_decides(planned: Planner) -> None:
    text = (
        SSH + "[[firewall_rules]]\nr0 = -A INPUT -p tcp --dport 9 -j ACCEPT\nr1 = -A INPUT -p tcp --dport 22 -j DROP\n"
    )
    step = firewall_step(planned(text + ADDRESS))
    assert not probes(step, "tcp-open")
    assert probes(step, "tcp-closed") == [("port-7-closed", "192.168.1.2 7")]


def test_own_rules_are_asked_for_by_check(planned: Planner) -> None:
    text = """[network]
[[firewall_rules]]
r0 = -I INPUT 1 -p tcp --dport 24 -j REJECT
r1 = -N MINE
r2 = ip6tables -t mangle -A OUTPUT -j MARK --set-mark 1
r3 = -P INPUT ACCEPT
"""
    step = firewall_step(planned(text))
    asked = {p.name: p.script.splitlines()[-2] for p in step.probes}
    assert asked == {
        "firewall-rule-1": "check iptables -w -t filter -C INPUT -p tcp --dport 24 -j REJECT",
        "firewall-rule-2": "check iptables -w -t filter -S MINE",
        "firewall-rule-3": "check ip6tables -w -t mangle -C OUTPUT -j MARK --set-mark 1",
    }


def test_own_rules_that_take_others_away_are_not_asked_for(planned: Planner) -> None:
    text = "[network]\n[[firewall_rules]]\nr0 = -A INPUT -j LOG\nr1 = -F INPUT\n"
    assert not firewall_step(planned(text)).probes


def test_its_packages_are_installed(planned: Planner) -> None:
    script = next(s for s in planned(SSH).steps if s.name == "packages-config").script
    assert {"iptables", "iptables-persistent"} <= set(script.split())


@pytest.mark.parametrize("text", [SSH + ADDRESS, HOSTILE])
def test_scripts_and_probes_are_clean_shell(planned: Planner, tmp_path: Path, text: str) -> None:
    step = firewall_step(planned(text))
    scripts = (step.script, *(p.script for p in step.probes if p.kind == "guest"))
    for index, script in enumerate(scripts):
        path = tmp_path / f"{index}.sh"
        path.write_text(script)
        subprocess.run(["dash", "-n", path], check=True)
        subprocess.run(["shellcheck", path], check=True)
