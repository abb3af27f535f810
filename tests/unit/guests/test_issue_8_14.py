"""Issue 8, item 14: nothing secret in a program's arguments, and no path of the cache that is read as anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vmgen_build.bases.apt import bootstrap as apt
from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.supply import COMPLETE, Making, Request
from vmgen_build.cli.main import run
from vmgen_build.errors import HostError
from vmgen_build.guests.lxc.container import Container
from vmgen_build.guests.lxc.words import value, word
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.systems.parse import parse_system
from vmgen_build.text import without_passwords

BASE = Bootstrapped(
    method="mmdebstrap", distribution="debian", suite="bookworm", arch="amd64", packages=("apt",), release="r", epoch=1
)
SOURCES = (AptSource("http://ana:canary-14@mirror.example/debian", "bookworm"),)
OPTIONS = ('Acquire::http::Proxy "http://ana:canary-14@proxy:3128";',)
ODD = "a b'$(touch made) \"`touch made`"


def making(cache: Path, supply: AptSupply) -> Making:
    return Making(cache, cache / "scratch", supply, cache / "indexes", lambda _line: None)


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What mmdebstrap is called with; a stand-in that runs each hook as mmdebstrap(1) does, with the root as $1."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "mmdebstrap"
    lines = (
        'printf "%s\\n" "$@" >"$ARGUMENTS"; env >>"$ARGUMENTS"; cat >"$ARGUMENTS.input"',
        'for word do case $word in *-hook=*) sh -c "${word#*-hook=}" exec "$ROOT" || exit 1;; esac; done',
    )
    program.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    program.chmod(0o755)
    root, cache = tmp_path / "root", tmp_path / ODD
    for folder in ("etc/apt/apt.conf.d", "etc/dpkg/dpkg.cfg.d", "usr/sbin", "var/lib/apt/lists"):
        (root / folder).mkdir(parents=True)
    for path in ("etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "var/lib/apt/lists/index"):
        (root / path).touch()
    for folder in ("scratch", "indexes/lists", "packages/partial"):
        (cache / folder).mkdir(parents=True)
    (cache / "packages/old.deb").write_text("old")
    (root / "var/cache/apt/archives").mkdir(parents=True)
    (root / "var/cache/apt/archives/new.deb").write_text("new")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(apt, "own", lambda _names: {"ARGUMENTS": str(tmp_path / "arguments"), "ROOT": str(root)})
    monkeypatch.setattr(apt, "keep_packages", lambda new, kept, _: shutil.copy(new / "new.deb", kept))
    monkeypatch.chdir(tmp_path)
    supply = AptSupply(Request(parse_system("debian-12-amd64"), None, 1), SOURCES, OPTIONS, b"")
    apt.bootstrap(BASE, making(cache, supply), SOURCES, OPTIONS, cache / "packages")
    return (tmp_path / "arguments").read_text().splitlines()


def test_no_password_is_among_mmdebstraps_arguments(called: list[str], tmp_path: Path) -> None:
    assert "mmdebstrap" not in called and not [line for line in called if "canary-14" in line]
    assert (tmp_path / "arguments.input").read_text() == f"{SOURCES[0].line()}\n"
    (settings,) = [line.removeprefix("--aptopt=") for line in called if line.startswith("--aptopt=")]
    assert OPTIONS[0] in Path(settings).read_text()
    assert Path(settings).stat().st_mode & 0o777 == 0o600


def test_hooks_take_an_odd_cache_as_data(called: list[str], tmp_path: Path) -> None:
    assert called
    assert not list(tmp_path.rglob("made"))
    cache = tmp_path / ODD
    assert (cache / "packages/new.deb").read_text() == "new"
    assert (tmp_path / "root/var/cache/apt/archives/old.deb").read_text() == "old"
    assert (cache / "indexes/lists/index").exists() and (cache / "indexes" / COMPLETE).exists()


def test_a_mount_entry_takes_an_odd_path_as_one_field(tmp_path: Path) -> None:
    folder = tmp_path / "a b'$(x)\\c"
    (folder / "guest").mkdir(parents=True)
    container = Container("tag", folder / "guest", folder / "root", folder / "run", "/run/vmgen", {}, "amd64")
    lines = container._config(False).splitlines()
    (entry,) = [line for line in lines if "rbind" in line]
    fields = entry.partition(" = ")[2].split(" ")
    assert len(fields) == 6
    listed = tmp_path / "fstab"
    listed.write_text(" ".join(fields) + "\n")
    read = subprocess.run(
        ["findmnt", "--noheadings", "--fstab", "--tab-file", listed, "--raw", "--output", "SOURCE"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert read.stdout.strip().replace("\\x20", " ").replace("\\x5c", "\\") == str(folder / "run")


@pytest.mark.parametrize("name", ["a\nlxc.hook.pre-start = x", "a\tb", "end "])
def test_a_path_that_no_line_holds_is_refused(name: str) -> None:
    for make in (value, word):
        with pytest.raises(HostError, match="choose another cache with --cache"):
            make(Path("/srv", name))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read http://ana:pw@host/debian: 404", "cannot read http://***@host/debian: 404"),
        ("https://token@host/x and ftp://u:p@q@host", "https://***@host/x and ftp://***@host"),
        ("ssh://ana@node ssh://ana:pw@node", "ssh://ana@node ssh://ana:***@node"),
        ("mail ana@host, http://host/~a@b", "mail ana@host, http://host/~a@b"),
    ],
)
def test_passwords_of_addresses_are_masked(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


WITHOUT_ROOT = (
    *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"),
    *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
)
"""Another user, who can still read the program, wherever it lies."""


def test_an_error_shows_no_mirrors_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lab.ini"
    path.write_text("[hardware]\nvm_id = lab\nos = debian-12-amd64\n[config]\nmirror = http://ana:canary-14@[x/\n")
    assert run(["check", str(path)]) == 2
    path.write_text("[hardware]\nvm_id = lab\nos = debian-12-amd64\n")
    shown = "".join(capsys.readouterr())
    assert "http://***@" in shown and "canary-14" not in shown


def test_an_error_shows_no_password_that_set_gave() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "lab.ini").write_text("[hardware]\nvm_id = lab\nos = debian-12-amd64\n")
        settings = ("--set", "config.root_passwd=canary-14", "--cache", folder / "c")
        build = [sys.executable, "-m", "vmgen_build", folder / "lab.ini", *settings]
        other = WITHOUT_ROOT if os.geteuid() == 0 else ()
        done = subprocess.run([*other, *build], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs root" in done.stderr and "canary-14" not in done.stdout + done.stderr
