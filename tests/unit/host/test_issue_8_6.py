"""Issue 8, item 6: what programs get of our environment, and secrets that leave it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmgen_build.host import environment, gpg
from vmgen_build.host.environment import own, take
from vmgen_build.host.run import output
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret

RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
[config]
root_passwd = env:CANARY
[users]
[[users]]
[[[a]]]
name = ana
passwd = env:CANARY
"""

LOOK = """
import subprocess, sys
from pathlib import Path
from vmgen_build.recipe.load import load

def seen():
    own = Path("/proc/self/environ").read_bytes()
    child = subprocess.run(["cat", "/proc/self/environ"], capture_output=True).stdout
    return [b"canary-6" in where for where in (own, child)]

before = seen()
recipe = load(Path(sys.argv[1]))
print(before, seen(), b"OTHER=stays" in Path("/proc/self/environ").read_bytes())
assert recipe.config.root_passwd.reveal() == "canary-6"
"""


def test_a_secret_that_was_read_is_in_no_environ(tmp_path: Path) -> None:
    """A real process: the kernel's own view of it, and that of a program that it starts by hand."""
    path = tmp_path / "lab.ini"
    path.write_text(RECIPE)
    environ = os.environ | {"CANARY": "canary-6", "OTHER": "stays"}
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, str(path)], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[True, True] [False, False] True"


def test_it_can_be_read_again_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "canary-6")
    path = tmp_path / "lab.ini"
    path.write_text(RECIPE)
    for _ in range(2):
        recipe = load(path)
        assert recipe.config.root_passwd == recipe.users.users["a"].passwd == Secret("canary-6")
        assert "CANARY" not in os.environ
    monkeypatch.setenv("CANARY", "newer")
    assert take("CANARY") == Secret("newer")


def test_no_program_gets_a_proxys_password_or_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*environment.PROXIES, *environment.SECRETS, "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD_X"):
        monkeypatch.setenv(name, "canary-6")
    assert "canary-6" not in output(["env"], "env")


def test_proxies_go_to_those_that_ask_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy")
    assert own(environment.PROXIES)["https_proxy"] == "http://proxy"


def test_gpg_gets_what_asks_for_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TERM pinentry-curses finds no screen, and without DISPLAY a graphical one no display."""
    (tmp_path / "gpg").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wanted = {"TERM": "vt220", "DISPLAY": ":7", "WAYLAND_DISPLAY": "w-0", "XAUTHORITY": "/x", "GPG_TTY": "/dev/pts/9"}
    for name, value in {**wanted, "DBUS_SESSION_BUS_ADDRESS": "unix:/bus", "VMGEN_SSH_PASSWORD": "canary"}.items():
        monkeypatch.setenv(name, value)
    lines = gpg.signed(b"data", "ana").decode().splitlines()
    assert {f"{name}={value}" for name, value in wanted.items()} <= set(lines)
    assert "DBUS_SESSION_BUS_ADDRESS=unix:/bus" in lines and not any("canary" in line for line in lines)
