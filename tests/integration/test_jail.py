"""Issue 8, items 1, 2, 3 and 12: a hostile image is booted, and nothing of it gets out.

Each image is a real tarball, unpacked and started as verify does it; its init is a script that attacks.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.integration.tinyroot import make_root
from vmgen_build.boots import groups, lxc, tree, watch
from vmgen_build.boots.model import Boot
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.guests.model import Communicator
from vmgen_build.host import memory
from vmgen_build.host import syscalls as sc
from vmgen_build.host.bounded import TOO_MUCH
from vmgen_build.host.channel import WorkerBus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.host.usernamespace import FIRST_ID, IDS, user_namespace
from vmgen_build.limits import MB, Limit
from vmgen_build.store.lease import CGROUPS, lease

MEMSW = "memory.memsw.limit_in_bytes"

NETWORK = "lxc.uts.name = tiny\nlxc.net.0.type = veth\nlxc.net.0.name = eth0\n"

ATTACKS = """
try() { name=$1; shift; if (eval "$*") 2>>/tmp/why; then echo "$name"; fi >>/tmp/done; }
exec 2>/tmp/errors
mount -t proc proc /mnt
try core_pattern ': >>/mnt/sys/kernel/core_pattern'
try core_pattern_too ': >>/proc/sys/kernel/core_pattern'
try sysrq ': >>/mnt/sysrq-trigger'
try uevent ': >>/sys/kernel/uevent_helper'
try kcore 'head -c 1 /proc/kcore >/tmp/kcore && [ -s /tmp/kcore ]'
try disk 'mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk'
try module '/bin/insmod /etc/module.ko'
try debugfs 'mount -t debugfs none /mnt'
try host_processes '[ -e /proc/5000 ] || [ "$(cat /proc/1/comm)" != init ]'
try device 'head -c 1 /dev/vda'
echo "$(cat /proc/self/uid_map)" >/tmp/ids
(echo "in the environment:"; cat /proc/1/environ) >/tmp/environment
(cat /proc/self/status) >/tmp/status
yes 0123456789012345678901234567890123456789 | head -c 3000000 >/dev/console
echo end >>/tmp/done
"""


@pytest.fixture()
def boot_image(cache: Path) -> Callable[..., object]:
    """Boot an image; what `ask` finds out in it."""

    def run(image: Path, ask: Callable[[Communicator, Path], object], *, trusted: bool = False) -> object:
        with lease(cache) as folder:
            scratch = folder / "verify"
            scratch.mkdir()

            def work(bus: WorkerBus) -> object:
                with lxc.booted(image, Boot(bus, scratch, 30, "[ -e /tmp/ready ]", trusted)) as machine:
                    return ask(machine.communicator, scratch)

            return run_isolated(work, Bus(), net=True)

    return run


def packed(folder: Path, init: str, config: str = NETWORK) -> Path:
    """An image of a tiny root."""
    make_root(folder / "rootfs", f"{init}\n: >/tmp/ready\n", {"etc/module.ko": "no module"})
    (folder / "config").write_text(config)
    return tar_of(folder)


def tar_of(folder: Path) -> Path:
    image = folder / "image.tar"
    subprocess.run(["tar", "-C", folder, "--owner=0", "--group=0", "-cf", image, "config", "rootfs"], check=True)
    return image


def shown(communicator: Communicator, name: str) -> str:
    return communicator.run(f"cat /tmp/{name}", 10).out


def test_issue_8_1_and_2_a_hostile_image_does_nothing_to_the_host(
    tmp_path: Path, boot_image: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@proxy")
    hooks = ("pre-start", "pre-mount", "mount", "autodev", "start-host", "post-stop")
    config = "".join(f"lxc.hook.{hook} = /usr/bin/touch {tmp_path}/hooked\n" for hook in hooks)
    (tmp_path / "included").write_text(
        f"lxc.hook.start = /bin/mkdir /tmp/hooked\nlxc.mount.entry = {tmp_path} mnt none bind\n"
    )
    config += f"lxc.include = {tmp_path}/included\nlxc.mount.entry = / root none bind 0 0\nlxc.environment = EVIL=1\n"
    config += f"lxc.log.file = {tmp_path}/hooked\nlxc.init.cmd = /bin/false\nlxc.cap.drop =\nlxc.seccomp.profile =\n"
    config += "lxc.rootfs.path = dir:/\nlxc.idmap =\nlxc.net.0.script.up = /usr/bin/touch /tmp/hooked\n"

    def ask(communicator: Communicator, scratch: Path) -> dict[str, str]:
        found = {name: shown(communicator, name) for name in ("done", "ids", "environment", "status")}
        found["root"] = communicator.run("ls /root /mnt; ls /tmp", 10).out
        found["console"] = str((scratch / "console").stat().st_size)
        found["flood"] = str(communicator.run("yes", 20).code)
        found["flood-why"] = communicator.run("yes", 20).out
        return found

    found = boot_image(packed(tmp_path, ATTACKS, config + NETWORK), ask)
    assert isinstance(found, dict)
    assert found["done"].split() == ["end"], found
    assert found["ids"].split() == ["0", str(FIRST_ID), str(IDS)]
    assert "EVIL" not in found["environment"] and "canary" not in found["environment"]
    assert "Seccomp:\t2" in found["status"]
    assert "hooked" not in found["root"]
    assert int(found["console"]) <= 2 * MB
    assert found["flood"] == str(TOO_MUCH) and "limit 'answer'" in found["flood-why"]
    assert not (tmp_path / "hooked").exists() and not Path("/tmp/hooked").exists()


def test_issue_8_2_trusted_boots_as_root_of_this_host(tmp_path: Path, boot_image: Callable[..., object]) -> None:
    init = "mount -t proc proc /mnt; : >>/mnt/sys/kernel/core_pattern && echo opened >/tmp/done"
    image = packed(tmp_path, init)
    ask = lambda c, _: (shown(c, "done"), c.run("cat /proc/self/uid_map", 10).out.split()[1])  # noqa: E731
    assert boot_image(image, ask, trusted=True) == ("opened\n", "0")


def test_issue_8_2_without_user_namespaces_it_says_what_trusted_means(
    tmp_path: Path, boot_image: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sc.unshare

    def refuse(flags: int) -> None:
        if flags & sc.CLONE_NEWUSER:
            raise OSError(28, "No space left on device")
        real(flags)

    monkeypatch.setattr(sc, "unshare", refuse)
    with pytest.raises(
        HostError, match=r"no user namespaces \(No space left.*--trusted.*its root is then root of this"
    ):
        boot_image(packed(tmp_path, ""), lambda *_: None)


def swap_limit(scratch: Path) -> int | None:
    """Of a booted machine's swap (version 2), or of its memory and swap together (1); None: the kernel counts none."""
    group = f"{CGROUPS}/{scratch.parent.name}"
    for file in (lxc.CGROUP_ROOT / group / "memory.swap.max", lxc.CGROUP_ROOT / "memory" / group / MEMSW):
        if file.exists():
            return int(file.read_text())
    file = scratch / "cgroup-memory" / group / MEMSW
    return int(file.read_text()) if file.exists() else None


def test_issue_8_2_memory_and_processes_have_limits(
    tmp_path: Path, boot_image: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GUEST_PROCESSES", Limit("guest-processes", "", 20, "processes"))
    monkeypatch.setattr(groups, "GUEST_MEMORY", Limit("guest-memory", "", 64 * MB))

    def ask(communicator: Communicator, scratch: Path) -> list[int]:
        assert (swap := swap_limit(scratch)) is None or swap in (0, 64 * MB)
        few = [communicator.run(f"dd if=/dev/zero of=/dev/null bs={size}M count=1", 20).code for size in (10, 150)]
        return [*few, communicator.run("for i in 1 2 3 4 5 6 7 8 9 10; do sleep 9 & done; :", 20).code]

    image = packed(tmp_path, "(i=0; while [ $i -lt 12 ]; do sleep 100 & i=$((i+1)); done)")
    fits, killed, forks = boot_image(image, ask)  # type: ignore[misc]
    assert fits == 0
    assert killed != 0 and forks != 0


def test_issue_8_2_a_disk_that_is_filled_ends_the_machine(
    tmp_path: Path, boot_image: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 200 * MB)
    monkeypatch.setattr(watch, "UNPACKED", Limit("image-unpacked", "", 600 * MB))
    image = packed(tmp_path, "")
    fill = "cat /dev/zero >/tmp/filled"
    with pytest.raises(BuildError, match="the booted machine: it is more than the limit 'image-unpacked'"):
        boot_image(image, lambda c, _: c.run(fill, 60))


@pytest.mark.parametrize("name", ["config", "rootfs"])
def test_issue_8_3_links_out_of_the_tree_are_not_followed(
    name: str, tmp_path: Path, boot_image: Callable[..., object]
) -> None:
    packed(tmp_path, "")
    victim = tmp_path / "victim"
    victim.write_text(NETWORK)
    (tmp_path / name).rename(tmp_path / "away")
    (tmp_path / name).symlink_to(victim if name == "config" else tmp_path / "away")
    with pytest.raises(BuildError, match=f"{'configuration is unusable' if name == 'config' else 'no folder'}"):
        boot_image(tar_of(tmp_path), lambda *_: None)
    assert victim.read_text() == NETWORK


Unpack = Callable[[Path], list[tuple[str, int]]]


@pytest.fixture()
def unpack(tmp_path: Path) -> Unpack:
    """Unpack an image in a worker, in memory or on a disk; the names and owners of what is there then."""

    def run(image: Path) -> list[tuple[str, int]]:
        def work(_: WorkerBus) -> list[tuple[str, int]]:
            with ExitStack() as undo:
                enter = tuple(undo.enter_context(user_namespace()))
                tree.Tree(tmp_path / "disk", enter, undo).unpack(image)
                return [(str(path.relative_to(tree.PLACE)), path.lstat().st_uid) for path in tree.PLACE.rglob("*")]

        return run_isolated(work, Bus())

    return run


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", uid: int = 0) -> bytes:
    """A header that says what it is asked to: of GNU's kind, since sizes are large."""
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, link
    member.uid = member.gid = uid
    member.devmajor, member.devminor = 1, 3
    return member.tobuf(tarfile.GNU_FORMAT)


END = bytes(1024)


def sparse_header() -> bytes:
    """A file of 2^50 bytes that are all a hole: GNU's format 1.0 of sparse files."""
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole"}
    member = tarfile.TarInfo("hole")
    member.size, member.pax_headers = 512, {**records, "GNU.sparse.realsize": str(1 << 50)}
    return member.tobuf(tarfile.PAX_FORMAT) + f"1\n{1 << 50}\n0\n".encode().ljust(512, b"\0")


def test_issue_8_12_a_sparse_member_of_a_petabyte_is_refused(tmp_path: Path, unpack: Unpack) -> None:
    image = tmp_path / "image.tar"
    image.write_bytes(sparse_header() + END)
    with pytest.raises(BuildError, match="limit 'image-unpacked'"):
        unpack(image)


def test_issue_8_12_a_header_of_gigabytes_is_refused(
    tmp_path: Path, unpack: Unpack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "UNPACK_MEMORY", Limit("unpack-memory", "", 300 * MB))
    image = tmp_path / "image.tar"
    with image.open("wb") as file:
        file.write(header("pax", 600 * MB, tarfile.XHDTYPE))
        file.truncate(600 * MB + 4096)
    with pytest.raises(BuildError, match="limit 'unpack-memory'"):
        unpack(image)


def test_issue_8_12_too_many_bytes_and_entries_are_refused(
    tmp_path: Path, unpack: Unpack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory first, whose size is fixed; then on the disk, which is watched."""
    monkeypatch.setattr(memory, "available", lambda: 60 * MB)
    monkeypatch.setattr(watch, "UNPACKED", Limit("image-unpacked", "", 200 * MB))
    monkeypatch.setattr(watch, "TICK", 0.02)
    image = tmp_path / "image.tar.gz"
    packed = subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=image.open("wb"))
    assert packed.stdin is not None
    with packed.stdin as stream:
        for number in range(6):
            stream.write(header(f"zeros{number}", 200 << 20))
            for _ in range(200):
                stream.write(bytes(1 << 20))
        stream.write(END)
    assert packed.wait() == 0
    with pytest.raises(BuildError, match="limit 'image-unpacked'"):
        unpack(image)


def test_issue_8_12_unpacking_has_its_time(tmp_path: Path, unpack: Unpack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "UNPACK_TIME", Limit("unpack-time", "", 0, "s"))
    image = tmp_path / "image.tar"
    with image.open("wb") as file:
        file.write(header("zeros", 4 * 10**9))
        file.truncate(4 * 10**9 + 2048)
    with pytest.raises(BuildError, match="limit 'unpack-time'"):
        unpack(image)


def test_issue_8_3_nothing_is_unpacked_outside_and_no_device_is_made(tmp_path: Path, unpack: Unpack) -> None:
    outside = Path(f"/tmp/{tmp_path.name}-outside")
    image = tmp_path / "image.tar"
    members = [header(str(outside)), header("device", kind=tarfile.CHRTYPE), header("good")]
    members += [header("out", kind=tarfile.SYMTYPE, link="/tmp"), header(f"out/{outside.name}")]
    image.write_bytes(b"".join([*members, END]))
    with suppress(BuildError):
        unpack(image)
    assert not outside.exists()
    image.write_bytes(header("device", kind=tarfile.CHRTYPE) + header("good") + END)
    assert unpack(image) == [("good", FIRST_ID)]
    image.write_bytes(header("good", uid=IDS - 1) + END)
    assert unpack(image) == [("good", FIRST_ID + IDS - 1)]
    image.write_bytes(header("bad", uid=IDS) + END)
    with pytest.raises(BuildError, match=r"limit 'image-ids' .*add --trusted"):
        unpack(image)
    for bad in (header(f"../{outside.name}"), header("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd")):
        image.write_bytes(bad + END)
        with pytest.raises(BuildError, match="cannot unpack"):
            unpack(image)
