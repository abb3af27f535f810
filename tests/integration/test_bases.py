"""Bases that others made: a disk image, and a container of this host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgen_build.bases.makers import make_base
from vmgen_build.bases.supply import Making, Request, supply_kind
from vmgen_build.errors import BuildError
from vmgen_build.events import Bus
from vmgen_build.host.files import sha256_of
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Base, Image, PlacedMachine
from vmgen_build.systems.parse import parse_system

MIB = 1 << 20
UUID = "11111111-2222-3333-4444-555555555555"


def ran(*command: object) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def made(base: Base, folder: Path) -> Path:
    """Its root, made in a worker as a build does it."""
    request = Request(parse_system("debian-12-amd64"), None, 0)
    supply = supply_kind(request.system).of_host(request, lambda _argv: b"")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    making = Making(folder, folder, supply, folder / "indexes", lambda _line: None)

    def work(_bus: Bus) -> None:
        make_base(base, making)

    run_isolated(work, Bus())
    return making.root


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A small root: two names of one file, an extended attribute, owners, an old time."""
    root = tmp_path / "system"
    for name in ("usr/bin", "etc", "var"):
        (root / name).mkdir(parents=True)
    tool = root / "usr/bin/tool"
    tool.write_text("text")
    tool.chmod(0o4755)
    os.link(tool, root / "usr/bin/again")
    os.setxattr(tool, "user.note", b"kept")
    os.utime(tool, (5, 5))
    (root / "etc/fstab").write_text(f"LABEL=top / ext4 defaults 0 1\n# a comment\nUUID={UUID} /var ext4 nosuid 0 2\n")
    (root / "etc/owned").write_text("x")
    os.chown(root / "etc/owned", 1234, 4321)
    (root / "usr/bin/tool2").symlink_to("/etc/passwd")
    return root


def disk(tmp_path: Path, system: Path, table: str = "gpt") -> Path:
    """A swap partition, one for /, one for /var."""
    var = tmp_path / "var"
    var.mkdir()
    (var / "log").write_text("of the other partition")
    raw = tmp_path / "disk.raw"
    raw.touch()
    os.truncate(raw, 64 * MIB)
    lines = f"label: {table}\nstart=1MiB,size=4MiB\nstart=8MiB,size=24MiB\nstart=32MiB,size=24MiB\n"
    subprocess.run(["sfdisk", "--quiet", raw], input=lines, text=True, check=True)
    for tree, start, options in ((system, 8, ["-L", "top"]), (var, 32, ["-U", UUID])):
        ran("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, *options, "-E", f"offset={start * MIB}", raw, "24m")
    return raw


@pytest.mark.parametrize("table", ["gpt", "dos"])
@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk"])
def test_a_disk_image_becomes_the_root(tmp_path: Path, system: Path, table: str, form: str) -> None:
    raw = disk(tmp_path, system, table)
    image = raw
    if form != "raw":
        image = tmp_path / f"disk.{form}"
        ran("qemu-img", "convert", "-f", "raw", "-O", form, raw, image)
    loops = ran("losetup", "--list", "--noheadings")
    root = made(Image(image, form, sha256_of(image)), tmp_path / "made")
    tool = root / "usr/bin/tool"
    assert (tool.read_text(), tool.stat().st_mode & 0o7777, tool.stat().st_mtime) == ("text", 0o4755, 5)
    assert tool.stat().st_ino == (root / "usr/bin/again").stat().st_ino
    assert os.getxattr(tool, "user.note") == b"kept"
    owned = (root / "etc/owned").stat()
    assert (owned.st_uid, owned.st_gid) == (1234, 4321)
    assert os.readlink(root / "usr/bin/tool2") == "/etc/passwd"
    assert (root / "var/log").read_text() == "of the other partition"
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name]
    assert ran("losetup", "--list", "--noheadings") == loops


def test_a_disk_without_partitions_is_read(tmp_path: Path, system: Path) -> None:
    (system / "etc/fstab").unlink()
    image = tmp_path / "disk.raw"
    ran("mke2fs", "-q", "-F", "-t", "ext4", "-d", system, image, "24m")
    assert (made(Image(image, "raw", sha256_of(image)), tmp_path / "made") / "usr/bin/tool").read_text() == "text"


def test_what_is_no_such_disk_is_refused(tmp_path: Path, system: Path) -> None:
    raw = disk(tmp_path, system)
    with pytest.raises(BuildError, match=r"has the sha256 .* and 0000"):
        made(Image(raw, "raw", "0" * 64), tmp_path / "made")
    empty = tmp_path / "empty.raw"
    empty.touch()
    os.truncate(empty, 8 * MIB)
    with pytest.raises(BuildError, match=r"empty.raw holds no root file system .*it holds no file system"):
        made(Image(empty, "raw", sha256_of(empty)), tmp_path / "made")
    backed = tmp_path / "backed.qcow2"
    ran("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, backed)
    with pytest.raises(BuildError, match=r"is not read: it leads to another file, its backing file"):
        made(Image(backed, "qcow2", sha256_of(backed)), tmp_path / "made")


def test_a_mount_point_that_leads_out_of_the_root_is_refused(tmp_path: Path, system: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (system / "var").rmdir()
    (system / "var").symlink_to(outside)
    raw = disk(tmp_path, system)
    with pytest.raises(BuildError, match="its fstab mounts on /var, which is not a folder of its root"):
        made(Image(raw, "raw", sha256_of(raw)), tmp_path / "made")
    assert list(outside.iterdir()) == []


@pytest.fixture
def container(system: Path) -> Iterator[Path]:
    """Its folder below lxc's own path, with the root of `system`."""
    home = Path(ran("lxc-config", "lxc.lxcpath").strip()) / f"vmgen-test-{os.getpid()}"
    home.mkdir(parents=True)
    ran("cp", "-a", system, home / "rootfs")
    (home / "config").write_text(
        f"lxc.uts.name = {home.name}\nlxc.rootfs.path = dir:{home}/rootfs\nlxc.net.0.type = empty\n"
    )
    yield home
    shutil.rmtree(home)


def test_a_container_becomes_the_root_as_it_is_and_as_it_was(container: Path, tmp_path: Path) -> None:
    ran("lxc-snapshot", "-n", container.name)
    (container / "rootfs/etc/later").touch()
    now = made(PlacedMachine(container.name), tmp_path / "now")
    assert (now / "etc/later").exists() and (now / "usr/bin/tool").stat().st_mode & 0o7777 == 0o4755
    before = made(PlacedMachine(container.name, "snap0"), tmp_path / "before")
    assert not (before / "etc/later").exists() and (before / "usr/bin/tool").read_text() == "text"


def test_a_container_that_cannot_be_taken_is_named(container: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot use machine nowhere-at-all: .*lxc-ls and lxc-snapshot -L"):
        made(PlacedMachine("nowhere-at-all"), tmp_path / "made")
    config = container / "config"
    config.write_text(config.read_text() + "lxc.idmap = u 0 100000 65536\n")
    with pytest.raises(BuildError, match="has its users shifted"):
        made(PlacedMachine(container.name), tmp_path / "made")


def test_a_container_that_runs_is_left_alone(container: Path, tmp_path: Path) -> None:
    shutil.copy("/bin/busybox" if Path("/bin/busybox").exists() else "/bin/sleep", container / "rootfs/init-test")
    for library in ("lib", "lib64"):
        (container / "rootfs" / library).mkdir(exist_ok=True)
    config = container / "config"
    config.write_text(
        config.read_text()
        + "lxc.init.cmd = /init-test 600\nlxc.mount.entry = /lib lib none ro,bind 0 0\n"
        + "lxc.mount.entry = /lib64 lib64 none ro,bind 0 0\nlxc.mount.entry = /usr usr none ro,bind 0 0\n"
    )
    ran("lxc-start", "-n", container.name)
    try:
        with pytest.raises(BuildError, match=f"is RUNNING: stop it first \\(lxc-stop -n {container.name}\\)"):
            made(PlacedMachine(container.name), tmp_path / "made")
    finally:
        ran("lxc-stop", "-k", "-n", container.name)
