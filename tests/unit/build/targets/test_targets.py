"""What a target is asked to do, as it is printed, and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.backends.registry import backend_named, format_of, formats_of
from vmgen_build.build.targets.doing import Wanted, install, parse_where
from vmgen_build.build.targets.model import Put, Run, Site, as_shell
from vmgen_build.build.targets.registry import target_named, target_names
from vmgen_build.build.using.image import Image
from vmgen_build.errors import BuildError, UsageError
from vmgen_build.events import Bus
from vmgen_build.guests.runners import Host, LocalRunner

CONFIG = """\
lxc.include = /usr/share/lxc/config/common.conf
lxc.arch = x86_64
lxc.uts.name = hal
lxc.rootfs.path = dir:/var/lib/lxc/lab/rootfs
lxc.hook.start-host = /root/evil
lxc.net.0.type = veth
lxc.net.0.name = eth0
lxc.net.0.link = lxcbr0
lxc.net.0.hwaddr = 00:16:3e:00:00:07
lxc.cgroup2.memory.max = 268435456
lxc.cgroup2.cpu.max = 200000 100000
"""


def image(backend: str, form: str, **recipe: str) -> Image:
    named = backend_named(backend)
    manifest = {"name": "lab", "arch": "amd64", "epoch": 0, "files": [], "build_recipe": recipe, "probes": []}
    found = format_of(named, form)
    return Image(Path(f"lab{found.endings[0]}"), manifest, named, found)


def shown(target: str, made: Image, name: str = "", **host: Any) -> str:
    outcome = install(made, parse_where(target), Wanted(name=name, shown=True), Bus())
    assert not outcome.done
    return "\n".join(outcome.commands)


def test_there_is_a_target_for_each_module() -> None:
    assert target_names() == ("incus", "libvirt", "lxc", "openvz", "proxmox")
    assert [target_named(name).name for name in target_names()] == list(target_names())


def test_what_a_target_takes_there_is() -> None:
    for name in target_names():
        for backend, form in target_named(name).takes:
            assert form in [one.name for one in formats_of(backend_named(backend))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lxd", "--to lxd: there is no such target; did you mean 'lxc'?"),
        ("vbox", "there are incus, libvirt, lxc, openvz, proxmox"),
        ("lxc://", "names no host"),
        ("lxc://root:secret@node", "a password does not belong there"),
    ],
)
def test_where_that_is_nowhere(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as raised:
        parse_where(text)
    assert "secret" not in str(raised.value)


def test_where_another_host_is() -> None:
    assert parse_where("openvz://root@node:2222").host == Host("node", "root", 2222)
    assert parse_where("lxc").host.local


@pytest.mark.parametrize(
    ("target", "made", "build"),
    [
        ("incus", ("lxc", "tar"), "-b lxc --format lxd or -b kvm --format incus-vm"),
        ("proxmox", ("openvz", "tar"), "-b lxc --format pct or -b kvm --format vma"),
        ("libvirt", ("vmware", "ova"), "-b kvm --format qcow2"),
        ("lxc", ("kvm", "qcow2"), "-b lxc --format tar"),
        ("openvz", ("lxc", "tar"), "-b openvz --format tar"),
    ],
)
def test_what_a_target_cannot_take_is_refused_with_what_to_build(
    target: str, made: tuple[str, str], build: str
) -> None:
    with pytest.raises(UsageError, match=f"does not take; build it with .*{build}"):
        shown(target, image(*made))


@pytest.mark.parametrize("name", ["-x", "a b", "a/b", "..", "é", "x" * 64])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="write letters, digits"):
        shown("lxc", image("lxc", "tar", config=CONFIG), name)


def test_lxc_has_of_the_images_configuration_what_it_may() -> None:
    text = shown("lxc", image("lxc", "tar", config=CONFIG))
    assert "evil" not in text and "hook" not in text
    for line in (
        "lxc.rootfs.path = dir:/var/lib/lxc/lab/rootfs",
        "lxc.uts.name = hal",
        "lxc.net.0.link = lxcbr0",
        "lxc.net.0.hwaddr = 00:16:3e:00:00:07",
        "lxc.cgroup2.memory.max = 268435456",
        "lxc.cgroup.memory.limit_in_bytes = 268435456",
        "lxc.cgroup.cpu.cfs_quota_us = 200000",
    ):
        assert line in text.splitlines()


def test_lxc_under_another_name_has_its_own_place_and_address() -> None:
    lines = shown("lxc", image("lxc", "tar", config=CONFIG), "desk").splitlines()
    assert "lxc.rootfs.path = dir:/var/lib/lxc/desk/rootfs" in lines and "lxc.uts.name = desk" in lines
    assert not any("hal" in line or "00:16:3e:00:00:07" in line for line in lines)
    assert sum("lxc.net.0.hwaddr = 00:16:3e:" in line for line in lines) == 1
    assert lines[-1] == "lxc-start -n desk"


def test_lxc_a_configuration_that_is_none() -> None:
    with pytest.raises(BuildError, match="its lxc configuration is unusable"):
        shown("lxc", image("lxc", "tar", config="lxc.net.0.link = br0;reboot\n"))


def test_incus_takes_the_limits_alone_over(tmp_path: Path) -> None:
    made = image("lxc", "lxd")
    beside = 'config:\n  limits.cpu: "2"\n  limits.memory: "384MiB"\n  security.privileged: "true"\n  raw.lxc: "x"\n'
    (tmp_path / "lab.yaml").write_text(beside)
    files = {**made.manifest, "files": [{"name": "lab.tar.zst", "sha256": "ab12"}, {"name": "lab.yaml"}]}
    text = shown("incus", Image(tmp_path / "lab.tar.zst", files, made.backend, made.format))
    assert text.splitlines() == [
        f"incus image import {tmp_path}/lab.tar.zst --alias lab",
        "incus init -q ab12 lab <<'END'",
        "config:",
        '  limits.cpu: "2"',
        '  limits.memory: "384MiB"',
        "END",
        "incus start lab",
    ]


def test_proxmox_makes_a_container_of_the_plain_root() -> None:
    text = shown("proxmox", image("lxc", "pct", config=CONFIG), "desk")
    head, create, start = text.splitlines()
    assert head == "cp lab.tar.zst /var/lib/vz/template/cache/lab.tar.zst" and start == "pct start 100"
    assert create.startswith("pct create 100 local:vztmpl/lab.tar.zst --hostname desk --arch amd64 --ostype unmanaged")
    assert "--memory 256 --cores 2 --net0 name=eth0,bridge=vmbr0,ip=manual" in create


def test_commands_for_another_host_go_by_ssh() -> None:
    actions = [Put(Path("a b.raw"), "/x/y"), Put("text\n", "/x/t"), Run(("echo", "a b"), "in\n"), Run(("true",))]
    assert as_shell(actions, Host("node", "root", 2222)) == [
        "scp -P 2222 'a b.raw' root@node:/x/y",
        "ssh -p 2222 root@node 'cat > /x/t' <<'END'",
        "text",
        "END",
        """ssh -p 2222 root@node 'echo '"'"'a b'"'"'' <<'END'""",
        "in",
        "END",
        "ssh -p 2222 root@node true",
    ]


def test_what_is_not_known_is_the_usual() -> None:
    site = Site(None, local=True)
    assert not site.known and not site.has("sh") and site.says("usual", "echo", "x") == "usual"
    known = Site(LocalRunner(), local=True)
    assert known.has("sh") and known.says("usual", "echo", "x") == "x" and known.holds("/")


def test_printed_commands_are_sh(tmp_path: Path) -> None:
    """Also where what they write has quotes and dollars in it."""
    source = tmp_path / "it's $HOME"
    source.write_text("content")
    actions = [Put(source, str(tmp_path / "a file")), Put("$x 'y'\n`z`\n", str(tmp_path / "text"))]
    subprocess.run(["sh", "-eu"], input="\n".join(as_shell(actions, Host())), text=True, check=True)
    assert (tmp_path / "a file").read_text() == "content"
    assert (tmp_path / "text").read_text() == "$x 'y'\n`z`\n"
