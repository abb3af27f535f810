"""Tarballs of real folders: the same bytes each time, all that a root holds, and nothing half."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written, sha256_of

EPOCH = 1_600_000_000
TEXTS = {"metadata.yaml": "architecture: x\n", "config": "lxc.uts.name = lab\n"}
PLAIN = Compression("none", 0)
ZSTD = Compression("zstd", 1)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A little of everything that a root file system may hold."""
    root = tmp_path / "some where" / "root"
    for folder in ("etc", "dev", "usr/bin", "run/lock"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/tool").write_bytes(b"#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o4755)
    os.link(root / "usr/bin/tool", root / "usr/bin/zz-same")
    (root / "bin").symlink_to("./usr/bin")
    (root / "etc/up").symlink_to("../.")
    (root / "etc/-rf $(x) 'q' \\ \n\u00e9").write_text("odd")
    (root / os.fsdecode(b"etc/\xff\xfe")).write_text("no UTF-8")
    (root / ("etc/" + "long" * 60)).write_text("long")
    (root / "etc/old").write_text("old")
    os.utime(root / "etc/old", (1_000_000_000, 1_000_000_000.25))
    (root / "run/lock/stale").write_text("x")
    (root / "dev/console").write_text("x")
    os.mkfifo(root / "etc/pipe")
    return root


def pack(goal: Path, root: Path, compression: Compression = PLAIN) -> Written:
    return write_tarball(goal, TarContent(root, "rootfs", EPOCH, ("dev", "run"), TEXTS), compression)


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar}


def test_the_order_and_what_stays_out(root: Path, tmp_path: Path) -> None:
    pack(tmp_path / "x.tar", root)
    with tarfile.open(tmp_path / "x.tar") as tar:
        names = tar.getnames()
        config = tar.extractfile("config")
        assert config is not None and config.read().decode() == TEXTS["config"]
    assert names[:3] == ["metadata.yaml", "config", "rootfs"]
    assert names[3:] == sorted(names[3:], key=lambda name: os.fsencode(name).replace(b"/", b"\0"))
    assert {"rootfs/dev", "rootfs/run"} <= set(names)
    assert not [name for name in names if name.startswith(("rootfs/dev/", "rootfs/run/"))]


def test_everything_arrives_as_it_is(root: Path, tmp_path: Path) -> None:
    pack(tmp_path / "x.tar", root)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xpf", tmp_path / "x.tar", "-C", out], check=True)
    shutil.rmtree(root / "dev")
    shutil.rmtree(root / "run")
    (root / "dev").mkdir()
    (root / "run").mkdir()
    (root / "etc/pipe").unlink()
    assert (out / "rootfs/etc/pipe").is_fifo()
    (out / "rootfs/etc/pipe").unlink()
    subprocess.run(["diff", "-r", "--no-dereference", root, out / "rootfs"], check=True)
    assert (out / "rootfs/usr/bin/tool").stat().st_mode & 0o7777 == 0o4755
    assert (out / "rootfs/usr/bin/tool").stat().st_ino == (out / "rootfs/usr/bin/zz-same").stat().st_ino
    assert os.readlink(out / "rootfs/bin") == "./usr/bin"
    assert os.readlink(out / "rootfs/etc/up") == "../."


def test_times_are_clamped_and_nothing_of_the_host_is_in_it(root: Path, tmp_path: Path) -> None:
    pack(tmp_path / "x.tar", root)
    found = members(tmp_path / "x.tar")
    assert found["rootfs/etc/old"].mtime == 1_000_000_000
    assert {m.mtime for n, m in found.items() if n != "rootfs/etc/old"} == {EPOCH}
    assert not any(m.uname or m.gname for m in found.values())
    keys = {key for m in found.values() for key in m.pax_headers}
    assert not keys & {"atime", "ctime", "mtime"}
    assert b"some where" not in (tmp_path / "x.tar").read_bytes()


@pytest.mark.parametrize("compression", [PLAIN, ZSTD, Compression("gzip", 1), Compression("xz", 0)])
def test_the_same_bytes_again(root: Path, tmp_path: Path, compression: Compression) -> None:
    first = pack(tmp_path / "1", root, compression)
    copy = tmp_path / "other folder" / "copy"
    copy.parent.mkdir()
    subprocess.run(["cp", "-a", "--no-preserve=timestamps", root, copy], check=True)
    os.utime(copy / "etc/old", (5, 1_000_000_000.75))
    second = pack(tmp_path / "2", copy, compression)
    assert first.sha256 == second.sha256 == sha256_of(tmp_path / "2")
    assert first.size == (tmp_path / "1").stat().st_size


def test_a_tree_can_be_the_top_itself(root: Path, tmp_path: Path) -> None:
    write_tarball(tmp_path / "x.tar", TarContent(root, ".", EPOCH), PLAIN)
    assert {".", "./etc/old", "./dev/console"} <= set(members(tmp_path / "x.tar"))


@needs_root
def test_capabilities_and_acls_survive_and_overlay_marks_do_not(root: Path, tmp_path: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep
    os.setxattr(root / "usr/bin/tool", "security.capability", capability)
    os.setxattr(root / "etc", "trusted.overlay.opaque", b"y")
    os.setxattr(root / "etc", "user.note", b"mine")
    os.setxattr(root / "etc", "user.overlay.opaque", b"y")
    acl = bytes.fromhex("0200000001000700ffffffff02000700e803000004000500ffffffff10000700ffffffff20000500ffffffff")
    os.setxattr(root / "usr", "system.posix_acl_access", acl)
    pack(tmp_path / "x.tar", root, ZSTD)
    out = tmp_path / "out"
    out.mkdir()
    options = ["--xattrs", "--xattrs-include=*", "--acls", "--zstd"]
    subprocess.run(["tar", *options, "-xpf", tmp_path / "x.tar", "-C", out], check=True)
    assert os.getxattr(out / "rootfs/usr/bin/tool", "security.capability") == capability
    assert os.getxattr(out / "rootfs/usr", "system.posix_acl_access") == acl
    assert os.listxattr(out / "rootfs/etc") == ["user.note"]


NAMED_ACL = bytes.fromhex(
    "0200000001000700ffffffff020005000100000004000500ffffffff080005000400000010000500ffffffff20000500ffffffff"
)
"""linux/posix_acl_xattr.h: user::rwx user:1:r-x group::r-x group:4:r-x mask::r-x other::r-x. On every Debian user 1 is
daemon and group 4 is adm."""


def named_acl_root(folder: Path) -> Path:
    (folder / "journal").mkdir(parents=True)
    os.setxattr(folder / "journal", "system.posix_acl_access", NAMED_ACL)
    os.setxattr(folder / "journal", "system.posix_acl_default", NAMED_ACL)
    return folder


@needs_root
def test_acls_hold_numbers_and_no_names_of_this_host(tmp_path: Path) -> None:
    root = named_acl_root(tmp_path / "root")
    assert (pwd.getpwuid(1).pw_name, grp.getgrgid(4).gr_name) == ("daemon", "adm")
    pack(tmp_path / "x.tar", root)
    header = members(tmp_path / "x.tar")["rootfs/journal"].pax_headers
    acl = ["user::rwx", "user:1:r-x", "group::r-x", "group:4:r-x", "mask::r-x", "other::r-x"]
    for kind in ("access", "default"):
        assert header[f"SCHILY.acl.{kind}"].split() == acl


@needs_root
def test_owners_and_devices_survive_and_sockets_stay_out(root: Path, tmp_path: Path) -> None:
    os.mknod(root / "etc/null", 0o20666, os.makedev(1, 3))
    os.chown(root / "etc/old", 4711, 4712)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "etc/socket"))
        pack(tmp_path / "x.tar", root)
    found = members(tmp_path / "x.tar")
    assert (found["rootfs/etc/old"].uid, found["rootfs/etc/old"].gid) == (4711, 4712)
    assert (found["rootfs/etc/null"].devmajor, found["rootfs/etc/null"].devminor) == (1, 3)
    assert "rootfs/etc/socket" not in found


def test_progress_ends_at_the_size_of_the_tar(root: Path, tmp_path: Path) -> None:
    (root / "etc/big").write_bytes(os.urandom(3 << 20))
    reported: list[int] = []
    tree = TarContent(root, "rootfs", EPOCH)
    write_tarball(tmp_path / "x", tree, ZSTD, progress=reported.append)
    plain = write_tarball(tmp_path / "y", tree, PLAIN)
    assert reported == sorted(reported)
    assert reported[-1] == pytest.approx(plain.size, abs=4096)


@pytest.fixture
def broken_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A compressor that dies in the middle."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "zstd").write_text("#!/bin/sh\nhead -c 100\necho 'out of wits' >&2\nexit 3\n")
    (folder / "zstd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield


@pytest.mark.usefixtures("broken_zstd")
def test_a_failing_compressor_leaves_the_old_file_alone(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "x").write_text("the old one")
    (root / "etc/big").write_bytes(os.urandom(3 << 20))
    with pytest.raises(BuildError, match="packing failed: zstd: out of wits"):
        pack(out / "x", root, ZSTD)
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("x", "the old one")]


def test_a_failing_tar_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BuildError, match=r"packing failed: tar: .*nowhere"):
        pack(out / "x", tmp_path / "nowhere", ZSTD)
    assert list(out.iterdir()) == []


def test_an_interrupt_leaves_nothing_and_no_process(root: Path, tmp_path: Path) -> None:
    (root / "etc/big").write_bytes(os.urandom(8 << 20))
    out = tmp_path / "out"
    out.mkdir()

    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tarball(out / "x", TarContent(root, "rootfs", 0), ZSTD, progress=interrupt)
    assert list(out.iterdir()) == []
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not [c for c in children if Path(f"/proc/{c}/comm").read_text().strip() in ("tar", "zstd")]


@needs_root
def test_a_full_disk_is_reported_with_what_is_needed(root: Path, tmp_path: Path) -> None:
    """On a tmpfs of 1 MB, in a mount namespace of its own."""
    (root / "etc/big").write_bytes(os.urandom(5_000_000))
    out = tmp_path / "out"
    out.mkdir()
    program = f"""
import pathlib, sys
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.artifacts.compression import Compression
from vmgen_build.errors import HostError
try:
    tree = TarContent(pathlib.Path({str(root)!r}), "rootfs", 0)
    write_tarball(pathlib.Path({str(out)!r}) / "x", tree, Compression("zstd", 1))
except HostError as error:
    print(error)
print(sorted(p.name for p in pathlib.Path({str(out)!r}).iterdir()))
"""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", str(out), sys.executable, program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    message, left = ran.stdout.splitlines()
    assert f"the disk of {out} is full" in message and "x needs up to 5.0 MB; make room there" in message
    assert left == "[]"


def test_a_folder_that_is_not_there_is_reported(root: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write to the folder .*nowhere.*; choose another with --output"):
        pack(tmp_path / "nowhere" / "x", root)
