"""What ends on a node before a step was built: refusals of the tool and of vzctl, and a dry run."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.onnode.onnode import QUICK, RECORDS, Build, OsTemplateServer
from tests.node.node import Node


def test_without_an_address_nothing_is_begun(node: Node, over_ssh: Build, aside: Path, tmp_path: Path) -> None:
    """A container that has no venet could not fetch a package."""
    done = over_ssh(QUICK, "--no-cache", "--set", "hardware.eths.eth0.type=veth", "-v")
    assert done.returncode == 2, done.stderr
    assert "[hardware] eth0: step 'packages-openvz' fetches packages" in done.stderr
    assert "add --build-address ADDRESS" in done.stderr and "making the base system" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture()
def bare(node: Node) -> Iterator[str]:
    """The name of an OS template on the node that lacks what vzctl's scripts call in a container."""
    name = "debian-12-x86_64-bare"
    lacking = "./usr/sbin/ifconfig ./usr/sbin/route"
    script = f'gzip -dc "$1.tar.gz" | tar -f - --delete {lacking} | gzip -1 >"$1-bare.tar.gz"'
    subprocess.run(["bash", "-euc", script, "bash", node.cache / "debian-12-x86_64"], check=True)
    node.begin()
    yield name
    (node.cache / f"{name}.tar.gz").unlink()
    node.begin()


def test_an_os_template_without_the_tools_for_its_route_is_named(over_ssh: Build, bare: str) -> None:
    """The node is not blamed for it."""
    done = over_ssh(QUICK, "--ostemplate", bare)
    assert done.returncode == 1
    assert f"the OS template {bare} lacks ifconfig and route" in done.stderr, done.stderr
    assert "the node must forward it" not in done.stderr


def changes_of(folders: list[Path]) -> dict[Path, tuple[int, int]]:
    """Each file and folder, with what a write would change."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in paths}


@pytest.fixture()
def left_by_another(node: Node) -> Iterator[Path]:
    """The record of a build that died, and its container: what the next build reaps."""
    assert node.vzctl("create", "4103", "--ostemplate", "debian-12-x86_64", "--name", "vmgen-dead").returncode == 0
    record = RECORDS / "dead"
    RECORDS.mkdir(parents=True, exist_ok=True)
    record.write_text("own 4103\n")
    yield record
    record.unlink(missing_ok=True)
    node.vzctl("destroy", "4103")
    (node.conf / "4103.conf.destroyed").unlink(missing_ok=True)


def test_a_dry_run_only_looks(
    node: Node, over_ssh: Build, left_by_another: Path, served: str, aside: Path, cache: Path
) -> None:
    """It reaps nothing, downloads nothing and writes nothing, and says what it could not know."""
    folders = [RECORDS, cache / "downloads", *(node.seen / name for name in ("etc/vz", "vz/template", "vz/private"))]
    before = changes_of(folders)
    digest = hashlib.sha256(aside.read_bytes()).hexdigest()
    for words, known in (
        (["--ostemplate-url", served, "--ostemplate", "debian-12-never-seen"], False),
        (["--ostemplate-url", served, "--ostemplate-sha256", digest], True),
        ([], True),
    ):
        done = over_ssh(QUICK, "--dry-run", *words)
        assert done.returncode == 0, done.stderr
        (base,) = (row for row in (" ".join(line.split()) for line in done.stdout.splitlines()) if "openvz base" in row)
        outcomes_allowed = ("to run",) if words else ("to run", "cached")  # a base made here may be an earlier test's
        assert base.startswith(outcomes_allowed), done.stdout
        unknown = "the OS template debian-12-never-seen is not downloaded yet: every step counts as one to run"
        assert (unknown in done.stderr) is not known, done.stderr
    assert OsTemplateServer.requests == []
    assert changes_of(folders) == before
    assert node.containers() == {4103: "stopped"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("template-missing", "ended with 91: the node has no such OS template"),
        ("private-exists", "ended with 44: its private area is there already"),
        ("no-space", "ended with 46: the node's disk is full"),
        ("no-init", "ended with 47: its template has no /sbin/init"),
    ],
)
def test_what_vzctl_refuses_is_explained_and_leaves_nothing(
    node: Node, over_ssh: Build, tmp_path: Path, fault: str, message: str
) -> None:
    node.fault(fault)
    done = over_ssh(QUICK)
    assert done.returncode == 1 and message in done.stderr, done.stderr[-2000:]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shell_is_for_this_host_alone(over_ssh: Build) -> None:
    done = over_ssh(QUICK, "--on-error", "shell")
    assert done.returncode == 2 and "take: --on-error keep" in done.stderr
