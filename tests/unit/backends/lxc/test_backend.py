"""The lxc backend's share of a plan."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.lxc import nics_of, parse_config
from vmgen_build.backends.lxc.backend import LxcBackend
from vmgen_build.backends.lxc.incus import limits_of
from vmgen_build.backends.lxc.instance import LOCAL, NAME, instance_beside, root_templates
from vmgen_build.errors import RecipeError
from vmgen_build.plan.model import Part
from vmgen_build.recipe.load import load

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
FULL = """
num_cpu = 2
ram = 512
[[eths]]
[[[eth0]]]
hw_addr = 00:16:3E:12:34:56
[[[lan]]]
type = bridged
[[[dmz]]]
type = bridged
bridge = br-dmz
connected = no
[[[alone]]]
type = hostonly
[config]
hostname = HAL-9000
"""

Part = Callable[..., Part]


@pytest.fixture
def part(tmp_path: Path) -> Part:
    def make(text: str = "", templates: Path | None = None, epoch: int = 0) -> Part:
        path = tmp_path / "lab.ini"
        path.write_text(HEAD + text)
        return LxcBackend().part(load(path), templates, epoch)

    return make


def config(part: Part) -> dict[str, str]:
    assert part.build_recipe is not None
    return dict(parse_config(part.build_recipe["config"]))


def test_a_bare_recipe_gets_one_device(part: Part) -> None:
    entries = config(part())
    assert entries["lxc.uts.name"] == "lab"
    assert entries["lxc.arch"] == "x86_64"
    assert entries["lxc.rootfs.path"] == "dir:/var/lib/lxc/lab/rootfs"
    assert {k: v for k, v in entries.items() if k.startswith("lxc.net")} == {
        "lxc.net.0.type": "veth",
        "lxc.net.0.name": "eth0",
        "lxc.net.0.link": "lxcbr0",
        "lxc.net.0.flags": "up",
    }
    assert not [k for k in entries if k.startswith("lxc.cgroup")]
    assert part().probes == ()


def test_every_option(part: Part) -> None:
    entries = config(part(FULL))
    assert entries["lxc.uts.name"] == "HAL-9000"
    assert entries["lxc.cgroup.memory.limit_in_bytes"] == entries["lxc.cgroup2.memory.max"] == str(512 << 20)
    assert entries["lxc.cgroup.cpu.cfs_quota_us"] == "200000"
    assert entries["lxc.cgroup2.cpu.max"] == "200000 100000"
    assert [(nic.name, nic.bridge) for nic in nics_of(entries.items())] == [
        ("eth0", "lxcbr0"),
        ("lan", "br0"),
        ("dmz", "br-dmz"),
        ("alone", "vmgen3"),
    ]
    assert "lxc.net.3.link" not in entries
    assert entries["lxc.net.0.hwaddr"] == "00:16:3e:12:34:56"
    assert "lxc.net.2.flags" not in entries and entries["lxc.net.1.flags"] == "up"
    assert [p.name for p in part(FULL).probes] == ["ram", "num_cpu", "eth0-hw-addr"]


def test_the_metadata_is_what_incus_asks_for(part: Part) -> None:
    """YAML whose scalars are JSON's, so that a line at a time can be read without a YAML parser."""
    recipe = part(epoch=1700000000).build_recipe
    assert recipe is not None
    text, rendered = recipe["metadata.yaml"].split("templates:\n")
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    assert json.loads(values["architecture"]) == "x86_64"
    assert values["creation_date"] == "1700000000"
    assert {k.strip(): json.loads(v) for k, v in values.items() if k.startswith("  ")} == {
        "architecture": "x86_64",
        "description": "lab: debian 12 (x86_64) by vmgen-build",
        "name": "lab",
        "os": "Debian",
        "release": "bookworm",
        "serial": "20231114_2213",
        "variant": "default",
    }
    assert rendered.startswith("  /etc/hostname:\n    when: [create, copy]\n    template: hostname.tpl\n")
    assert "creation_date: 1\n" in (part().build_recipe or {})["metadata.yaml"], "incus refuses 0"


def test_a_template_of_the_user_stands_for_ours(part: Part, tmp_path: Path) -> None:
    (tmp_path / "own" / "lxc").mkdir(parents=True)
    (tmp_path / "own/lxc/config.j2").write_text("lxc.uts.name = {{ name }}-own\n")
    recipe = part(templates=tmp_path / "own").build_recipe
    assert recipe is not None and recipe["config"] == "lxc.uts.name = lab-own\n"
    assert "creation_date" in recipe["metadata.yaml"]


def test_a_value_that_the_file_cannot_hold_is_refused(part: Part, tmp_path: Path) -> None:
    (tmp_path / "own" / "lxc").mkdir(parents=True)
    (tmp_path / "own/lxc/config.j2").write_text("lxc.uts.name = {{ 'a\\nb' }}\n")
    with pytest.raises(RecipeError, match="cannot stand in an lxc configuration"):
        part(templates=tmp_path / "own")


def test_the_probes_are_sound_scripts(part: Part) -> None:
    for probe in part(FULL).probes:
        subprocess.run(["dash", "-n"], input=probe.script, text=True, check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "-"], input=probe.script, text=True, check=True)


@pytest.mark.parametrize(
    ("name", "hosts", "text"),
    [
        (
            "hal",
            "127.0.0.1 localhost\n127.0.1.1 hal # hal\n",
            "127.0.0.1 localhost\n127.0.1.1 {{ instance.name }} # hal\n",
        ),
        ("hal.a.org", "127.0.1.1\thal.a.org hal\n10.0.0.1 shal hal9\n", "127.0.1.1\t{0} {0}\n10.0.0.1 shal hal9\n"),
        ("hal", "127.0.1.1 hal.a.org hal\n", "127.0.1.1 {0}.a.org {0}\n"),
        ("hal", "10.0.0.9 hal.other.net\n127.0.1.1 hal\n", "10.0.0.9 hal.other.net\n127.0.1.1 {0}\n"),
        ("hal", "127.0.1.1 hal\n# {% include '/etc/shadow' %}\n", LOCAL),
        ("hal", "", LOCAL),
    ],
)
def test_each_instance_bears_its_own_name(tmp_path: Path, name: str, hosts: str, text: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text(f"{name}\n")
    (tmp_path / "etc/hosts").write_text(hosts)
    found = root_templates(tmp_path)
    assert found["templates/hostname.tpl"] == "{{ instance.name }}\n"
    assert found["templates/hosts.tpl"] == text.replace("{0}", NAME)


def test_what_the_metadata_names_is_there(tmp_path: Path) -> None:
    (tmp_path / "r.ini").write_text(HEAD)
    part = LxcBackend().part(load(tmp_path / "r.ini"), None)
    lines = (part.build_recipe or {})["metadata.yaml"].splitlines()
    named = [f"templates/{line.split()[-1]}" for line in lines if line.endswith(".tpl")]
    assert sorted(named) == sorted(root_templates(tmp_path))


def test_cpus_and_memory_reach_an_instance(part: Part) -> None:
    """As its configuration beside the image, and for people among the image's properties."""
    recipe = part(FULL).build_recipe or {}
    assert recipe["instance.yaml"].splitlines()[1:] == ["config:", '  limits.cpu: "2"', '  limits.memory: "512MiB"']
    assert '\n  limits.cpu: "2"\n  limits.memory: "512MiB"\ntemplates:\n' in recipe["metadata.yaml"]
    bare = part().build_recipe or {}
    assert bare["instance.yaml"].endswith("\nconfig: {}\n") and "limits" not in bare["metadata.yaml"]


@pytest.mark.parametrize(
    ("ram", "text"), [(512 << 20, "512MiB"), (3 << 30, "3072MiB"), (1_000_000_000, "1000000000B"), (None, None)]
)
def test_memory_is_given_to_the_byte(ram: int | None, text: str | None) -> None:
    assert limits_of(None, ram) == ({"limits.memory": text} if text else {})


@pytest.mark.parametrize("image", ["lab-lxd-amd64.tar.zst", "lab-lxd-amd64.tar"])
def test_the_configuration_lies_beside_the_image(tmp_path: Path, image: str) -> None:
    assert instance_beside(tmp_path / image) == ()
    (tmp_path / "lab-lxd-amd64.yaml").touch()
    assert instance_beside(tmp_path / image) == ("lab-lxd-amd64.yaml",)


def test_a_link_out_of_the_root_gives_no_hosts(tmp_path: Path) -> None:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("10.0.0.1 hal\n")
    (tmp_path / "root/etc/hostname").write_text("hal\n")
    (tmp_path / "root/etc/hosts").symlink_to(tmp_path / "secret")
    assert root_templates(tmp_path / "root")["templates/hosts.tpl"] == LOCAL
