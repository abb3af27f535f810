"""The commands of INSTALL, run as they stand there on the stand-in of a node; their result is what the recipe says."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.node.node import Node

FULL = Path(__file__).parent / "recipes/openvz.ini"


def command(cache: Path, recipe: Path, out: Path, *words: object) -> list[str]:
    return [sys.executable, "-m", "vmgen_build", *map(str, (recipe, "-o", out, "--cache", cache, *words))]


def test_the_image_of_the_local_way_is_created_on_a_node_and_every_setting_holds(
    cache: Path, node: Node, tmp_path: Path
) -> None:
    line = command(cache, FULL, tmp_path, "-b", "openvz")
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-4000:]
    manifest = json.loads((tmp_path / "4101-openvz-amd64.tar.manifest.json").read_text())
    created_and_probed(node, tmp_path / "4101-openvz-amd64.tar", manifest)


def test_install_on_a_kernel_without_vswap_sets_what_the_recipe_says(cache: Path, node: Node, tmp_path: Path) -> None:
    line = command(cache, FULL, tmp_path, "-b", "openvz", "--set", "hardware.hdds.hdd0.size=3G")
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-4000:]
    node.fault("old-kernel")
    with installed(node, tmp_path / "4101-openvz-amd64.tar", old=True) as folder:
        found, own = conf_of((node.conf / "4101.conf").read_text()), conf_of((folder / "4101.conf").read_text())
        pages = sum(int(own.get(key, "0:0").split(":")[1]) for key in ("PHYSPAGES", "SWAPPAGES"))
        assert found["PRIVVMPAGES"] == f"{pages}:{pages}"
        assert found["DISKSPACE"] == own["DISKSPACE"] == f"{3 << 20}:{3 << 20}"
        same = ("DISKINODES", "CPUS", "HOSTNAME", "IP_ADDRESS", "NETIF", "ONBOOT", "OSTEMPLATE")
        assert {key: found.get(key) for key in same} == {key: own.get(key) for key in same}
        assert node.vzctl("exec2", "4101", "hostname").stdout == "ct-4101\n"


def test_the_tool_installs_it_by_vzctl_alone(cache: Path, node: Node, tmp_path: Path) -> None:
    """All that its configuration says, but for the disk's places and the ends of its devices on the host. What fails
    leaves nothing; a second container of the same image takes the same OS template."""
    line = command(cache, FULL, tmp_path, "-b", "openvz")
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-4000:]
    bundle = tmp_path / "4101-openvz-amd64.tar"
    words = [sys.executable, "-m", "vmgen_build", "install", str(bundle), "--to", "openvz"]

    def install(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(node.inside([*words, *more]), capture_output=True, text=True, stdin=subprocess.DEVNULL)

    before = node.left_over()
    node.fault("no-space")
    failed = install()
    node.clear()
    assert failed.returncode == 1 and "vzctl fails" in failed.stderr, failed.stderr
    assert node.left_over() == before
    try:
        with tarfile.open(bundle) as tar:
            member = tar.extractfile("4101.conf")
            assert member is not None
            own = conf_of(member.read().decode())
        done = install("--start")
        assert (done.returncode, done.stdout) == (0, "installed; now: vzctl enter 4101\n"), done.stderr
        found = conf_of((node.conf / "4101.conf").read_text())
        same = ("PHYSPAGES", "SWAPPAGES", "DISKSPACE", "CPUS", "HOSTNAME", "IP_ADDRESS", "NAMESERVER", "OSTEMPLATE")
        assert {key: found.get(key) for key in same} == {key: own.get(key) for key in same}
        assert node.vzctl("exec2", "4101", "hostname").stdout == "ct-4101\n"
        again = install()
        assert again.returncode == 2 and "there is a container '4101' already" in again.stderr
        assert install("--name", "other").returncode == 0
        assert "other" in node.vzlist("-a", "-H", "-o", "name").stdout
    finally:
        for number in ("4101", "101"):
            node.vzctl("stop", number, "--fast")
            node.vzctl("destroy", number)
        for path in (*node.cache.glob("*-4101.tar.gz"), *node.conf.glob("*.conf.destroyed")):
            path.unlink(missing_ok=True)


def created_and_probed(node: Node, bundle: Path, manifest: dict[str, Any]) -> None:
    """By INSTALL's own commands, as they stand there; then the configuration is the recipe's, and the probes hold."""
    with installed(node, bundle) as folder:
        own = conf_of((folder / "4101.conf").read_text())
        own.pop("VE_ROOT")
        own.pop("VE_PRIVATE")
        assert conf_of((node.conf / "4101.conf").read_text()) == own
        probes = [p for p in manifest["probes"] if p["kind"] == "guest" and not about_veth(p)]
        assert len(probes) > 15
        failing = [(p["setting"], message) for p in probes if (message := asked(node, p))]
        assert failing == []


@contextmanager
def installed(node: Node, bundle: Path, *, old: bool = False) -> Iterator[Path]:
    """Run INSTALL's commands for OpenVZ 6, and those of a kernel without VSwap where it is one. The bundle's folder."""
    folder = bundle.parent / "unpacked"
    with tarfile.open(bundle) as tar:
        tar.extractall(folder)
    script = "\n".join(["set -e", f"cd {folder}", "CTID=4101", *commands_of((folder / "INSTALL").read_text(), old=old)])
    try:
        done = subprocess.run(node.inside(["sh", "-c", script]), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        node.vzctl("stop", "4101", "--fast")
        node.vzctl("destroy", "4101")
        for path in (
            *node.cache.glob("*-4101.tar.gz"),
            node.conf / "4101.conf.destroyed",
            *node.conf.glob("4101.mount*"),
        ):
            path.unlink(missing_ok=True)


def commands_of(install: str, *, old: bool) -> list[str]:
    """The lines of its section for OpenVZ 6."""
    section = install.partition("OpenVZ 6 (vzctl 4)")[2].partition("The kernel of OpenVZ 6")[0]
    usual, _, rest = section.partition("On a kernel without VSwap")
    extra, _, last = rest.partition("On all of them")
    return [line for part in (usual, extra if old else "", last) for line in part.splitlines() if line.startswith("  ")]


def conf_of(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def about_veth(probe: dict[str, Any]) -> bool:
    """The stand-in's node has no bridges, and no DHCP server behind them."""
    return any(word in probe["setting"] for word in ("eth1", "eth2", "gateway", "default route"))


def asked(node: Node, probe: dict[str, Any]) -> str:
    """ "" where it holds, or where the host cannot tell."""
    end = time.monotonic() + max(probe["retry"], 20.0)
    while True:
        done = node.vzctl("--quiet", "exec2", "4101", "-", data=probe["script"])
        if done.returncode in (0, 77):
            return ""
        if time.monotonic() > end:
            return done.stdout + done.stderr
        time.sleep(0.5)
