"""vmgctl, as people and scripts use it: exact output, exact messages, and what is left in the file."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from vmgen_build.cli import main
from vmgen_build.cli.vmgctl import vmgctl

LAB = """\
[hardware]
    vm_id = lab
    os = debian-12
    ram = 1024      # MB
[network]
    [[eths]]
        [[[eth0]]]
            address = 192.168.1.2
            network = 24
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = canary-1
            groups = sudo, adm
[config]
    mirror = http://me:canary-2@mirror/debian
    [[scripts]]
        [[[hello]]]
            run = '''touch /srv/a
touch /srv/b'''
"""

LISTED = """\
hardware.vm_id = lab
hardware.os = debian-12
hardware.ram = 1024
network.eths.eth0.address = 192.168.1.2
network.eths.eth0.network = 24
users.users.ana.name = ana
users.users.ana.passwd = ***
users.users.ana.groups = sudo, adm
config.mirror = http://***@mirror/debian
config.scripts.hello.run = touch /srv/a\\ntouch /srv/b
"""


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Lab:
    """A recipe in the current folder, and what vmgctl does with it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = Path("lab.ini"), capsys
        self.path.write_text(LAB)

    def __call__(self, *args: str, file: str = "lab.ini") -> Result:
        code = main.run([file, *args], vmgctl, "vmgctl")
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    monkeypatch.chdir(tmp_path)
    return Lab(capsys)


def test_all_is_listed_but_for_secrets(lab: Lab) -> None:
    assert lab() == (0, LISTED, "")
    assert lab("network.eths") == (0, "".join(LISTED.splitlines(keepends=True)[3:5]), "")
    shown = lab("--show-secrets").out
    assert "passwd = canary-1\n" in shown and "http://me:canary-2@mirror/debian\n" in shown


def test_values_alone(lab: Lab) -> None:
    assert lab("hardware.ram") == (0, "1024\n", "")
    assert lab("hardware.ram", "config.scripts.hello.run").out == "1024\ntouch /srv/a\ntouch /srv/b\n"
    assert lab("users.users.ana.passwd", "--show-secrets").out == "canary-1\n"


def test_json(lab: Lab) -> None:
    whole = json.loads(lab("-f", "json").out)
    assert whole["users"]["users"]["ana"] == {"name": "ana", "passwd": None, "groups": ["sudo", "adm"]}
    assert whole["network"]["eths"]["eth0"] == {"address": ["192.168.1.2"], "network": ["24"]}
    assert whole["config"]["mirror"] == "http://***@mirror/debian"
    assert lab("-f", "json", "hardware.os").out == '"debian-12"\n'
    assert json.loads(lab("-f", "json", "hardware.os", "users.users.ana.groups").out) == {
        "hardware.os": "debian-12",
        "users.users.ana.groups": ["sudo", "adm"],
    }


def test_several_changes(lab: Lab) -> None:
    changed = lab("network.eths.eth0.network=25", "hardware.ram=2G", "users.users.ana.groups-", "devel.vim=1")
    assert changed == (
        0,
        "network.eths.eth0.network = 25\nhardware.ram = 2G\nusers.users.ana.groups is deleted\ndevel.vim = 1\n",
        "",
    )
    expected = (
        LAB.replace("= 24\n", "= 25\n")
        .replace("1024      #", "2G        #")
        .replace("            groups = sudo, adm\n", "")
    )
    assert lab.path.read_text() == expected + "[devel]\n    vim = 1\n"
    status = lab.path.stat()
    assert lab("hardware.ram=2G") == (0, "hardware.ram = 2G (unchanged)\n", "")
    assert lab.path.stat() == status
    assert lab("-q", "hardware.ram=3G") == (0, "", "")


def test_the_old_file_is_kept(lab: Lab) -> None:
    assert lab("hardware.ram=2G", "--in-place=.bak").code == 0
    assert Path("lab.ini.bak").read_text() == LAB and sorted(os.listdir()) == ["lab.ini", "lab.ini.bak"]


def test_a_difference_is_shown_and_nothing_is_written(lab: Lab) -> None:
    assert lab("hardware.ram=2G", "users.users.ana.passwd=env:HOME_PW", "--diff", "--force") == (
        0,
        """\
--- lab.ini
+++ lab.ini (edited)
@@ -1,7 +1,7 @@
 [hardware]
     vm_id = lab
     os = debian-12
-    ram = 1024      # MB
+    ram = 2G        # MB
 [network]
     [[eths]]
         [[[eth0]]]
@@ -11,7 +11,7 @@
     [[users]]
         [[[ana]]]
             name = ana
-            passwd = ***
+            passwd = env:HOME_PW
             groups = sudo, adm
 [config]
     mirror = http://***@mirror/debian
""",
        "",
    )
    assert lab.path.read_text() == LAB and os.listdir() == ["lab.ini"]


def test_secrets_come_from_elsewhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"a # 'b', \"c\"\r\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert lab("users.users.ana.passwd@-") == (0, "users.users.ana.passwd = ***\n", "")
    assert lab("users.users.ana.passwd", "--show-secrets").out == "a # 'b', \"c\"\n"
    Path("pw").write_text("other\n")
    assert lab("users.users.ana.passwd@pw").err == ""
    assert lab("users.users.ana.passwd=canary-3") == (
        0,
        "users.users.ana.passwd = ***\n",
        (
            "warning: users.users.ana.passwd: a password on the command line can be seen by other users (ps), and stays"
            " in the shell's history; write users.users.ana.passwd@- to be asked for it\n"
        ),
    )


LEFT = "lab.ini is left as it was (--force writes it all the same)\n"
IP = "is not an IPv4 address; write one such as 192.168.1.2"

WRONG = [
    (["network.gatway"], 1, "error: network.gatway is not set in lab.ini; did you mean network.gateway?\n"),
    (["network.ip_routing"], 1, "error: network.ip_routing is not set in lab.ini; its default is no\n"),
    (["xyzzy"], 1, "error: xyzzy is not set in lab.ini; without a path, all that it sets is listed\n"),
    (["devel.gdb-"], 1, "error: devel.gdb is not set, so there is nothing to delete\n"),
    (
        ["hardware.ran-"],
        1,
        "error: hardware.ran is not set, so there is nothing to delete; did you mean hardware.ram-?\n",
    ),
    (["users.users.ana.passwd"], 2, "error: users.users.ana.passwd holds a password; --show-secrets prints it\n"),
    (
        ["network.eths.eth0.adress=1"],
        2,
        (
            "error: network.eths.eth0.adress is no option of a recipe; did you mean network.eths.eth0.address? (--force"
            " writes it all the same)\n"
        ),
    ),
    (
        ["xyzzy.a=1"],
        2,
        "error: xyzzy.a is no option of a recipe; 'vmgen-build options' lists all (--force writes it all the same)\n",
    ),
    (
        ["network.open_ports=22"],
        2,
        "error: network.open_ports is a section; set an option in it, as in network.open_ports.NAME=VALUE\n",
    ),
    (["network.eths.eth0.address=192.168"], 2, f"lab.ini:8: [network.eths.eth0] address: '192.168' {IP}\n{LEFT}"),
    (
        ["devel.vmi=1"],
        2,
        f"lab.ini:23: [devel] vmi: no program is called 'vmi'; did you mean 'vim'?\n{LEFT}",
    ),
    (
        ["hardware.os-", "hardware.ram=many"],
        2,
        "lab.ini:1: [hardware] os: is missing; write, for example, os = debian-12\n"
        "lab.ini:3: [hardware] ram: 'many' is not a size; write a number of MB, or one with a unit: 512M, 8G, 1T\n"
        + LEFT,
    ),
    (
        ["users.users.ana.passwd=-"],
        2,
        (
            "error: users.users.ana.passwd=- would set the password to a hyphen; write users.users.ana.passwd@- to be"
            " asked for it\n"
        ),
    ),
    (["hardware.ram@none"], 2, "error: hardware.ram: none cannot be read: No such file or directory\n"),
    (
        ["hardware.ram@-", "hardware.os@-"],
        2,
        "error: standard input can be read once; give @- to one path alone\n",
    ),
    (
        ["hardware.ram=1", "hardware.os"],
        2,
        "error: hardware.os sets nothing, and other arguments do; print and set in two calls\n",
    ),
    (
        ["hardware.ram=1", "-f", "json"],
        2,
        "error: -f json prints values, and a change prints none; leave either out\n",
    ),
    (
        ["hardware.ram=1", "--in-place", "x"],
        2,
        "error: --in-place x: a suffix begins with a dot or another sign, as in --in-place=.bak\n",
    ),
    (["'x'"], 1, "error: 'x' is not set in lab.ini; without a path, all that it sets is listed\n"),
    ([".a"], 2, "error: '.a' is no path of a recipe; write SECTION.OPTION, as in network.gateway\n"),
    (['a."b"c'], 2, "error: 'c' follows a path; write PATH=VALUE, PATH@FILE, PATH- or PATH\n"),
]


@pytest.mark.parametrize(("args", "code", "message"), WRONG, ids=[" ".join(args) for args, _, _ in WRONG])
def test_what_is_refused(lab: Lab, args: list[str], code: int, message: str) -> None:
    assert lab(*args) == (code, "", message)
    assert lab.path.read_text() == LAB and os.listdir() == ["lab.ini"]


def test_wrong_files(lab: Lab) -> None:
    assert lab(file="none.ini") == (2, "", "none.ini: there is no such file; check its name\n")
    assert lab("a.b=1", file=".") == (2, "", ".: is a folder; name the recipe's file\n")
    Path("bad.ini").write_text("[hardware\nvm_id = 'x\n")
    for args in ((), ("hardware.vm_id=a", "--force")):
        assert lab(*args, file="bad.ini").err == (
            "bad.ini:1:1: the bracket of a section is never closed; write [hardware]\n"
            "    1 | [hardware\n      | ^^^^^^^^^\n"
            "bad.ini:2:9: vm_id: the quote ' is never closed; close it, or put the whole value between \" quotes\n"
            "    2 | vm_id = 'x\n      |         ^^\n"
        )


def test_force_writes_what_is_no_recipe(lab: Lab) -> None:
    assert lab("--force", "xyzzy.a=1", "hardware.ram=many", "devel.vmi=1").code == 0
    assert "ram = many      #" in lab.path.read_text() and lab.path.read_text().endswith(
        "[devel]\n    vmi = 1\n[xyzzy]\n    a = 1\n"
    )


def test_mistakes_that_were_there_hinder_nothing(lab: Lab) -> None:
    lab.path.write_text(LAB.replace("1024", "much").replace("debian-12", "beos"))
    assert lab("hardware.num_cpu=2") == (
        0,
        "hardware.num_cpu = 2\n",
        "lab.ini: 2 mistakes were there before; see 'vmgen-build check --strict lab.ini'\n",
    )
    assert lab("hardware.ram=1G").err.startswith("lab.ini: a mistake was there before;")
    assert lab("hardware.os=debian-12").err == ""
    assert lab("hardware.os=beos").code == 2


def test_a_warning_about_what_is_set_is_shown(lab: Lab) -> None:
    Path("lab.ini").write_text(LAB.replace("            passwd = canary-1\n", ""))
    Path("pw").write_text("x")
    found = lab("users.users.ana.ssh_keys=")
    assert found.code == 0 and "[hardware]" not in found.err


def test_it_is_a_command_of_its_own(lab: Lab) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", "from vmgen_build.__main__ import vmgctl; vmgctl()"]
    done = subprocess.run([*argv, "lab.ini", "hardware.os"], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "debian-12\n", "")
    words = environ | {"_VMGEN_BUILD_COMPLETE": "fish"}
    for typed, found in (("users.users.ana.pas", ["passwd", "passwd_hash"]), ("network.eths.eth0.type=st", ["static"])):
        done = subprocess.run([*argv, "lab.ini", typed], env=words, capture_output=True, text=True)
        given = [re.split("[.=]", line.split("\t")[1])[-1] for line in done.stdout.splitlines()]
        assert (given, done.stderr) == (found, "")


def test_the_examples_of_the_docs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of docs/vmgctl.md prints there what it prints, one after the other."""
    root = Path(main.__file__).parents[2]
    monkeypatch.setenv("ANA_PASSWORD", "x")
    shutil.copy(root / "recipes" / "first.ini", "first.ini")
    blocks = re.findall(r"```console\n(.*?)```", (root / "docs" / "vmgctl.md").read_text(), re.DOTALL)
    examples = [example for block in blocks for example in re.split(r"^\$ vmgctl ", block, flags=re.MULTILINE)[1:]]
    for example in examples:
        command, _, expected = example.partition("\n")
        file, *args = shlex.split(command)
        done = lab(*args, file=file)
        assert done.out + done.err == expected, command
    assert len(examples) > 6
