"""The openvz backend's share of a plan, and the files that go with its OS template."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build import resources
from vmgen_build.artifacts.openvz.config import Device, conf_value, netif, parse_conf, parse_netif
from vmgen_build.backends.lxc.backend import LxcBackend
from vmgen_build.backends.openvz.backend import OpenvzBackend
from vmgen_build.backends.openvz.text import os_template_name
from vmgen_build.boots.openvz import entries_of
from vmgen_build.errors import RecipeError
from vmgen_build.plan.model import Part
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

HEAD = "[hardware]\nvm_id = {id}\nos = debian-12-amd64\n"
BOTH = """
num_cpu = 2
ram = 512
[[hdds]]
[[[hdd0]]]
size = 2G
[[[swap]]]
[[[[partitions]]]]
[[[[[p]]]]]
fs = swap
size = 256
[[eths]]
[[[eth0]]]
type = venet
[[[lan]]]
type = veth
hw_addr = 00:18:51:00:00:07
bridge = br7
[[[alone]]]
type = hostonly
[network]
gateway = 10.0.0.254
[[nameservers]]
nameserver0 = 10.0.0.1
[[eths]]
[[[eth0]]]
address = 192.168.1.2, fd00::2
network = 24, 64
[[[lan]]]
address = 10.0.0.2/24, fd01::2/64
[config]
hostname = HAL-9000.example.org
"""

Part = Callable[..., Part]


@pytest.fixture
def part(tmp_path: Path) -> Part:
    def make(text: str = "", id: str = "123") -> Part:
        path = tmp_path / "lab.ini"
        path.write_text(HEAD.format(id=id) + text)
        return OpenvzBackend().part(load(path), None)

    return make


def texts(part: Part) -> dict[str, str]:
    return dict(part.build_recipe or {})


def step_files(part: Part) -> dict[str, str]:
    (step,) = part.steps
    return {file.name: (file.content or b"").decode() for file in step.files}


def test_the_configuration_of_every_option(part: Part) -> None:
    files = texts(part(BOTH))
    assert list(files) == ["INSTALL", "123.conf", "123.mount"]
    conf = parse_conf(files["123.conf"])
    devices = parse_netif(conf.pop("NETIF"))
    assert conf == {
        "VE_ROOT": "/vz/root/$VEID",
        "VE_PRIVATE": "/vz/private/$VEID",
        "VE_LAYOUT": "simfs",
        "OSTEMPLATE": "debian-12-x86_64-123",
        "HOSTNAME": "HAL-9000",
        "ONBOOT": "yes",
        "PHYSPAGES": f"0:{512 * 256}",
        "SWAPPAGES": f"0:{256 * 256}",
        "CPUS": "2",
        "DISKSPACE": "2097152:2097152",
        "DISKINODES": "262144:262144",
        "QUOTATIME": "0",
        "IP_ADDRESS": "192.168.1.2 fd00::2",
        "NAMESERVER": "10.0.0.1",
    }
    assert f'#PRIVVMPAGES="{768 * 256}:{768 * 256}"' in files["123.conf"]
    assert devices[0] == Device("lan", "br7", "00:18:51:00:00:07", "veth123.1", "FE:FF:FF:FF:FF:FF")
    assert (devices[1].name, devices[1].bridge, devices[1].host_name) == ("alone", "", "veth123.2")


def test_a_shell_reads_the_same_values(part: Part, tmp_path: Path) -> None:
    """vz's own scripts source the file."""
    (tmp_path / "ct.conf").write_text(texts(part(BOTH))["123.conf"])
    script = 'VEID=123; . ./ct.conf; printf "%s\\n" "$VE_PRIVATE" "$HOSTNAME" "$IP_ADDRESS"'
    ran = subprocess.run(["dash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["/vz/private/123", "HAL-9000", "192.168.1.2 fd00::2"]


def test_a_bare_recipe_gets_one_veth_and_a_limit_of_its_memory(part: Part) -> None:
    conf = parse_conf(texts(part())["123.conf"])
    (device,) = parse_netif(conf["NETIF"])
    assert (device.name, device.bridge) == ("eth0", "vmbr0") and not int(device.mac[:2], 16) & 1
    assert conf["PHYSPAGES"] == "0:262144" and "DISKSPACE" not in conf and "IP_ADDRESS" not in conf


def test_a_name_in_place_of_a_number(part: Part, tmp_path: Path) -> None:
    files = texts(part(BOTH, id="my-lab"))
    assert list(files) == ["INSTALL", "my-lab.conf", "my-lab.mount"]
    conf = parse_conf(files["my-lab.conf"])
    assert conf["NAME"] == "my-lab" and conf["OSTEMPLATE"] == "debian-12-x86_64-my_lab"
    assert "host_ifname=vethCTID.1" in conf["NETIF"]
    (tmp_path / "my-lab.conf").write_text(files["my-lab.conf"])
    (line,) = (line for line in files["INSTALL"].splitlines() if "sed " in line and "veth" in line)
    command = "CTID=222\n" + line.partition(" > ")[0]
    ran = subprocess.run(["dash", "-euc", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [d.host_name for d in parse_netif(parse_conf(ran.stdout)["NETIF"])] == ["veth222.1", "veth222.2"]


@pytest.mark.parametrize(
    ("id", "text", "message"),
    [
        ("100", "", "lab.ini:2: [hardware] vm_id: '100': OpenVZ numbers its containers from 101"),
        ("2147483645", "", "lab.ini:2: [hardware] vm_id: '2147483645': OpenVZ numbers"),
        ("1234567890", "", "lab.ini:2: [hardware] vm_id: the host's device 'veth1234567890.0' would have more than 15"),
        (
            "123",
            "[[eths]]\n[[[eth0]]]\ntype = venet\n[network]\n[[eths]]\n[[[eth0]]]\ntype = dhcp\n",
            "lab.ini:10: [network] eth0: a venet adapter takes no address by dhcp",
        ),
        (
            "123",
            (
                "[[eths]]\n[[[eth0]]]\ntype = venet\n[network]\nip_routing = 1\nnat = 1\n[[eths]]\n[[[eth0]]]\n"
                "address = 10.0.0.2/24\n"
            ),
            "lab.ini:9: [network] nat: what a venet adapter sends",
        ),
    ],
)
def test_what_openvz_cannot_do_is_reported_at_its_line(part: Part, id: str, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        part(text, id=id)
    assert message in str(caught.value)


def test_the_network_files_leave_the_venet_to_vzctl(part: Part) -> None:
    files = step_files(part(BOTH))
    for name in ("interfaces", "interfaces.tail"):
        assert "eth0" not in files[name] and "venet" not in files[name]
        assert files[name].count("auto lan") == 1 and "address 10.0.0.2/24" in files[name]
        assert "gateway" not in files[name], "it fails where vzctl has set a default route already"
        assert "up ip -4 route replace default via 10.0.0.254 dev lan onlink" in files[name]
    assert "iface lo" in files["interfaces"] and "iface lo" not in files["interfaces.tail"]


def test_without_a_venet_the_network_files_are_those_of_all_backends(part: Part, tmp_path: Path) -> None:
    text = "[network]\ngateway = 10.0.0.1\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.2/24\n"
    files = step_files(part(text))
    recipe = load(tmp_path / "lab.ini")
    plan = make_plan(recipe, "openvz", OpenvzBackend().part(recipe, None))
    shared = next(step for step in plan.steps if step.name == "network")
    assert files["interfaces"] == next(f for f in shared.files if f.name == "interfaces").content.decode()  # type: ignore[union-attr]


def test_probes_of_a_venet_look_on_any_device(part: Part, tmp_path: Path) -> None:
    own = part(BOTH.replace("gateway = 10.0.0.254", "gateway = 192.168.1.254"))
    plan = make_plan(load(tmp_path / "lab.ini"), "openvz", own)
    names = {probe.name for probe in plan.all_probes()}
    assert {"venet-192.168.1.2", "venet-fd00::2", "venet-route", "lan-10.0.0.2", "lan-hw-addr"} <= names
    assert not {"eth0-192.168.1.2", "eth0-fd00::2", "gateway-eth0-192.168.1.254"} & names


def test_layers_are_shared_with_lxc_up_to_the_backends_packages(part: Part, tmp_path: Path) -> None:
    own = part(BOTH + "[devel]\nvim = 1\n")
    recipe = load(tmp_path / "lab.ini")
    openvz = make_plan(recipe, "openvz", own)
    lxc = make_plan(recipe, "lxc", LxcBackend().part(recipe, None))
    names = [step.name for step in openvz.steps]
    at = names.index("packages-openvz")
    assert at > 0 and [s.id for s in openvz.steps[:at]] == [s.id for s in lxc.steps[:at]]
    assert names[at + 1 :] == ["system", "network", "openvz", "generalise"]
    assert [s.name for s in openvz.steps[at:] if s.network] == ["packages-openvz"]


def test_every_script_is_clean_shell(part: Part) -> None:
    made = part(BOTH)
    scripts = [step.script for step in (*made.packages, *made.steps)] + [probe.script for probe in made.probes]
    for script in [*scripts, texts(made)["123.mount"]]:
        subprocess.run(["dash", "-n"], input=script, text=True, check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "-s", "sh", "-"], input=script, text=True, check=True)


def test_install_names_what_is_there(part: Part) -> None:
    install = texts(part(BOTH))["INSTALL"]
    for message in (
        "OpenVZ 6",
        "OpenVZ 7",
        "Proxmox VE",
        'cp debian-12-x86_64-123.tar.gz "$TEMPLATE/cache/"',
        "123.mount",
    ):
        assert message in install
    assert "name=lan,bridge=br7,hwaddr=00:18:51:00:00:07,ip=10.0.0.2/24,gw=10.0.0.254,ip6=fd01::2/64" in install
    commands = re.findall(r"^  ((?:vzctl|pct|cp|sed|install|CTID).*(?:\\\n.*)?)$", install, re.M)
    assert len(commands) > 12
    subprocess.run(["dash", "-n"], input="\n".join(commands), text=True, check=True)


def test_the_sample_of_the_thesis_is_planned() -> None:
    """Listing B.1: Fedora 14; its configuration and scripts are there."""
    recipe = load(resources.recipes_dir() / "samples" / "thesis-openvz.ini")
    plan = make_plan(recipe, "openvz", OpenvzBackend().part(recipe, None))
    conf = parse_conf(plan.build_recipe["123.conf"])
    assert (conf["OSTEMPLATE"], conf["HOSTNAME"]) == ("fedora-14-x86-123", "HAL-9000")
    assert (conf["IP_ADDRESS"], conf["NAMESERVER"], conf["CPUS"]) == ("192.168.1.2", "192.168.1.1", "1")
    assert (conf["PHYSPAGES"], conf["DISKSPACE"]) == ("0:262144", "1048576:1048576")
    names = [step.name for step in plan.steps]
    assert [name for name in names if not name.startswith("packages-")] == [
        "system", "users", "network", "openvz", "generalise",
    ]  # fmt: skip
    script = next(step.script for step in plan.steps if step.name == "openvz")
    assert "forget eth0\n" in script, "its adapter is a venet, which is no device of that name"
    subprocess.run(["shellcheck", "-"], input=script, text=True, check=True)
    assert not {"netcat", "vim", "sshd"} & {what for _, what, _ in plan.skipped}


def test_the_names_of_os_templates() -> None:
    assert os_template_name("debian-12", "i386", "a-b c/d") == "debian-12-x86-a_b_c_d"


@pytest.mark.parametrize("text", ['a"b', "a$b", "a`b", "a\\b", "a\nb"])
def test_what_the_file_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot stand"):
        conf_value(text)


@pytest.mark.parametrize("text", ["A=b", 'A="b" c', "A", 'a="b"'])
def test_a_line_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no line"):
        parse_conf(f"# fine\n\n{text}\n")


def test_devices_are_read_as_written() -> None:
    devices = [
        Device("eth0", "", "02:00:00:00:00:01", "veth101.0", "FE:FF:FF:FF:FF:FF"),
        Device("lan", "br0", "", "", ""),
    ]
    assert parse_netif(netif(devices)) == devices
    with pytest.raises(ValueError, match="no network device"):
        parse_netif("bridge=br0")


def test_the_boot_sets_what_the_configuration_sets(part: Part) -> None:
    entries = dict(entries_of(parse_conf(texts(part(BOTH))["123.conf"])))
    assert entries["lxc.cgroup2.memory.max"] == str(512 << 20)
    assert entries["lxc.cgroup2.cpu.max"] == "200000 100000"
    assert entries["lxc.net.0.name"] == "venet0" and entries["lxc.net.0.ipv4.address"] == "192.168.1.2/32"
    assert entries["lxc.net.0.ipv6.address"] == "fd00::2/128" and entries["lxc.net.0.ipv4.gateway"] == "dev"
    assert entries["lxc.net.1.hwaddr"] == "00:18:51:00:00:07" and entries["lxc.net.1.link"] == "br7"
    assert "lxc.net.2.link" not in entries
