"""The writers of the families beside Debian: which files and commands a recipe becomes in each one's own way."""

from __future__ import annotations

import configparser
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.writers import writer_named
from vmgen_build.systems import families
from vmgen_build.systems.model import WRITERS
from vmgen_build.systems.parse import parse_system

Planner = Callable[..., Plan]

NETWORK = """
    [[eths]]
        [[[eth0]]]
        [[[eth1]]]
            connected = 0
[network]
    gateway = 192.168.1.254, fe80::1
    ip_routing = 1
    [[eths]]
        [[[eth0]]]
            address = 192.168.1.2, 10.9.0.1/16
            network = 255.255.255.0
            dns = 9.9.9.9
    [[nameservers]]
        ns0 = 192.168.1.1
"""
SIXES = """
[network]
    [[eths]]
        [[[eth0]]]
            address = 2001:db8::2/64, 2001:db8::3/64
            gateway = 2001:db8::1
"""
PORTS = """
[network]
    [[open_ports]]
        [[[ssh]]]
            port = 22
            description = '''it's "ssh" <$(id)> & `x`'''
        [[[web]]]
            port = 8000-8080
            proto = all
"""
OWN = PORTS + "    [[firewall_rules]]\n        r0 = -A INPUT -s 10.0.0.0/8 -j ACCEPT\n"
NAT = """
[network]
    ip_routing = 1
    nat = 1
    gateway = 10.1.0.254
    [[eths]]
        [[[eth0]]]
            address = 10.0.0.1/24
        [[[eth1]]]
            address = 10.1.0.1/24
    [[open_ports]]
        [[[ssh]]]
            port = 22
"""
SYSTEM = """
[config]
    hostname = hal.example.org
    timezone = Europe/Bucharest
    locale = ro_RO.UTF-8
    keyboard = de:nodeadkeys
"""
USERS = (
    "[users]\n[[users]]\n[[[u]]]\nname = ana\nsudo = yes\n[[[v]]]\nname = eva\nsudo = nopasswd\n[[[w]]]\nname = leo\n"
)
SYSTEMS = ("fedora-42", "centos-9", "centos-7", "fedora-14-x86", "opensuse-15.6", "arch")


def head(system: str) -> str:
    return f"[hardware]\nvm_id = lab\nos = {system}\n"


def step_of(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def texts(step: Step) -> dict[str, str]:
    return {f.name: (f.content or b"").decode() for f in step.files}


def keyfile(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_every_setting_of_every_linux_family_has_a_writer() -> None:
    for family in families():
        for writers in filter(None, (family.writers, family.old_writers)):
            if family.kind != "linux":
                continue
            named = {setting: name for setting, name in writers.items() if setting != "repositories"}
            assert set(WRITERS) - {"mail_name"} <= set(writers)
            assert [name for name in named.values() if writer_named(name) is None] == []


@pytest.mark.parametrize(
    ("system", "network", "installer"),
    [
        ("fedora-14", "ifcfg", "yum"),
        ("fedora-42", "networkmanager", "dnf"),
        ("centos-7", "ifcfg", "yum"),
        ("centos-9", "networkmanager", "dnf"),
        ("scientific-6", "ifcfg", "yum"),
        ("opensuse-15.6", "networkmanager", "zypper"),
        ("arch", "networkd", "pacman"),
        ("debian-12", "ifupdown", "apt"),
    ],
)
def test_an_old_version_has_writers_of_its_own(system: str, network: str, installer: str) -> None:
    found = parse_system(system)
    assert (found.writers["network"], found.installer) == (network, installer)
    assert ("runlevel" in found.up) == (network == "ifcfg")


@pytest.mark.parametrize("system", SYSTEMS)
def test_scripts_and_probes_are_clean_shell(planned: Planner, tmp_path: Path, system: str) -> None:
    scripts: list[str] = []
    for text in (NETWORK, SIXES, PORTS, OWN, NAT, SYSTEM + USERS, ""):
        plan = planned(text, head=head(system))
        assert {"system", "network", "generalise"} <= {step.name for step in plan.steps}
        scripts += [step.script for step in plan.steps]
        scripts += [p.script for p in plan.all_probes() if p.kind == "guest"]
        scripts += [t for step in plan.steps for t in texts(step).values() if t.startswith("#!/bin/sh")]
    for index, script in enumerate(dict.fromkeys(scripts)):
        (tmp_path / f"{index}.sh").write_text(script)
        subprocess.run(["dash", "-n"], input=script, text=True, check=True)
    subprocess.run(["shellcheck", *sorted(tmp_path.glob("*.sh"))], check=True)


@pytest.mark.parametrize("system", ["fedora-42", "fedora-14"])
def test_up_is_clean_shell(tmp_path: Path, system: str) -> None:
    path = tmp_path / "up.sh"
    path.write_text("#!/bin/sh\n" + parse_system(system).up)
    subprocess.run(["shellcheck", path], check=True)


def test_networkmanager_has_a_profile_for_each_link(planned: Planner) -> None:
    step = step_of(planned(NETWORK, head=head("fedora-42")), "network")
    found = texts(step)
    first = keyfile(found["eth0.nmconnection"])
    assert first["connection"]["interface-name"] == "eth0" and first["connection"]["autoconnect"] == "true"
    assert first["ipv4"] == {
        "method": "manual",
        "address1": "192.168.1.2/24",
        "address2": "10.9.0.1/16",
        "gateway": "192.168.1.254",
    }
    assert first["ipv6"] == {"method": "link-local", "route1": "::/0,fe80::1", "ignore-auto-dns": "true"}
    second = keyfile(found["eth1.nmconnection"])
    assert second["connection"]["autoconnect"] == "false"
    assert second["ipv4"] == {"method": "auto", "dhcp-timeout": "15", "ignore-auto-dns": "true"}
    assert {f.name: f.mode for f in step.files if f.name.endswith("nmconnection")} == {
        "eth0.nmconnection": 0o600,
        "eth1.nmconnection": 0o600,
    }
    assert first["connection"]["uuid"] != second["connection"]["uuid"]
    again = texts(step_of(planned(NETWORK, head=head("fedora-42")), "network"))
    assert again == found, "a UUID is made from names alone"


def test_networkmanager_manages_what_is_connected_and_nothing_by_itself(planned: Planner) -> None:
    settings = keyfile(texts(step_of(planned(NETWORK, head=head("fedora-42")), "network"))["vmgen.conf"])
    assert settings["main"] == {"no-auto-default": "*", "dns": "none"}
    assert settings["device-vmgen-eth0"] == {"match-device": "interface-name:=eth0", "managed": "1"}
    assert settings["device-vmgen-eth1"] == {"match-device": "interface-name:=eth1", "managed": "0"}


def test_name_servers_of_dhcp_are_networkmanagers_own_affair(planned: Planner) -> None:
    found = texts(step_of(planned(head=head("opensuse-15.6")), "network"))
    assert keyfile(found["vmgen.conf"])["main"] == {"no-auto-default": "*", "rc-manager": "file"}
    assert keyfile(found["eth0.nmconnection"])["ipv4"] == {"method": "auto", "dhcp-timeout": "15"}
    assert found["resolv.conf"] == ""


def test_networkmanager_carries_ipv6_alone(planned: Planner) -> None:
    found = keyfile(texts(step_of(planned(SIXES, head=head("fedora-42")), "network"))["eth0.nmconnection"])
    assert found["ipv4"] == {"method": "disabled"}
    assert found["ipv6"] == {
        "method": "manual",
        "address1": "2001:db8::2/64",
        "address2": "2001:db8::3/64",
        "gateway": "2001:db8::1",
    }


def test_networkd_has_a_file_for_each_link(planned: Planner) -> None:
    step = step_of(planned(NETWORK, head=head("arch")), "network")
    found = {name: text.partition("\n")[2] for name, text in texts(step).items() if name.endswith(".network")}
    assert found == {
        "50-eth0.network": (
            "[Match]\nName=eth0\n\n[Network]\nAddress=192.168.1.2/24\nAddress=10.9.0.1/16\n"
            "\n[Route]\nGateway=192.168.1.254\n\n[Route]\nGateway=fe80::1\nGatewayOnLink=yes\n"
        ),
        "50-eth1.network": (
            "[Match]\nName=eth1\n\n[Link]\nActivationPolicy=manual\nRequiredForOnline=no\n"
            "\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=yes\n\n[DHCPv4]\nUseDNS=no\n\n[IPv6AcceptRA]\nUseDNS=no\n"
        ),
    }
    assert "enable systemd-resolved" not in step.script


def test_networkd_leaves_name_servers_of_dhcp_to_resolved(planned: Planner) -> None:
    step = step_of(planned(head=head("arch")), "network")
    assert "enable systemd-resolved.service" in step.script
    assert "UseDNS" not in "".join(texts(step).values())


def test_ifcfg_has_a_file_for_each_address(planned: Planner) -> None:
    found = texts(step_of(planned(NETWORK, head=head("centos-6")), "network"))
    assert found["ifcfg-eth0"].splitlines()[1:] == [
        "DEVICE=eth0", "TYPE=Ethernet", "ONBOOT=yes", "NM_CONTROLLED=no", "BOOTPROTO=none", "PEERDNS=no",
        "IPV6INIT=yes",
        "IPV6_DEFAULTGW=fe80::1%eth0", "IPADDR=192.168.1.2", "NETMASK=255.255.255.0", "GATEWAY=192.168.1.254",
    ]  # fmt: skip
    assert found["ifcfg-eth0:1"].splitlines()[1:] == [
        "DEVICE=eth0:1", "ONBOOT=yes", "ONPARENT=yes", "IPADDR=10.9.0.1", "NETMASK=255.255.0.0",
    ]  # fmt: skip
    assert {"ONBOOT=no", "BOOTPROTO=dhcp", "PEERDNS=no"} <= set(found["ifcfg-eth1"].splitlines())
    assert "net.ipv4.ip_forward = 1\n" in found["sysctl.conf"]
    assert found["resolv.conf"] == "nameserver 192.168.1.1\nnameserver 9.9.9.9\n"


def test_ifcfg_carries_several_ipv6_addresses(planned: Planner) -> None:
    found = texts(step_of(planned(SIXES, head=head("fedora-14")), "network"))["ifcfg-eth0"].splitlines()
    assert {"IPV6ADDR=2001:db8::2/64", 'IPV6ADDR_SECONDARIES="2001:db8::3/64"', "IPV6_DEFAULTGW=2001:db8::1"} <= {
        *found
    }


def test_firewalld_lets_in_what_is_open_and_drops_the_rest(planned: Planner) -> None:
    step = step_of(planned(PORTS, head=head("fedora-42")), "firewall")
    zone = ElementTree.fromstring(texts(step)["vmgen.xml"])
    assert zone.get("target") == "DROP"
    assert [(p.get("port"), p.get("protocol")) for p in zone.findall("port")] == [
        ("22", "tcp"), ("8000-8080", "tcp"), ("8000-8080", "udp"),
    ]  # fmt: skip
    assert [p.get("value") for p in zone.findall("protocol")] == ["icmp", "ipv6-icmp"]
    assert (zone.findtext("description") or "").strip() == """22/tcp: it's "ssh" <$(id)> & `x`"""
    assert zone.find("masquerade") is None and zone.find("forward") is None
    assert {p.name for p in step.probes if p.kind == "guest"} == {
        "firewall-INPUT", "firewall-tcp-22", "firewall-tcp-8000:8080", "firewall-udp-8000:8080",
    }  # fmt: skip
    assert "--set-default-zone=vmgen" in step.script


def test_firewalld_hides_the_inner_network_behind_a_zone_of_its_own(planned: Planner) -> None:
    plan = planned(NAT, head=head("centos-9"))
    found = texts(step_of(plan, "firewall"))
    outer = ElementTree.fromstring(found["vmgen-outer.xml"])
    assert outer.find("masquerade") is not None
    assert ElementTree.fromstring(found["vmgen.xml"]).find("masquerade") is None
    policy = ElementTree.fromstring(found["vmgen-out.xml"])
    assert policy.get("target") == "ACCEPT"
    assert [zone.get("name") for zone in policy if zone.get("name")] == ["vmgen", "vmgen-outer"]
    profiles = texts(step_of(plan, "network"))
    zones = {name: keyfile(text)["connection"].get("zone") for name, text in profiles.items() if "nmconn" in name}
    assert zones == {"eth0.nmconnection": None, "eth1.nmconnection": "vmgen-outer"}


def test_a_machine_that_forwards_nothing_masquerades_nothing(planned: Planner) -> None:
    plan = planned(NAT, head=head("centos-9"), sets=("network.ip_routing=0",))
    assert "vmgen-outer" not in "".join("".join(texts(step).values()) for step in plan.steps)
    assert "firewall-nat" not in {probe.name for probe in plan.all_probes()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_own_rules_are_loaded_as_written_on_every_system(planned: Planner, system: str) -> None:
    step = step_of(planned(OWN, head=head(system)), "firewall")
    lines = texts(step)["rules.v4"].splitlines()
    assert lines.index("-A INPUT -s 10.0.0.0/8 -j ACCEPT") < lines.index("-A INPUT -i lo -j ACCEPT")
    assert ":INPUT DROP [0:0]" in lines
    assert "check iptables -w -t filter -C INPUT -s 10.0.0.0/8 -j ACCEPT" in "".join(p.script for p in step.probes)
    assert "firewall-offline-cmd" not in step.script


@pytest.mark.parametrize("text", [PORTS, OWN])
def test_firewalld_is_off_where_rules_are_loaded_beside_it(planned: Planner, text: str) -> None:
    script = step_of(planned(text, head=head("opensuse-15.6")), "firewall").script
    enabled = "vmgen-firewall.service" if text == OWN else "firewalld.service"
    assert script.splitlines()[-1] == f"systemctl --quiet enable {enabled}"
    assert ("for unit in firewalld.service" in script) == (text == OWN)


@pytest.mark.parametrize(
    ("system", "package"),
    [
        ("fedora-42", "glibc-langpack-ro"),
        ("opensuse-15.6", "glibc-locale"),
        ("fedora-42", "tzdata"),
        ("opensuse-15.6", "timezone"),
        ("arch", "kbd"),
        ("centos-6", "iptables-ipv6"),
        ("centos-7", "iptables"),
    ],
)
def test_what_a_setting_needs_is_installed_under_the_familys_name_for_it(
    planned: Planner, system: str, package: str
) -> None:
    plan = planned(SYSTEM + OWN, head=head(system))
    wanted = {what for _, what, _ in plan.skipped} | {name for step in plan.steps for name in step.packages}
    assert package in wanted
    assert not {"iptables-ipv6", "iptables-persistent", "locales"} & wanted - {package}


def test_a_locale_that_the_c_library_has_needs_no_package(planned: Planner) -> None:
    plan = planned(head=head("fedora-42"))
    wanted = {what for _, what, _ in plan.skipped} | {name for step in plan.steps for name in step.packages}
    assert not [name for name in wanted if "langpack" in name]


def test_the_keyboard_of_x11(planned: Planner) -> None:
    found = texts(step_of(planned(SYSTEM, head=head("arch")), "system"))["00-keyboard.conf"]
    assert 'Option "XkbLayout" "de"' in found and 'Option "XkbVariant" "nodeadkeys"' in found
    alone = texts(step_of(planned("[config]\nkeyboard = us\n", head=head("arch")), "system"))["00-keyboard.conf"]
    assert "XkbVariant" not in alone


def test_sudo_asks_for_the_users_own_password_on_suse_too(planned: Planner) -> None:
    suse = texts(step_of(planned(USERS, head=head("opensuse-15.6")), "users"))["sudoers"].splitlines()
    fedora = texts(step_of(planned(USERS, head=head("fedora-42")), "users"))["sudoers"].splitlines()
    assert fedora == ["ana ALL=(ALL:ALL) ALL", "eva ALL=(ALL:ALL) NOPASSWD: ALL"]
    assert suse == ["Defaults:ana !targetpw", *fedora]


def test_pacmans_secret_key_is_made_anew_and_the_recipes_keys_are_trusted_again(planned: Planner) -> None:
    step = step_of(planned(head=head("arch")), "generalise")
    assert "rm -rf /etc/pacman.d/gnupg\n" in step.script
    assert "Type=exec\n" in texts(step)["vmgen-pacman-keys.service"]
    assert "pacman-key --lsign-key" in texts(step)["pacman-keys"]


def test_the_bases_own_repositories_come_back(planned: Planner) -> None:
    for system, folder in (("fedora-42", "/etc/yum.repos.d"), ("opensuse-15.6", "/etc/zypp/repos.d")):
        script = step_of(planned(head=head(system)), "generalise").script
        assert f"-exec mv -n -t {folder} -- {{}} +" in script
