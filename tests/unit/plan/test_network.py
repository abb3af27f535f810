"""The network step: the files that a guest's network is made from."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.network import Link
from vmgen_build.plan.writers.ifupdown import interfaces_text

Planner = Callable[..., Plan]

LO = """\
# Written by vmgen-build; interfaces(5) says more.
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

"""
BOTH = """
    [[eths]]
        [[[eth0]]]
        [[[eth1]]]
            connected = 0
[network]
    gateway = 192.168.1.254, fe80::1
    ip_routing = 1
    [[eths]]
        [[[eth0]]]
            address = 192.168.1.2, 10.9.0.1/16, 2001:db8::2/64
            network = 255.255.255.0
            dns = 9.9.9.9
    [[nameservers]]
        ns0 = 192.168.1.1
        ns1 = 9.9.9.9
"""


def network_step(plan: Plan) -> Step:
    return next(s for s in plan.steps if s.name == "network")


def texts(step: Step) -> dict[str, str]:
    return {f.name: (f.content or b"").decode() for f in step.files}


def test_a_recipe_without_a_network_takes_eth0_by_dhcp(planned: Planner) -> None:
    found = texts(network_step(planned()))
    assert found["interfaces"] == LO + "auto eth0\niface eth0 inet dhcp\n"
    assert found["resolv.conf"] == ""
    assert "timeout 15;" in found["dhclient.conf"]
    assert "keep-resolv-conf" not in found
    assert "sysctl.conf" not in found


def test_static_addresses_gateways_and_an_interface_that_is_not_connected(planned: Planner) -> None:
    assert texts(network_step(planned(BOTH)))["interfaces"] == LO + (
        "auto eth0\n"
        "iface eth0 inet static\n    address 192.168.1.2/24\n    gateway 192.168.1.254\n"
        "iface eth0 inet static\n    address 10.9.0.1/16\n"
        "iface eth0 inet6 static\n    address 2001:db8::2/64\n    gateway fe80::1\n"
        "\n"
        "iface eth1 inet dhcp\n"
    )


def test_name_servers_stand_once_each_and_dhcp_leaves_them_alone(planned: Planner) -> None:
    step = network_step(planned(BOTH))
    assert texts(step)["resolv.conf"] == "nameserver 192.168.1.1\nnameserver 9.9.9.9\n"
    assert "make_resolv_conf() { :; }" in texts(step)["keep-resolv-conf"]
    assert "dhclient-enter-hooks.d" in step.script


def test_a_system_without_dhclient_has_the_same_settings_of_dhcpcd(planned: Planner) -> None:
    sid = "[hardware]\nvm_id = lab\nos = debian-sid-amd64\n"
    step = network_step(planned(head=sid))
    assert texts(step)["dhcpcd.conf"] == "\ntimeout 15\n" and "dhclient.conf" not in texts(step)
    assert "cat dhcpcd.conf >>/etc/dhcpcd.conf" in step.script and "dhclient" not in step.script
    step = network_step(planned(BOTH, head=sid))
    assert texts(step)["dhcpcd.conf"] == "\ntimeout 15\nnohook resolv.conf\n"
    assert "dhclient" not in step.script


def test_forwarding_is_a_sysctl_and_keeps_router_advertisements_for_dhcp(planned: Planner) -> None:
    assert texts(network_step(planned(BOTH)))["sysctl.conf"] == (
        "net.ipv4.ip_forward = 1\n-net.ipv6.conf.all.forwarding = 1\n-net/ipv6/conf/eth1/accept_ra = 2\n"
    )


def test_the_interfaces_own_gateway(planned: Planner) -> None:
    text = "[network]\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.2/24\n[[[eth1]]]\naddress = 10.1.0.2/24\n"
    text += "gateway = 10.1.0.1\n"
    found = texts(network_step(planned(text)))["interfaces"]
    assert found.endswith("auto eth1\niface eth1 inet static\n    address 10.1.0.2/24\n    gateway 10.1.0.1\n")
    assert found.count("gateway") == 1


def test_the_global_gateway_goes_to_the_interface_that_reaches_it(planned: Planner) -> None:
    text = "[network]\ngateway = 10.1.0.1\n[[eths]]\n[[[a]]]\naddress = 10.0.0.2/24\n[[[b]]]\naddress = 10.1.0.2/24\n"
    found = texts(network_step(planned(text)))["interfaces"]
    assert "address 10.1.0.2/24\n    gateway 10.1.0.1\n" in found
    assert found.count("gateway") == 1


def test_an_ipv6_gateway_without_an_ipv6_address_is_set_by_a_command(planned: Planner) -> None:
    text = "[network]\ngateway = fe80::1\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.2/24\n"
    found = texts(network_step(planned(text)))["interfaces"]
    assert found.endswith("address 10.0.0.2/24\n    up ip -6 route replace default via fe80::1 dev eth0 onlink\n")


def test_a_gateway_that_only_dhcp_could_serve_is_left_to_dhcp(planned: Planner) -> None:
    step = network_step(planned("[network]\ngateway = 10.0.0.1\n"))
    assert texts(step)["interfaces"] == LO + "auto eth0\niface eth0 inet dhcp\n"
    assert not [p for p in step.probes if "gateway" in p.name]


def test_interfaces_are_those_of_the_hardware_then_those_of_the_network(planned: Planner) -> None:
    found = texts(network_step(planned("    [[eths]]\n        [[[eth1]]]\n        [[[eth0]]]\n")))["interfaces"]
    assert [line for line in found.splitlines() if line.startswith("auto")] == ["auto lo", "auto eth1", "auto eth0"]


def test_a_link_without_anything_is_a_stanza_of_its_own() -> None:
    assert interfaces_text([Link("eth0", connected=False, dhcp=True)], []) == LO + "iface eth0 inet dhcp\n"


def test_probes_cover_each_setting(planned: Planner) -> None:
    names = {p.name for p in network_step(planned(BOTH)).probes}
    assert names == {
        "eth0-192.168.1.2", "eth0-10.9.0.1", "eth0-2001:db8::2", "eth1-down", "gateway-eth0-192.168.1.254",
        "gateway-eth0-fe80::1", "nameservers", "ip-routing",
    }  # fmt: skip
    assert [p.name for p in network_step(planned()).probes] == ["eth0-dhcp"]


@pytest.mark.parametrize("text", ["", BOTH])
def test_scripts_and_probes_are_clean_shell(planned: Planner, tmp_path: Path, text: str) -> None:
    step = network_step(planned(text))
    for index, script in enumerate((step.script, *(p.script for p in step.probes))):
        path = tmp_path / f"{index}.sh"
        path.write_text(script)
        subprocess.run(["dash", "-n", path], check=True)
        subprocess.run(["shellcheck", path], check=True)
