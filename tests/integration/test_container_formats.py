"""Containers in every format, by one build: booted by verify, and taken by the programs that they are for."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = taken
os = debian-12
[config]
hostname = hal
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
"""

FORMATS = ("tar", "rootfs", "pct", "wsl")

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
"""Those of this host may be too low for podman's own, which then fails to set them."""


def built(vmgen: Run, folder: Path, *more: object) -> list[dict[str, Any]]:
    (folder / "r.ini").write_text(RECIPE)
    words = [word for name in FORMATS for word in ("--format", name)]
    done = vmgen(folder / "r.ini", "-o", folder / "out", *words, *more, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def out(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    events = built(vmgen, folder)
    assert sum(e["event"] == "artifact" for e in events) == len(FORMATS)
    return folder / "out"


def the(out: Path, part: str) -> Path:
    (found,) = (path for path in out.iterdir() if part in path.name and not path.name.endswith(".json"))
    return found


def test_each_lies_there_with_its_own_manifest(out: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    for part, name in (("-lxc-", "tar"), ("-rootfs-", "rootfs"), ("-pct-", "pct"), (".wsl", "wsl")):
        path = the(out, part)
        manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_text())
        assert manifest["packed_as"] == name and [one["name"] for one in manifest["files"]] == [path.name]
        assert {path.name, f"{path.name}.manifest.json"} <= sums.keys()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_each_boots_and_holds_what_was_asked(vmgen: Run, out: Path) -> None:
    done = vmgen("verify", *(the(out, part) for part in ("-lxc-", "-rootfs-", "-pct-", ".wsl")))
    assert done.returncode == 0 and "4 of 4 artifacts pass" in done.stdout, done.stdout + done.stderr


def test_what_is_there_is_not_packed_again(vmgen: Run, out: Path) -> None:
    """One that was removed is packed again, to the same bytes, and the others stay."""
    wsl = the(out, ".wsl")
    before, stays = wsl.read_bytes(), the(out, "-rootfs-").stat().st_ctime_ns
    wsl.unlink()
    events = built(vmgen, out.parent)
    unchanged = {Path(e["path"]).name: e["unchanged"] for e in events if e["event"] == "artifact"}
    assert unchanged == {the(out, part).name: part != ".wsl" for part in ("-lxc-", "-rootfs-", "-pct-", ".wsl")}
    assert wsl.read_bytes() == before and the(out, "-rootfs-").stat().st_ctime_ns == stays


def test_nspawn_runs_the_plain_root(out: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--numeric-owner", "-C", root, "-xf", the(out, "-rootfs-")], check=True)
    words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "-D", root, "id", "-un", "1000"]
    assert subprocess.run(words, capture_output=True, text=True).stdout == "ana\n"


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """podman takes no path of more than 50 characters for what runs."""
    with tempfile.TemporaryDirectory(prefix="pod", dir="/tmp") as folder:
        words = ["podman", "--runtime=runc", f"--root={folder}/store", f"--runroot={folder}/run"]
        words += ["--storage-driver=vfs", "--events-backend=file", "--cgroup-manager=cgroupfs"]
        yield words
        subprocess.run([*words, "rmi", "--all", "--force"], check=True, capture_output=True)


def test_podman_imports_the_plain_root_and_runs_it(out: Path, podman: list[str]) -> None:
    taken = subprocess.run(
        [*podman, "import", "--quiet", the(out, "-rootfs-"), "taken"], capture_output=True, text=True
    )
    assert taken.returncode == 0, taken.stderr
    run = [*podman, "run", "--rm", "--network=none", *LIMITS, "taken", "id", "-un", "1000"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout == "ana\n", done.stderr


def test_a_distribution_for_wsl_is_as_windows_wants_it(out: Path, tmp_path: Path) -> None:
    """gzip alone, its top the root; both files are INI, and name the account."""
    wsl = the(out, ".wsl")
    subprocess.run(["gzip", "--test", "--suffix=.wsl", wsl], check=True)
    subprocess.run(["tar", "-C", tmp_path, "-xzf", wsl, "etc/wsl.conf", "etc/wsl-distribution.conf"], check=True)
    assert "default=ana\n" in (tmp_path / "etc/wsl.conf").read_text()
    assert "defaultName = taken\n" in (tmp_path / "etc/wsl-distribution.conf").read_text()
