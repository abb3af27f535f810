"""What make says on a host that has no apt-get."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.conftest import TURNS

ROOT = Path(__file__).resolve().parents[2]


def made(target: str, folder: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """make TARGET, on a host that has these programs only."""
    text = (ROOT / "Makefile").read_text().replace(":/usr/sbin:/sbin", "").replace("/usr/share/keyrings", str(folder))
    (folder / "Makefile").write_text(text)
    for name in ("cut", *programs):
        (folder / name).symlink_to(shutil.which("cut") or "")
    make = shutil.which("make") or "make"
    return subprocess.run([make, target], cwd=folder, env={"PATH": str(folder)}, capture_output=True, text=True)


def test_a_host_without_apt_gets_a_list_of_what_it_lacks(tmp_path: Path) -> None:
    done = made("host-packages", tmp_path, "python3", "tar", "zstd")
    assert done.returncode != 0
    assert "This host has no apt-get" in done.stderr and "command not found" not in done.stderr
    rows = {tuple(re.split(" {2,}", line.strip())) for line in done.stderr.splitlines() if line.startswith("  ")}
    assert ("program or file", "Debian's package", "why") in rows
    assert ("ip", "iproute2", "makes the network that an image is verified in") in rows
    lacking = {row[0] for row in rows}
    assert {"mmdebstrap", "lxc-start", f"{tmp_path}/debian-archive-keyring.gpg"} <= lacking
    assert not {"python3", "tar", "zstd", "-"} & lacking


def test_a_host_without_apt_that_has_all_goes_on(tmp_path: Path) -> None:
    (tmp_path / "debian-archive-keyring.gpg").touch()
    programs = ("python3", "gpgv", "mmdebstrap", "lxc-start", "tar", "gzip", "zstd", "xz", "dnsmasq", "ip")
    done = made("host-packages", tmp_path, *programs)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tests_packages_are_named(tmp_path: Path) -> None:
    done = made("test-packages", tmp_path)
    assert done.returncode == 0
    assert "no apt-get" in done.stderr and " shellcheck " in done.stderr


def test_install_puts_what_uninstall_removes(tmp_path: Path) -> None:
    """In a checkout that is set up already, by a program that stands for its environment's Python."""
    checkout, goal = tmp_path / "checkout", tmp_path / "goal"
    (checkout / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "vmgen_build", checkout / "vmgen_build", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    (checkout / ".venv/.installed").touch()
    make = ["make", "-C", str(checkout), "--old-file=host-packages", f"DESTDIR={goal}", "PREFIX=/usr"]
    site = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for target in ("install", "uninstall"):
        done = subprocess.run([*make, target], capture_output=True, text=True, env=os.environ | site)
        assert done.returncode == 0, done.stdout + done.stderr
        put = {
            str(path.relative_to(goal / "usr")) for path in goal.rglob("*") if not path.is_dir() or path.is_symlink()
        }
        if target == "install":
            assert {"bin/vmgen-build", "share/man/man1/vmgen-build.1", "share/zsh/site-functions/_vmgen-build"} <= put
            assert {"share/bash-completion/completions/vmgen-build"} <= put
            assert {"share/fish/vendor_completions.d/vmgen-build.fish"} <= put
            link = goal / "usr/bin/vmgen-build"
            assert link.readlink() == checkout / ".venv/bin/vmgen-build"
        else:
            assert put == set()


def test_each_slow_module_has_one_turn() -> None:
    there = Counter(path.name for path in (ROOT / "tests/integration").rglob("test_*.py"))
    named = [name for names in TURNS for name in names]
    assert {name: there[name] for name in named} == dict.fromkeys(named, 1) and len(set(named)) == len(named)
