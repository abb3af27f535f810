"""`verify` of a Windows in QEMU on this host, by its guest agent. The machine is a tiny Linux, and its agent a stand-in
that has the answers (tests/wine/player.py)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.test_windows_machine import DRIVERS, RECIPE, make_disk, written
from tests.integration.tinymachine import kernel_in
from tests.wine import player
from vmgen_build.artifacts.vmdk import write_vmdk
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.questions import recipe_questions
from vmgen_build.plan.windowsprobe import setup_probe
from vmgen_build.recipe.load import load

Run = Callable[..., "subprocess.CompletedProcess[str]"]

INIT = """\
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
mount -t sysfs sysfs /sys
for module in $(cat /modules/order); do insmod /modules/$module || true; done
while [ ! -b /dev/sda1 ] || [ ! -e /dev/vport0p1 ]; do sleep 0.2; done
mount /dev/sda1 /mnt
mount -o bind /dev /mnt/dev
chroot /mnt /usr/bin/python3 -S /player.py /dev/vport0p1 /answers.json
umount /mnt/dev
umount /mnt
echo o >/proc/sysrq-trigger
"""

LEFT_OUT = ("test", "idlelib", "lib2to3", "tkinter", "ensurepip", "distutils", "site-packages", "dist-packages")


@dataclass(frozen=True)
class Image:
    path: Path
    recipe: Path


def put_python(tree: Path) -> None:
    """Debian's python3, with the libraries that it is linked to and its own modules."""
    program = Path("/usr/bin/python3").resolve()
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for name in (str(program), *re.findall(r"(/\S+) \(0x", listed)):
        goal = tree / name.lstrip("/")
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, goal)
    (tree / "usr/bin/python3").symlink_to(program.name)
    modules = Path(f"/usr/lib/{program.name}")
    assert modules.is_dir(), sysconfig.get_path("stdlib")
    ignored = shutil.ignore_patterns("__pycache__", "config-*", *LEFT_OUT)
    shutil.copytree(modules, tree / str(modules).lstrip("/"), ignore=ignored, symlinks=False)
    for folder in ("dev", "lib64"):
        (tree / folder).mkdir(exist_ok=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A disk that answers as one of the recipe's machine would."""
    folder = tmp_path_factory.mktemp("v")
    for name in ("kernel", "disk", "recipe"):
        (folder / name).mkdir()
    recipe = written(folder / "recipe", RECIPE)
    (folder / "raw").write_bytes(bytes(1 << 20))
    write_vmdk(folder / "raw", folder / "recipe/windows.vmdk")
    path = folder / "lab.vmdk"
    path.write_bytes(b"")
    loaded = load(recipe)
    asked = recipe_questions(loaded, BuildOptions(cache=folder / "cache", offline=True), "vmware")(path)
    assert len(asked.probes) > 8 and {probe.kind for probe in asked.probes} == {"batch"}
    answers = {
        "\n".join(line.strip() for line in probe.script.splitlines()): probe.expected.split("\n")
        for probe in (setup_probe(loaded.hardware.os), *asked.probes)
    }

    def content(tree: Path) -> None:
        put_python(tree)
        shutil.copy(player.__file__, tree / "player.py")
        (tree / "answers.json").write_text(json.dumps(answers))

    made = make_disk(folder / "disk", kernel_in(folder / "kernel"), INIT, DRIVERS, content)
    made.replace(path)
    return Image(path, recipe)


def verified(vmgen: Run, image: Image, *words: str) -> subprocess.CompletedProcess[str]:
    return vmgen("verify", image.path, "--recipe", image.recipe, "-b", "vmware", "--json", *words)


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {e["probe"]: (e["outcome"], e["found"]) for e in events if e["event"] == "probe"}


def test_it_holds(vmgen: Run, cache: Path, image: Image) -> None:
    before = image.path.stat().st_mtime_ns
    done = verified(vmgen, image)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    found = outcomes(done)
    assert {outcome for outcome, _ in found.values()} <= {"holds", "skipped"}
    assert {"system", "hostname", "user-ana"} <= {name for name, (outcome, _) in found.items() if outcome == "holds"}
    assert image.path.stat().st_mtime_ns == before
    assert_nothing_left(cache, image.path.parent)


def test_what_differs_is_named(vmgen: Run, image: Image) -> None:
    """A host name that is another, and a question that nobody answers."""
    done = verified(vmgen, image, "--set", "config.hostname=other", "--set", "users.users.ana.name=eva")
    assert done.returncode == 1, done.stderr[-4000:]
    failed = {name: found for name, (outcome, found) in outcomes(done).items() if outcome == "fails"}
    assert "lab-pc, not other" in failed["hostname"].lower()
    assert "user-eva" in failed and "system" not in failed


def test_a_machine_whose_agent_is_silent(vmgen: Run, cache: Path, image: Image) -> None:
    done = verified(vmgen, image, "--timeout", "1")
    assert done.returncode == 1
    assert "its QEMU guest agent does not answer" in done.stderr and "--host vsphere://NAME" in done.stderr
    assert_nothing_left(cache, image.path.parent)


def test_disks_that_windows_would_not_find(vmgen: Run, image: Image) -> None:
    done = verified(vmgen, image, "--set", "hardware.hdds.hdd0.type=scsi")
    assert done.returncode == 1
    assert "Windows does not find its disks hdd0 in QEMU" in done.stderr
