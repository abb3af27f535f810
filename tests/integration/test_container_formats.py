"""Containers in every format, by one build: booted by verify, and taken by the programs that they are for."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.scripted import start

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """\
[hardware]
vm_id = taken
os = debian-12
[config]
hostname = hal
    [[scripts]]
        [[[takes away]]]
            run = '''
                rm -r /usr/share/doc /etc/issue /usr/share/common-licenses
                mkdir /usr/share/doc
                touch '/usr/share/doc/a * [b]' /etc/issue.d-new
                '''
[network]
    [[open_ports]]
        [[[ssh]]]
            port = 22
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = correct horse
"""

FORMATS = ("tar", "lxd", "rootfs", "pct", "wsl", "oci")

PARTS = ("-lxc-", "-lxd-", "-rootfs-", "-pct-", ".wsl", ".oci")
"""What stands in the name of each."""

BESIDE = {"lxd": ["taken-lxd-amd64.yaml"]}
"""What else belongs to an image."""

RUN = ("run", "--rm", "--network=none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
"""The limits of this host may be too low for podman's own, which then fails to set them."""


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
    assert sum(e["event"] == "artifact" for e in events) == len(FORMATS) + len(BESIDE)
    return folder / "out"


def the(out: Path, part: str) -> Path:
    (found,) = (path for path in out.iterdir() if part in path.name and path.suffix not in (".json", ".yaml"))
    return found


def test_each_lies_there_with_its_own_manifest(out: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    for part, name in zip(PARTS, FORMATS, strict=True):
        path = the(out, part)
        manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_text())
        files = [path.name, *BESIDE.get(name, [])]
        assert manifest["packed_as"] == name and [one["name"] for one in manifest["files"]] == files
        assert {*files, f"{path.name}.manifest.json"} <= sums.keys()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_each_boots_and_holds_what_was_asked(vmgen: Run, out: Path) -> None:
    done = vmgen("verify", *(the(out, part) for part in PARTS))
    assert done.returncode == 0 and "6 of 6 artifacts pass" in done.stdout, done.stdout + done.stderr


def test_what_is_there_is_not_packed_again(vmgen: Run, out: Path) -> None:
    """Those that were removed are packed again, to the same bytes, and the one that was not stays."""
    kept = the(out, "-rootfs-")
    before, stays = (out / "SHA256SUMS").read_text(), kept.stat().st_ctime_ns
    for part in PARTS:
        if part != "-rootfs-":
            the(out, part).unlink()
    events = built(vmgen, out.parent)
    unchanged = {Path(e["path"]).name: e["unchanged"] for e in events if e["event"] == "artifact"}
    names = [*(the(out, part).name for part in PARTS), *BESIDE["lxd"]]
    assert unchanged == {name: name == kept.name for name in names}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    after = (out / "SHA256SUMS").read_text()
    assert [line for line in after.splitlines() if ".manifest" not in line] == [
        line for line in before.splitlines() if ".manifest" not in line
    ]
    assert kept.stat().st_ctime_ns == stays


def test_an_interrupt_amid_the_packing_leaves_no_file_without_a_manifest(
    cache: Path, out: Path, tmp_path: Path
) -> None:
    words = [word for name in ("rootfs", "tar", "oci") for word in ("--format", name)]
    process = start(cache, out.parent / "r.ini", "-o", tmp_path / "out", *words)
    while not list((tmp_path / "out").glob("taken-rootfs-*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert list((tmp_path / "out").iterdir()) == []
    assert_nothing_left(cache, tmp_path)


NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "-D")


def tiny_root(folder: Path) -> Path:
    """A root with this host's true(1) and nothing of ours."""
    listed = subprocess.run(["ldd", "/bin/true"], capture_output=True, text=True, check=True).stdout
    for name in ("/bin/true", *re.findall(r"(/\S+) \(0x", listed)):
        goal = folder / name.lstrip("/")
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, goal)
    for name in ("usr", "etc", "proc", "sys", "dev", "run", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "etc/os-release").touch()
    return folder


def test_nspawn_runs_the_plain_root(out: Path, tmp_path: Path) -> None:
    tried = subprocess.run([*NSPAWN, tiny_root(tmp_path / "tiny"), "/bin/true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"systemd-nspawn runs nothing on this host: {tried.stderr[-200:]}")
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--numeric-owner", "-C", root, "-xf", the(out, "-rootfs-")], check=True)
    assert subprocess.run([*NSPAWN, root, "id", "-un", "1000"], capture_output=True, text=True).stdout == "ana\n"


def why_not(podman: list[str], tiny: Path) -> str:
    """Why podman does not run a root that is nearly empty here, or ""."""
    for words in (["import", "--quiet", tiny, "tiny"], [*RUN, "tiny", "/bin/true"]):
        tried = subprocess.run([*podman, *words], capture_output=True, text=True)
        if tried.returncode != 0:
            return tried.stderr[-200:]
    return ""


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """podman takes no path of more than 50 characters for what runs."""
    with tempfile.TemporaryDirectory(prefix="pod", dir="/tmp") as folder:
        tiny = Path(folder) / "tiny.tar"
        subprocess.run(["tar", "-C", tiny_root(Path(folder) / "tiny"), "-cf", tiny, "."], check=True)
        for driver in ("overlay", "vfs"):
            words = ["podman", "--runtime=runc", f"--root={folder}/{driver}", f"--runroot={folder}/run"]
            words += [f"--storage-driver={driver}", "--events-backend=file", "--cgroup-manager=cgroupfs"]
            if not (wrong := why_not(words, tiny)):
                break
        else:
            pytest.skip(f"podman runs nothing on this host: {wrong}")
        yield words
        subprocess.run([*words, "rmi", "--all", "--force"], check=True, capture_output=True)


def test_podman_imports_the_plain_root_and_runs_it(out: Path, podman: list[str]) -> None:
    taken = subprocess.run(
        [*podman, "import", "--quiet", the(out, "-rootfs-"), "taken"], capture_output=True, text=True
    )
    assert taken.returncode == 0, taken.stderr
    run = [*podman, *RUN, "taken", "id", "-un", "1000"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout == "ana\n", done.stderr


def test_podman_loads_the_layers_and_runs_the_image(out: Path, podman: list[str]) -> None:
    loaded = subprocess.run([*podman, "load", "--quiet", "-i", the(out, ".oci")], capture_output=True, text=True)
    assert "localhost/taken:latest" in loaded.stdout, loaded.stderr
    script = "id -un 1000; test ! -e /etc/issue; ls /usr/share/doc"
    run = [*podman, *RUN, "localhost/taken", "sh", "-euc", script]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout == "ana\na * [b]\n", done.stderr


def listed(root: Path) -> str:
    """Each entry with its mode, owner, kind, size and goal."""
    words = ["find", ".", "-mindepth", "1", "-printf", "%p %m %U:%G %y %l %s\\n"]
    lines = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(sorted(line if " d " not in line else line.rpartition(" ")[0] for line in lines))


def test_the_layers_make_the_very_root(out: Path, tmp_path: Path) -> None:
    """skopeo checks each digest, and umoci lays the layers over each other."""
    (tmp_path / "tar").mkdir()
    subprocess.run(["tar", "--numeric-owner", "-C", tmp_path / "tar", "-xf", the(out, "-lxc-")], check=True)
    image = tmp_path / "layout"
    copy = ["skopeo", "copy", "--quiet", f"oci-archive:{the(out, '.oci')}", f"oci:{image}:taken"]
    subprocess.run(copy, check=True, capture_output=True)
    umoci = ["umoci", "unpack", "--image", f"{image}:taken", tmp_path / "bundle"]
    subprocess.run(umoci, check=True, capture_output=True)
    assert listed(tmp_path / "bundle/rootfs") == listed(tmp_path / "tar/rootfs")
    shown = json.loads(
        subprocess.run(["skopeo", "inspect", "--config", f"oci:{image}:taken"], capture_output=True).stdout
    )
    assert shown["config"]["ExposedPorts"] == {"22/tcp": {}} and shown["config"]["Cmd"] == ["/sbin/init"]
    assert len(shown["rootfs"]["diff_ids"]) == len(shown["history"]) > 3


def test_layers_that_did_not_change_are_the_same_blobs(vmgen: Run, out: Path, tmp_path: Path) -> None:
    """What a registry has already is not sent again: another host name is one new layer, and those behind it."""
    words = ["-o", tmp_path, "--format", "oci", "--set", "config.hostname=other"]
    assert vmgen(out.parent / "r.ini", *words).returncode == 0
    first, second = (layers(path) for path in (the(out, ".oci"), the(tmp_path, ".oci")))
    assert first[0] == second[0] and len(set(first) & set(second)) >= 2 and first != second


def layers(archive: Path) -> list[str]:
    shown = subprocess.run(["skopeo", "inspect", f"oci-archive:{archive}"], capture_output=True, check=True).stdout
    found: list[str] = json.loads(shown)["Layers"]
    return found


def test_a_distribution_for_wsl_is_as_windows_wants_it(out: Path, tmp_path: Path) -> None:
    """gzip alone, its top the root; both files are INI, and name the account."""
    wsl = the(out, ".wsl")
    subprocess.run(["gzip", "--test", "--suffix=.wsl", wsl], check=True)
    subprocess.run(["tar", "-C", tmp_path, "-xzf", wsl, "etc/wsl.conf", "etc/wsl-distribution.conf"], check=True)
    assert "default=ana\n" in (tmp_path / "etc/wsl.conf").read_text()
    assert "defaultName = taken\n" in (tmp_path / "etc/wsl-distribution.conf").read_text()
