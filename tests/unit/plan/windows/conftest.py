"""Recipes for Windows, and the plans that they become."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

EVERY = Path(__file__).with_name("every.ini").read_text(encoding="utf-8")
FILES = {
    "motd.txt": b"welcome\r\n",
    "own.bat": b"@echo off\r\necho own\r\n",
    "tool.msi": b"\xd0\xcf\x11\xe0",
    "app.msix": b"PK",
    "fix.msu": b"MSCF",
    "a-setup.exe": b"MZ" + bytes(1 << 20) + b"\xef\xbe\xad\xdeNullsoftInst",
    "inno.exe": b"MZ\0\0Inno Setup Setup Data (6.2.0) (u)",
    "other.exe": b"MZ\0\0",
    "own.ps1": b"Write-Output own\r\n",
    "chocolatey.2.4.1.nupkg": b"PK",
}

MORE = """\
[[eths]]
[[[eth0]]]
hw_addr = 00:16:3e:12:34:56
[[[eth1]]]
hw_addr = 00:16:3e:12:34:57
[network]
ip_routing = yes
nat = 1
telnet = yes
[[eths]]
[[[eth0]]]
address = 10.0.0.2/24, fd00::2/64
gateway = 10.0.0.1, fd00::1
dns = 10.0.0.9, fd00::9
[services]
sshd = yes
[config]
hostname = lab-pc
packages = git=2.40.0, vlc
packages_remove = foo
packages_hold = git
generalise = no
[[files]]
[[[own]]]
source = motd.txt
dest = C:\\lab\\own.txt
[[scripts]]
[[[own]]]
run = echo more >>C:\\lab\\own.txt
"""
"""Behind [hardware] vm_id and os: what stands beside the options of EVERY."""

GENERATIONS = {"xp": "winxppro", "nt6": "win7", "nt10": "win10-pro"}

WindowsPlanner = Callable[..., Plan]


@pytest.fixture
def windows(tmp_path: Path) -> WindowsPlanner:
    """windows(OS, TEXT) -> Plan of the vmware backend; TEXT comes behind [hardware] vm_id and os."""

    def plan(os: str, text: str = "", every: bool = False) -> Plan:
        for name, content in FILES.items():
            (tmp_path / name).write_bytes(content)
        path = tmp_path / "lab.ini"
        whole = EVERY.replace("os = OS", f"os = {os}") if every else f"[hardware]\nvm_id = lab\nos = {os}\n{text}"
        path.write_text(whole, encoding="utf-8", newline="")
        recipe = load(path)
        part = backend_named("vmware").part(recipe, None)
        return make_plan(recipe, "vmware", part, Facts("release", 1700000000), None)

    return plan


def named(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def commands(step: Step) -> list[str]:
    """The lines of the script that run a program, without the frame and the checks."""
    body = step.script.split("cd /d C:\\Windows\\Temp\\vmgen\r\n")[1].split('set "VMGEN_CODE=0"')[0]
    ours = re.compile(
        r'(set "VMGEN_|if (not )?"%errorlevel%"|if not exist secrets|if not defined VMGEN_SECRET|cmd /d /c exit 0|::|$)'
    )
    return [line for line in body.split("\r\n") if not ours.match(line)]


def file_of(step: Step, name: str) -> str:
    return next((file.content or b"").decode("utf-8-sig") for file in step.files if file.name == name)
