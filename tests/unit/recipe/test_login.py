"""[hardware] login, its password and key, and communicator: how a base that is a whole machine is spoken to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

CANARY = "canary-of-the-login"


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.qcow2").write_bytes(b"QFI\xfb")
    return tmp_path


def read(folder: Path, *lines: str, base: str = "base = base.qcow2") -> Recipe:
    path = folder / "lab.ini"
    path.write_text("\n".join(("[hardware]", "vm_id = lab", "os = debian-12", base, *lines, "[config]", "")))
    return load(path)


def wrong(folder: Path, *lines: str, base: str = "base = base.qcow2") -> str:
    with pytest.raises(RecipeError) as error:
        read(folder, *lines, base=base)
    return str(error.value)


@pytest.mark.parametrize("form", ["env", "file"])
def test_a_password_comes_from_elsewhere_and_never_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("BASE_PASSWORD", CANARY)
    (folder / "password").write_text(f"{CANARY}\n")
    given = {"env": "env:BASE_PASSWORD", "file": "file:password"}[form]
    recipe = read(folder, "login = ana", f"login_password = {given}")
    hardware = recipe.hardware
    assert hardware.login_password is not None and hardware.login_password.reveal() == CANARY
    assert hardware.is_started and CANARY not in repr(recipe)


def test_the_keyring_is_asked_by_service_and_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {("builds/lab", "ana"): CANARY}
    fake = SimpleNamespace(get_password=lambda service, user: kept.get((service, user)))
    monkeypatch.setitem(sys.modules, "keyring", fake)
    hardware = read(folder, "login = ana", "login_password = keyring:builds/lab/ana").hardware
    assert hardware.login_password is not None and hardware.login_password.reveal() == CANARY
    assert "no password of 'bob' for 'builds/lab'" in wrong(
        folder, "login = bob", "login_password = keyring:builds/lab/bob"
    )
    assert "keyring:SERVICE/NAME" in wrong(folder, "login = bob", "login_password = keyring:bob")


def test_a_key_is_a_private_one(folder: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    hardware = read(folder, "login = root", "login_key = file:key").hardware
    assert hardware.login_key is not None and hardware.login_key.reveal() == (folder / "key").read_text()
    assert "no private key" in wrong(folder, "login = root", "login_key = file:key.pub")


def test_the_agent_needs_no_login(folder: Path) -> None:
    assert read(folder, "communicator = agent").hardware.is_started
    warnings = read(folder, "communicator = agent", "login = ana").warnings
    assert [str(one) for one in warnings] and "asks for no login" in str(warnings[0])


def test_a_base_alone_is_taken_for_what_it_holds(folder: Path) -> None:
    assert not read(folder).hardware.is_started


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["login = ana"], ":5: [hardware] login: has neither login_password nor login_key"),
        (["login_password = x"], ":5: [hardware] login_password: is of a user, and none is named"),
        (["communicator = ssh"], ":5: [hardware] communicator: needs a user to log in as"),
        (["login = ana", "login_password ="], ":6: [hardware] login_password: the password is empty"),
        (["login = a b", "login_password = x"], ":5: [hardware] login: 'a b' is not the name of a user"),
        (["communicator = telnet"], ":5: [hardware] communicator: 'telnet' is none of ssh, agent, tools"),
    ],
)
def test_what_is_wrong_is_named_at_its_line(folder: Path, lines: list[str], message: str) -> None:
    assert message in wrong(folder, *lines)


def test_a_login_without_a_machine_is_wrong(folder: Path) -> None:
    assert "is of a base that is a whole machine" in wrong(folder, "login = ana", "login_password = x", base="")
    assert "holds a root file system" in wrong(folder, "communicator = agent", base="base = images:debian/12")
