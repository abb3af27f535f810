"""Packing of virtual machines that ends early, by fault or by force: nothing half under a final name, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Event = dict[str, Any]

VM = Path(__file__).parent / "recipes" / "vm.ini"
MIB = 1 << 20


@pytest.fixture(scope="module")
def packed(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole build: from then on all but the packing is cached."""
    out = tmp_path_factory.mktemp("packed")
    done = vmgen(VM, "-b", "vmware", "-o", out)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def start(cache: Path, out: Path, *, listen: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vmgen_build", str(VM), "-b", "vmware", "-o", str(out), "--json"],
        stdout=subprocess.PIPE if listen else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"VMGEN_CACHE": str(cache)},
    )


def until(process: subprocess.Popen[str], reached: Callable[[Event], bool]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and reached(json.loads(line)):
            return
    raise AssertionError("the build was over before its moment had come")


def in_small_folder(folder: Path, size: str, *words: object) -> subprocess.CompletedProcess[str]:
    """The tool, with a small file system of its own on `folder`, in a mount namespace that ends with it."""
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    tool = [sys.executable, "-m", "vmgen_build", *map(str, words)]
    command = ["unshare", "--mount", "sh", "-c", script, "sh", size, str(folder), *tool]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def shown(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if not path.name.startswith(".")]


def is_packing(event: Event) -> bool:
    return (event["event"], event.get("step")) == ("step-started", "pack")


def writes_disks(event: Event) -> bool:
    return (event["event"], event.get("step")) == ("step-progress", "pack") and int(event["done"]) > 200 * MIB


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGKILL, is_packing), (signal.SIGKILL, writes_disks), (signal.SIGTERM, writes_disks)],
)
def test_an_end_while_the_disks_are_made(
    vmgen: Run, cache: Path, packed: Path, tmp_path: Path, number: int, moment: Callable[[Event], bool]
) -> None:
    process = start(cache, tmp_path / "out")
    until(process, moment)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGTERM else -number), output
    assert list((tmp_path / "out").iterdir()) == []
    assert_nothing_left(cache, tmp_path)
    assert vmgen(VM, "-b", "vmware", "-o", packed).returncode == 0
    assert list((cache / "tmp").iterdir()) == []


def test_kill_9_while_the_ova_is_written(cache: Path, packed: Path, tmp_path: Path) -> None:
    """What is left is hidden, and goes when the same OVA is written again."""
    old = tmp_path / "vmtest.ova"
    old.write_text("an older one")
    process = start(cache, tmp_path, listen=False)
    while process.poll() is None and not list(tmp_path.glob(".vmtest.ova.part-*")):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert shown(tmp_path) == ["vmtest.ova"] and old.read_text() == "an older one"
    assert_nothing_left(cache, tmp_path)


def test_an_output_folder_without_room(cache: Path, packed: Path, tmp_path: Path) -> None:
    done = in_small_folder(tmp_path, "100M", VM, "-b", "vmware", "-o", tmp_path, "--cache", cache)
    assert done.returncode == 1, done.stderr
    assert f"the disk of {tmp_path} is full" in done.stderr and "choose another folder with --output" in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_left(cache, tmp_path)
    assert list((cache / "tmp").iterdir()) == []


def test_a_cache_without_room_for_the_disks(cache: Path, packed: Path, tmp_path: Path) -> None:
    done = in_small_folder(cache / "tmp", "100M", VM, "-b", "vmware", "-o", tmp_path, "--cache", cache)
    assert done.returncode == 1, done.stderr
    assert "is full" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert_nothing_left(cache, tmp_path)


def test_a_layer_whose_files_are_gone(cache: Path, packed: Path, tmp_path: Path) -> None:
    """A folder of the cache that cannot be read as it was written, as after a fault of its disk."""
    steps = json.loads((packed / "vmtest.ova.manifest.json").read_text())["steps"]
    layer = cache / "layers" / next(step["id"][:32] for step in steps if step["name"] == "machine")
    done = in_small_folder(layer / "data/fs", "1M", VM, "-b", "vmware", "-o", tmp_path, "--cache", cache)
    assert done.returncode == 1, done.stderr
    assert "the image has no boot loader: /boot/grub/i386-pc/boot.img" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert_nothing_left(cache, tmp_path)
