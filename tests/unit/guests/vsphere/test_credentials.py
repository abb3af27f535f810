"""Where user and password come from, in which order, and what is said where there are none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import PASSWORD, USER, login_for
from vmgen_build.host.tls import Trust
from vmgen_build.secret import Secret

VCENTER = Address("vcenter", user="ops")


@pytest.fixture(autouse=True)
def _nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setitem(sys.modules, "keyring", None)
    for name in (USER, PASSWORD):
        monkeypatch.delenv(name, raising=False)


def hosts(folder: Path, text: str) -> None:
    file = folder / "vmgen-build/hosts.ini"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


def keyring(monkeypatch: pytest.MonkeyPatch, **passwords: str) -> list[str]:
    """A fake of the package keyring: get_password(service, username) gives a password or None, as its README says."""
    asked: list[str] = []

    def get_password(service: str, username: str) -> str | None:
        asked.append(f"{service} {username}")
        if username == "locked":
            raise RuntimeError("canary")
        return passwords.get(username)

    module = ModuleType("keyring")
    module.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)
    return asked


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts(tmp_path, "[vcenter]\nuser = ops\npassword = of-the-file\n")
    monkeypatch.setenv(PASSWORD, "canary")
    monkeypatch.setenv(USER, "other")
    login = login_for(VCENTER, Trust())
    assert (login.user, login.password, login.source) == ("ops", Secret("canary"), f"${PASSWORD}")
    assert PASSWORD not in os.environ and "canary" not in repr(login)
    assert login_for(Address("vcenter"), Trust()).user == "other"


def test_the_hosts_file_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts(tmp_path, f"[vcenter]\nuser = ops\npassword = p\nthumbprint = {'ab' * 32}\n")
    keyring(monkeypatch, ops="of the keyring", root="r")
    login = login_for(Address("vcenter"), Trust())
    assert (login.user, login.password) == ("ops", Secret("p")) and login.source.endswith("vmgen-build/hosts.ini")
    assert login.trust == Trust(thumbprint=":".join(["AB"] * 32))
    assert login_for(VCENTER, Trust(insecure=True)).trust == Trust(insecure=True)
    assert login_for(Address("vcenter", user="root"), Trust()).password == Secret("r"), "its password is another user's"


def test_the_keyring_comes_then(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = keyring(monkeypatch, ops="k")
    assert login_for(VCENTER, Trust()).password == Secret("k")
    assert asked == ["vmgen-build:vcenter ops"]
    with pytest.raises(HostError, match="it holds none"):
        login_for(Address("vcenter", user="root"), Trust())
    with pytest.raises(HostError, match="it cannot be read, RuntimeError") as caught:
        login_for(Address("vcenter", user="locked"), Trust())
    assert "canary" not in str(caught.value)


def test_all_ways_are_named() -> None:
    with pytest.raises(HostError) as caught:
        login_for(VCENTER, Trust())
    for way in (PASSWORD, "hosts.ini", "pip install keyring", "keyring set vmgen-build:vcenter ops", "a terminal"):
        assert way in str(caught.value)
    with pytest.raises(HostError, match=r"vsphere://USER@vcenter, set \$VMGEN_VSPHERE_USER, or add 'user = USER'"):
        login_for(Address("vcenter"), Trust())


def test_a_terminal_is_asked(tmp_path: Path) -> None:
    """A real one, as getpass asks it: what is typed is not shown again."""
    code = (
        "from vmgen_build.guests.vsphere.credentials import *\n"
        "login = login_for(Address('vcenter'), Trust())\n"
        "print('user', login.user, 'right', login.password == Secret('canary'), login.source)"
    )
    near, far = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in (USER, PASSWORD)}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=env | {"XDG_CONFIG_HOME": str(tmp_path)},
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
    ):
        os.close(far)
        seen = b""
        for prompt, typed in ((b"User on vcenter: ", b"ops\n"), (b"Password of ops on vcenter: ", b"canary\n")):
            while prompt not in seen:
                seen += os.read(near, 1024)
            os.write(near, typed)
        while b"typed" not in seen:
            seen += os.read(near, 1024)
    os.close(near)
    assert b"user ops right True what was typed" in seen and b"canary" not in seen
