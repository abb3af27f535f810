"""Issue 9, points 1 and 2: how a build's container is removed from a node, in whatever state it is, and what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_node import small
from tests.node.node import Node
from vmgen_build.guests.node.clearing import FUNCTIONS
from vmgen_build.guests.node.vzctl import VzDriver

RECORDS = Path("/var/lib/vmgen-build/builds")
TAG = "1-0123abcd"

REAP = f"""
from vmgen_build.guests.node.guardian import reap
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.runners import LocalRunner
reap(VzDriver(LocalRunner(), "look"), {TAG!r})
"""
FREE = """
import sys
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.runners import LocalRunner
print(VzDriver(LocalRunner(), "look").free_id(sys.argv[1], []))
"""


@pytest.fixture()
def record(node: Node) -> Iterator[Path]:
    """Of a build that is dead, with its guardian."""
    small(node)
    node.begin()
    RECORDS.mkdir(parents=True, exist_ok=True)
    path = RECORDS / TAG
    yield path
    path.unlink(missing_ok=True)
    node.clear()


def reaped(node: Node, record: Path, *ctids: int) -> subprocess.CompletedProcess[str]:
    record.write_text(f"cache {node.folder}/vz/template/cache\n" + "".join(f"own {ctid}\n" for ctid in ctids))
    return subprocess.run(node.inside([sys.executable, "-c", REAP]), capture_output=True, text=True)


def root_of(node: Node, ctid: int) -> str:
    return f"{node.folder}/vz/root/{ctid}"


def test_half_made_ones_and_half_templates(node: Node, record: Path) -> None:
    """With the name's link alone; as the sample alone; with a private area that is a lock, beside what was unpacked."""
    for ctid in (4111, 4112):
        (node.conf / f"{ctid}.conf").write_bytes((node.conf / "ve-vswap-256m.conf-sample").read_bytes())
    (node.seen / f"etc/vz/names/vmgen-{TAG}").symlink_to("/etc/vz/conf/4111.conf")
    (node.private / "4111").mkdir()
    (node.private / "4111.tmp/usr").mkdir(parents=True)
    half = node.cache / f".x.tar.gz.part-{TAG}"
    half.write_text("half")
    done = reaped(node, record, 4111, 4112)
    assert done.returncode == 0, done.stderr
    assert node.left_over() == [] and not record.exists()


def test_the_guardian_knows_where_os_templates_lie(node: Node) -> None:
    """vz.conf holds $VEID, which is set nowhere."""
    script = f"set -u\n{FUNCTIONS}{VzDriver.removal}cache_folder\n"
    printed = subprocess.run(node.inside(["sh", "-c", script]), capture_output=True, text=True)
    assert (printed.stdout, printed.stderr) == (f"{node.folder}/vz/template/cache", "")


def test_those_of_others_stay(node: Node, record: Path) -> None:
    """One without a name, to which the link of a create that failed points; one of another build; one that another
    vzctl is just making; and a private area that somebody unpacked by hand."""
    node.vzctl("create", 4113, "--ostemplate", small(node))
    node.vzctl("create", 4114, "--ostemplate", small(node), "--name", "vmgen-2-0123abcd")
    (node.conf / "4115.conf").write_bytes((node.conf / "ve-vswap-256m.conf-sample").read_bytes())
    link = node.seen / f"etc/vz/names/vmgen-{TAG}"
    link.symlink_to("/etc/vz/conf/4113.conf")
    moved = node.private / "4120/etc"
    moved.mkdir(parents=True)
    lock = node.folder / "vz/lock/4115.lck"
    lock.write_text(f"{os.getpid()}\ncreating\n")
    before = {path.name: path.read_bytes() for path in node.conf.glob("411*")}
    try:
        done = reaped(node, record, 4113, 4114, 4115, 4120)
        assert done.returncode == 0, done.stderr
        assert {path.name: path.read_bytes() for path in node.conf.glob("411*")} == before
        assert not record.exists() and not link.is_symlink() and moved.exists()
    finally:
        lock.unlink()
        (node.conf / "4115.conf").unlink()
        moved.rmdir()
        moved.parent.rmdir()
        for ctid in (4113, 4114):
            node.vzctl("destroy", ctid)
            (node.conf / f"{ctid}.conf.destroyed").unlink()


def test_a_root_in_use_is_unmounted_all_the_same_and_nothing_is_removed_through_it(node: Node, record: Path) -> None:
    node.vzctl("create", 4116, "--ostemplate", small(node), "--name", f"vmgen-{TAG}")
    node.vzctl("mount", 4116)
    user = node.inside(["sh", "-c", f"cd {root_of(node, 4116)} && exec sleep 300"])
    with subprocess.Popen(user) as process:
        try:
            while "sleep" not in Path(f"/proc/{process.pid}/cmdline").read_text():
                pass
            done = reaped(node, record, 4116)
            assert done.returncode == 0, done.stderr
            assert process.poll() is None
        finally:
            process.kill()
    assert node.left_over() == [] and not record.exists()


def test_what_cannot_be_removed_is_named_with_its_commands_and_stays_in_the_record(node: Node, record: Path) -> None:
    node.vzctl("create", 4117, "--ostemplate", small(node), "--name", f"vmgen-{TAG}")
    node.fault("stop-fails")
    done = reaped(node, record, 4117)
    assert done.returncode == 1
    assert "container 4117: vzctl cannot destroy it: Unable to stop container: operation timed out" in done.stderr
    assert "remove it by: vzctl stop 4117 --fast; vzctl umount 4117; vzctl destroy 4117" in done.stderr
    assert "own 4117" in record.read_text() and 4117 in node.containers()
    node.clear()
    assert reaped(node, record, 4117).returncode == 0
    assert node.left_over() == []


def test_a_number_with_a_stale_mount_or_a_lock_is_not_free(node: Node) -> None:
    root, lock = node.stale_mount(4118), node.folder / "vz/lock/4119.lck"
    lock.write_text(f"{os.getpid()}\ncreating\n")
    try:
        found = [
            subprocess.run(
                node.inside([sys.executable, "-c", FREE, ctid]), capture_output=True, text=True
            ).stdout.strip()
            for ctid in ("4118", "4119", "4120")
        ]
        assert found == ["9001", "9001", "4120"]
    finally:
        lock.unlink()
        subprocess.run(node.inside(["sh", "-c", f"umount {root} && rmdir {root}"]), check=True)
