"""Options of Windows guests: read, refused at their line where they mean nothing, and no product key ever shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.planner import refuse_unbuildable
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

KEY = "CANAR-12345-YCANA-67890-RYCAN"
SUM = "0123456789abcdef" * 4
STARTED = "base = vm:golden\nlogin = Administrator"


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    for name, kind in (("win.iso", b"CD001"), ("virtio-win.iso", b"BEA01"), ("other.iso", b"xxxxx")):
        (tmp_path / name).write_bytes(bytes(16 * 2048 + 1) + kind + bytes(2042))
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n")
    for name in ("tools.exe", "key.asc"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def read(folder: Path, hardware: str = "", config: str = "", system: str = "win10") -> Recipe:
    """hardware: lines from the fourth on; config: from the one behind the head that follows these."""
    path = folder / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = {system}\n{hardware}\n[config]\n{config}\n")
    return load(path)


def wrong(folder: Path, hardware: str = "", config: str = "", system: str = "win10") -> list[tuple[int, str, str]]:
    with pytest.raises(RecipeError) as caught:
        read(folder, hardware, config, system)
    return [(problem.where.line, problem.path, problem.text) for problem in caught.value.problems]


def test_a_medium_and_what_goes_with_it(folder: Path) -> None:
    lines = f"base = iso:win.iso\nbase_sha256 = {SUM}\nedition = Windows 10 Pro\ndrivers = virtio-win.iso"
    hardware = read(folder, f"{lines}\ntools = tools.exe\ncommunicator = agent").hardware
    assert hardware.base is not None and hardware.is_installed and not hardware.is_started
    assert (hardware.base.kind, hardware.base.name) == ("iso", str(folder / "win.iso"))
    assert str(hardware.base) == f"iso:{folder / 'win.iso'}"
    assert hardware.edition == "Windows 10 Pro"
    assert (hardware.drivers, hardware.tools) == (folder / "virtio-win.iso", folder / "tools.exe")


def test_settings_of_windows_and_what_they_are_by_default(folder: Path) -> None:
    config = read(folder, config="updates = NOW\nremote_desktop = yes\ngeneralise = no").config
    assert (config.updates, config.remote_desktop, config.generalise) == ("now", True, False)
    config = read(folder).config
    assert (config.updates, config.remote_desktop, config.generalise) == ("on", False, True)
    assert config.product_key is None


@pytest.mark.parametrize("form", ["env", "file", "here"])
def test_a_product_key_comes_from_elsewhere_and_never_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("WINDOWS_KEY", KEY.lower())
    (folder / "key").write_text(f"{KEY}\n")
    given = {"env": "env:WINDOWS_KEY", "file": "file:key", "here": KEY}[form]
    recipe = read(folder, config=f"product_key = {given}")
    assert recipe.config.product_key is not None and recipe.config.product_key.reveal() == KEY
    assert "CANAR" not in repr(recipe)
    other = read(folder, config="product_key = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
    assert recipe.digest == other.digest, "no digest is made of it"


@pytest.mark.parametrize("text", ["CANARY", f"{KEY}-ABCDE", "CANAR 12345 YCANA 67890 RYCAN"])
def test_a_wrong_product_key_is_not_repeated(folder: Path, text: str) -> None:
    ((line, path, message),) = wrong(folder, config=f"product_key = {text}")
    assert (line, path) == (6, "[config] product_key")
    assert "five groups" in message and "CANAR" not in message


@pytest.mark.parametrize("system", ["winxppro", "winsrv2003"])
def test_what_comes_before_vista_has_no_editions_on_its_medium(folder: Path, system: str) -> None:
    ((line, option, message),) = wrong(folder, "base = iso:win.iso\nedition = 2", system=system)
    assert (line, option) == (5, "[hardware] edition") and "one edition" in message and "take this line out" in message


@pytest.mark.parametrize(
    ("lines", "line", "option", "text"),
    [
        ("base = iso:", 4, "base", "names no file"),
        ("base = iso:nowhere.iso", 4, "base", "there is no file"),
        ("base = iso:other.iso", 4, "base", "is no ISO image"),
        ("base = iso:tools.exe", 4, "base", "is no ISO image"),
        ("base = iso:.", 4, "base", "is a folder"),
        ("base = iso:win.iso\nbase_key = key.asc", 5, "base_key", "the base is a file of this host"),
        ("base = iso:win.iso\nclone = full", 5, "clone", "write base = vm:NAME"),
        ("base = iso:win.iso\nlogin = ana\nlogin_password = x", 5, "login", "root_passwd lets builds in"),
        ("base = iso:win.iso\ncommunicator = ssh\nlogin = ana", 6, "login", "root_passwd lets builds in"),
        ("base = iso:win.iso\ndrivers = other.iso", 5, "drivers", "is no ISO image"),
        ("base = iso:win.iso\ntools = nothing.exe", 5, "tools", "there is no file"),
        ("edition = 2", 4, "edition", "write base = iso:FILE"),
        ("drivers = virtio-win.iso", 4, "drivers", "write base = iso:FILE"),
        ("tools = tools.exe", 4, "tools", "write base = iso:FILE"),
        ("base = images:debian/12", 4, "base", "a root file system of Linux; write base = iso:FILE"),
        ("base = template:debian-12-x86_64", 4, "base", "a root file system of Linux; write base = iso:FILE"),
        (f"{STARTED}\nlogin_password = x\ncommunicator = ssh", 7, "communicator", "VMware Tools run its steps"),
        (f"{STARTED}\nlogin_key = file:id", 6, "login_key", "take no key; write login_password"),
    ],
)
def test_a_mistake_is_named_at_its_line(folder: Path, lines: str, line: int, option: str, text: str) -> None:
    ((where, path, message),) = wrong(folder, lines)
    assert (where, path, text in message) == (line, f"[hardware] {option}", True), message


@pytest.mark.parametrize(
    ("lines", "line", "option", "text"),
    [
        ("", 3, "os", "Windows 10 is not made here: name its medium, which --host qemu: runs its Setup from"),
    ],
)
def test_what_no_build_begins_with(folder: Path, lines: str, line: int, option: str, text: str) -> None:
    recipe = read(folder, lines)
    with pytest.raises(RecipeError) as caught:
        refuse_unbuildable(recipe)
    ((where, path, message),) = [(one.where.line, one.path, one.text) for one in caught.value.problems]
    assert (where, path, text in message) == (line, f"[hardware] {option}", True), message


def test_a_medium_is_built_from(folder: Path) -> None:
    refuse_unbuildable(read(folder, "base = iso:win.iso"))


@pytest.mark.parametrize("lines", [f"{STARTED}\nlogin_password = x", "base = disk.vmdk"])
def test_a_machine_that_has_it_is_built_from(folder: Path, lines: str) -> None:
    """Of a disk image it depends on the place whether a login is asked for."""
    (folder / "disk.vmdk").write_bytes(b"KDMV")
    recipe = read(folder, lines)
    refuse_unbuildable(recipe)
    assert not [problem for problem in recipe.warnings if problem.code == "not-built"]


def test_linux_is_not_installed_from_a_medium(folder: Path) -> None:
    ((line, path, text),) = wrong(folder, "base = iso:win.iso", system="debian-12")
    assert (line, path) == (4, "[hardware] base")
    assert "iso: is for Windows" in text and "it is made of packages" in text


def test_options_of_windows_are_warned_about_elsewhere(folder: Path) -> None:
    config = f"product_key = {KEY}\nupdates = off\nremote_desktop = yes\npower = high\ngeneralise = yes"
    recipe = read(folder, "edition = 2\ntools = tools.exe", config, "debian-12")
    found = [(warning.where.line, warning.path) for warning in recipe.warnings if "of Windows alone" in warning.text]
    assert found == [
        (4, "[hardware] edition"),
        (5, "[hardware] tools"),
        (7, "[config] product_key"),
        (8, "[config] updates"),
        (9, "[config] remote_desktop"),
        (10, "[config] power"),
        (11, "[config] generalise"),
    ]
    assert all("does nothing in debian-12" in w.text for w in recipe.warnings if "of Windows alone" in w.text)
    assert not any("of Windows alone" in warning.text for warning in read(folder, "", config).warnings)
