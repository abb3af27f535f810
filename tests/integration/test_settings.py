"""The users, network and firewall steps on a throwaway copy of this host's own root: real useradd, real iptables.

The copy is an overlay on memory in a mount namespace of its own, and the firewall is loaded into an empty network.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.plan.model import Part, Probe, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

with_iptables = pytest.mark.skipif(not shutil.which("iptables-restore"), reason="needs iptables")

Steps = Callable[[str], dict[str, Step]]

ENTER = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
cp -R "$2" "$1/root/run/vmgen"
exec env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/root SOURCE_DATE_EPOCH=1700000000 \
    chroot "$1/root" /bin/sh /run/vmgen/main
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL1CF1wCAZTSZZGCdYyHaZyCUBqrLsS4dLFhreffAiAM ana $(id)"
USERS = f"""
[users]
    [[groups]]
        [[[g0]]]
            name = vmgen-a
        [[[g1]]]
            name = vmgen-b
            gid = 4711
        [[[g2]]]
            name = games
            gid = 4712
    [[users]]
        [[[u0]]]
            name = vmgen-caesar
            passwd = "al, es#ia $(id)"
            group = vmgen-a
            groups = vmgen-b, games
            home_dir = /srv/vmgen/caesar
            full_name = '''-x "J" $(touch /tmp/vmgen-hit) 'C' é `id`'''
        [[[u1]]]
            name = vmgen-ana
            uid = 4711
            passwd = secret
            ssh_keys = "{KEY}"
            shell = /bin/sh
        [[[u2]]]
            name = vmgen-b
        [[[u3]]]
            name = games
            shell = /bin/sh
            home_dir = /srv/vmgen/games
            groups = vmgen-a
            full_name = Games
[config]
    root_passwd = student
"""


class Copy:
    """Runs steps and probes, one after the other, in one throwaway copy of the host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        (self.folder / "mount").mkdir()
        (self.folder / "things" / "files").mkdir(parents=True)
        (self.folder / "things" / "secrets").mkdir()

    def run(self, *scripts: str, step: Step | None = None) -> subprocess.CompletedProcess[str]:
        things = self.folder / "things"
        for file in step.files if step else ():
            (things / "files" / file.name).write_bytes(file.content or b"")
        for name, secret in step.secrets.items() if step else ():
            (things / "secrets" / name).write_text(secret.reveal())
        for index, script in enumerate(scripts):
            (things / str(index)).write_text(script)
        lines = [f"/bin/sh /run/vmgen/{index} || echo FAILS {index}\n" for index in range(len(scripts))]
        (things / "main").write_text("".join(lines))
        space = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        command = [*space, "sh", "-euc", ENTER, "sh", str(self.folder / "mount"), str(things)]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "copy")


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    def make(text: str) -> dict[str, Step]:
        path = tmp_path / "lab.ini"
        path.write_text("[hardware]\nvm_id = lab\nos = debian-12\n" + text, encoding="utf-8")
        return {step.name: step for step in make_plan(load(path), "lxc", Part()).steps}

    return make


def scripts(probes: tuple[Probe, ...]) -> list[str]:
    return [p.script for p in probes if p.kind == "guest"]


def test_users_are_as_the_recipe_says(steps: Steps, copy: Copy) -> None:
    step = steps(USERS)["users"]
    ran = copy.run(step.script, *scripts(step.probes), step=step)
    assert "FAILS" not in ran.stdout, ran.stdout + ran.stderr
    assert "-x \"J\" $(touch /tmp/vmgen-hit) 'C' é `id`" in ran.stdout
    assert not Path("/tmp/vmgen-hit").exists()


def test_running_the_step_twice_changes_nothing(steps: Steps, copy: Copy) -> None:
    step = steps(USERS)["users"]
    look = "cd /etc && md5sum passwd group shadow gshadow subuid subgid"
    ran = copy.run(step.script, look, step.script, look, step=step)
    lines = [line for line in ran.stdout.splitlines() if not line.startswith("usermod: no changes")]
    assert len(lines) == 12
    assert lines[:6] == lines[6:]


def test_the_day_of_the_last_change_is_the_builds(steps: Steps, copy: Copy) -> None:
    step = steps(USERS)["users"]
    ran = copy.run(step.script, "grep -E '^(root|vmgen-)' /etc/shadow | cut -d: -f3", step=step)
    assert set(ran.stdout.split()) == {str(1700000000 // 86400)}


@pytest.mark.parametrize(
    ("harm", "fails"),
    [
        ("usermod -c other vmgen-caesar", "user-vmgen-caesar"),
        ("usermod -s /bin/sh vmgen-caesar", "user-vmgen-caesar"),
        ("usermod -u 4800 vmgen-ana", "user-vmgen-ana"),
        ("gpasswd -d vmgen-caesar vmgen-b", "user-vmgen-caesar-groups"),
        ("usermod -g vmgen-b vmgen-caesar", "user-vmgen-caesar-groups"),
        ("userdel -r vmgen-ana", "user-vmgen-ana"),
        ("groupmod -g 4800 vmgen-b", "group-vmgen-b"),
        ("usermod -p x vmgen-ana", "password-vmgen-ana"),
        ("passwd -q -l root", "password-root"),
        ("passwd -q -d vmgen-b", "password-vmgen-b"),
        ("chmod 0644 ~vmgen-ana/.ssh/authorized_keys", "user-vmgen-ana-keys"),
        ("echo >> ~vmgen-ana/.ssh/authorized_keys", "user-vmgen-ana-keys"),
    ],
)
def test_the_probes_notice(steps: Steps, copy: Copy, harm: str, fails: str) -> None:
    step = steps(USERS)["users"]
    index = [p.name for p in step.probes].index(fails)
    ran = copy.run(step.script, f"{{ {harm}; }} >/dev/null", *scripts(step.probes), step=step)
    assert "FAILS 1" not in ran.stdout.splitlines(), ran.stderr
    assert f"FAILS {index + 2}" in ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("shell = /usr/bin/no-such-shell", "user 'ana': the guest has no shell '/usr/bin/no-such-shell'; install it"),
        ("uid = 1", "user 'ana' could not be added"),
    ],
)
def test_a_user_that_cannot_be_is_named(steps: Steps, copy: Copy, option: str, message: str) -> None:
    step = steps(f"[users]\n[[users]]\n[[[a]]]\nname = ana\n{option}\n")["users"]
    ran = copy.run(step.script, step=step)
    assert "FAILS 0" in ran.stdout
    assert message in ran.stderr


HOSTILE = [
    'it\'s "ssh"',
    "' back\\slash \\\\ \\\" end",
    "$(touch /tmp/vmgen-hit) `id` ; | & > /x",
    "-t nat -j DROP",
    "--comment",
    "# no comment",
    "{{ jinja }} {% raw %}",
    "é" * 300,
    "*filter COMMIT",
]


@with_iptables
def test_rules_are_loaded_as_written_and_hostile_descriptions_with_them(steps: Steps, copy: Copy) -> None:
    ports = "".join(
        f"[[[p{index}]]]\nport = {9000 + index}\nproto = all\ndescription = '''{text}'''\n"
        for index, text in enumerate(HOSTILE)
    )
    text = f"""[network]
ip_routing = 1
nat = 1
[[open_ports]]
{ports}
[[firewall_rules]]
r0 = -A INPUT -s 10.0.0.0/8 -p tcp --dport 23 -j DROP
r1 = -N MINE
r2 = '''-A MINE -m comment --comment "it's $(id)" -j LOG --log-prefix "x y: "'''
r3 = -t nat -A PREROUTING -p tcp --dport 2222 -j REDIRECT --to-ports 22
r4 = ip6tables -I INPUT 1 -p tcp --dport 24 -j REJECT
r5 = -P OUTPUT DROP
"""
    step = steps(text)["firewall"]
    ours = "cd /run/vmgen/files && iptables-restore rules.v4 && ip6tables-restore rules.v6"
    show = "iptables -S OUTPUT | head -n 1; iptables -S INPUT"
    ran = copy.run(ours, *scripts(step.probes), show, step=step)
    assert "FAILS" not in ran.stdout, ran.stdout + ran.stderr
    assert "-P OUTPUT DROP" in ran.stdout
    assert "$(touch /tmp/vmgen-hit) `id` ; | & > /x" in ran.stdout
    assert not Path("/tmp/vmgen-hit").exists()
    without = copy.run(*scripts(step.probes), step=step)
    assert without.stdout.count("FAILS") == len(scripts(step.probes))


@with_iptables
@pytest.mark.parametrize(
    ("rule", "version"),
    [("-A INPUT -p tcp --dprt 22 -j DROP", ""), ("-A INPUT -j NOWHERE", ""), ("ip6tables -A NOWHERE -j DROP", "6")],
)
def test_a_rule_that_iptables_refuses_fails_the_step_with_its_text(
    steps: Steps, copy: Copy, rule: str, version: str
) -> None:
    step = steps(f"[network]\n[[firewall_rules]]\nr0 = -A INPUT -j LOG\nr1 = {rule}\n")["firewall"]
    ran = copy.run(step.script, step=step)
    assert "FAILS 0" in ran.stdout
    assert f"ip{version}tables-restore refuses" in ran.stderr
    assert rule.removeprefix("ip6tables ") in ran.stderr
