"""A stand-in OpenVZ node in a folder, for tests: make_node, and a template for its containers. See README.md."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

SETTINGS = """\
VIRTUOZZO=yes
LOCKDIR={folder}/vz/lock
DUMPDIR={folder}/vz/dump
TEMPLATE={folder}/vz/template
VE_ROOT={folder}/vz/root/$VEID
VE_PRIVATE={folder}/vz/private/$VEID
VE_LAYOUT=simfs
CONFIGFILE="vswap-256m"
VE0CPUUNITS=1000
LOGFILE={folder}/vz/vzctl.log
IPV6="yes"
STANDIN={folder}
STANDIN_KERNEL={kernel}
"""

LIMITS = (
    "kmemsize lockedpages shmpages numproc vmguarpages oomguarpages numtcpsock numflock numpty numsiginfo tcpsndbuf"
    " tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile avnumproc numiptent"
)

_SHARED = """\
# Soft and hard limit of the disk
DISKSPACE="2G:2.2G"
DISKINODES="131072:144179"
QUOTATIME="0"
CPUUNITS="1000"
"""

SAMPLES = {
    "vswap-256m": f"""\
# For a kernel with VSwap.
PHYSPAGES="0:256M"
SWAPPAGES="0:512M"

{_SHARED}""",
    "basic": f"""\
# For a kernel without VSwap: each limit of the older kind.
PHYSPAGES="0:unlimited"
PRIVVMPAGES="65536:69632"
{"".join(f'{name.upper()}="1000000:1000000"{chr(10)}' for name in LIMITS.split())}
{_SHARED}""",
}
"""Like the samples that vzctl comes with, by name."""

FOLDERS = "etc/vz/conf etc/vz/names etc/vz/dists vz/template/cache vz/private vz/root vz/lock vz/dump bin faults"
WIPED = ("lxc", "net", "started")
"""Folders of run/: what a reboot forgets."""

TRASH = "vztmp"
"""Folder that stays, of private areas that `vzctl destroy` removes in the background."""

LOOKED_AT = ("etc/vz", "vz/template/cache", "vz/private", "vz/root", "vz/lock", "vz/dump")

TEMPLATE_SECONDS = 900


SURROUNDINGS = """
set -eu
mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc
mount --bind "$1/etc/vz" /etc/vz
mount -t overlay overlay -o "lowerdir=$1/bin:/usr/sbin" /usr/sbin
mount -t tmpfs -o mode=0755 tmpfs "$1/vz/private"
echo ready
cat >/dev/null
"""
"""A mount namespace where the node's things are at their places. When its standard input ends, HALT follows."""

HALT = """
set +e
exec >/dev/null 2>&1
for folder in "$1"/run/lxc/*/; do lxc-stop -k -P "$1/run/lxc" -n "$(basename "$folder")"; done
for root in "$1"/vz/root/*/; do umount --lazy "$root"; done
for device in /sys/class/net/vn"$2".*; do ip link del "$(basename "$device")"; done
iptables -w -t nat -S | grep "vz-standin:$2:" | sed 's/^-A/-D/' | tr -d '"' | while read -r rule; do
    iptables -w -t nat $rule
done
[ ! -e "$1/run/ip_forward" ] || cat "$1/run/ip_forward" >/proc/sys/net/ipv4/ip_forward
for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do find "$top/vz-standin-$2" -depth -type d -exec rmdir {} ";"; done
for name in lxc net started ip_forward; do rm -rf "$1/run/$name"; done
mkdir "$1/run/lxc" "$1/run/net" "$1/run/started"
"""
"""A reset of the node of this folder and mark."""


class Node:
    """One node. What it holds when it is made, and what template_from adds, is what it begins with.

    Its commands run in a mount namespace of the node's own, where /etc/vz is the node's, vzctl is in /usr/sbin, and the
    private areas are in memory. Files there are seen from outside through `seen`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        head = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", SURROUNDINGS + HALT]
        head += ["sh", str(folder), self.mark]
        self._space = subprocess.Popen(head, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._space.stdout is not None
        if self._space.stdout.readline() != b"ready\n":
            raise RuntimeError("the node's mount namespace cannot be made")
        self.seen = Path(f"/proc/{self._space.pid}/root{folder}")
        self.cache = self.seen / "vz/template/cache"
        self.private = self.seen / "vz/private"
        self.conf = self.seen / "etc/vz/conf"
        self._began: set[str] = set()

    @property
    def environ(self) -> dict[str, str]:
        """For one that runs the node's vzctl outside of its mount namespace."""
        return {"VZ_NODE": str(self.folder), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def inside(self, argv: Sequence[object]) -> list[str]:
        """The command as one that runs on the node, in the same working folder: vmgen-build itself, or an sshd.

        inside([]) is what stands before a command.
        """
        enter = ["nsenter", "--target", str(self._space.pid), "--mount", f"--wdns={Path.cwd()}", "--"]
        return [*enter, *map(str, argv)]

    def vzctl(self, *words: object, data: bytes | str = b"") -> subprocess.CompletedProcess[str]:
        return self._run("vzctl", *words, data=data)

    def vzlist(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self._run("vzlist", *words)

    def _run(self, *words: object, data: bytes | str = b"") -> subprocess.CompletedProcess[str]:
        raw = data.encode() if isinstance(data, str) else data
        ran = subprocess.run(self.inside(words), input=raw, capture_output=True)
        out, err = (stream.decode(errors="replace") for stream in (ran.stdout, ran.stderr))
        return subprocess.CompletedProcess(ran.args, ran.returncode, out, err)

    def fault(self, name: str, *, commands: str = "", times: int | None = None) -> None:
        """From now on vzctl fails as standin/faults.py says, until `clear`, or `times` times. commands: which ones."""
        lines = ([f"commands={commands}"] if commands else []) + ([f"times={times}"] if times is not None else [])
        (self.folder / "faults" / name).write_text("".join(f"{line}\n" for line in lines))

    def small_disk(self, size: str) -> None:
        """From now on, until `clear`, the private areas hold no more than this (tmpfs(5), size) altogether."""
        self._resize(size)

    def stale_mount(self, ctid: int) -> str:
        """Mount a folder that is gone at the root of this number; to be unmounted by the caller. The root."""
        root, gone = f"{self.folder}/vz/root/{ctid}", f"{self.folder}/vz/gone"
        script = f"mkdir -p {root} {gone} && mount --bind {gone} {root} && rmdir {gone}"
        subprocess.run(self.inside(["sh", "-c", script]), check=True)
        return root

    def clear(self) -> None:
        for fault in (self.folder / "faults").iterdir():
            fault.unlink()
        self._resize("50%")

    def _resize(self, size: str) -> None:
        words = ["mount", "-o", f"remount,size={size}", f"{self.folder}/vz/private"]
        subprocess.run(self.inside(words), check=True)

    def containers(self) -> dict[int, str]:
        """CTID to "running", "mounted" or "stopped"."""
        rows = json.loads(self.vzlist("-a", "-j", "-o", "ctid,status").stdout)
        return {row["ctid"]: row["status"] for row in rows}

    def left_over(self) -> list[str]:
        """What is there beyond what the node began with: files, containers, mounts, processes, devices, rules. What
        `destroy` still removes is waited for."""
        end = time.monotonic() + 10
        while any(self.private.glob(f"{TRASH}/*")) and time.monotonic() < end:
            time.sleep(0.05)
        found = sorted(self._files() - self._began)
        found += [f"container {ctid} {status}" for ctid, status in self.containers().items()]
        found += [f"mount {target}" for target in self.mounts()]
        found += [f"device {name}" for name in self._devices()]
        found += [f"rule {rule}" for rule in self._rules()]
        return found + [f"process {pid}" for pid in self._processes()]

    def begin(self) -> None:
        """What is there now counts as what the node began with."""
        self._began = self._files()

    def reboot(self) -> None:
        """At once, as by a reset: whatever ran is gone, the disk stays. Containers with ONBOOT stay down too."""
        self._halt()
        shutil.rmtree(self.folder / "vz/lock")
        (self.folder / "vz/lock").mkdir()

    def destroy(self) -> None:
        assert self._space.stdin is not None
        self._space.stdin.close()
        self._space.wait()
        shutil.rmtree(self.folder)

    def _halt(self) -> None:
        subprocess.run(self.inside(["sh", "-c", HALT, "sh", self.folder, self.mark]), check=True)

    @property
    def mark(self) -> str:
        """As standin.place makes it."""
        import zlib

        return f"{zlib.crc32(os.path.realpath(self.folder).encode()) & 0xFFFF:04x}"

    def _files(self) -> set[str]:
        """Two levels deep: enough to see what does not belong there."""
        found = [path for name in LOOKED_AT for path in (self.seen / name).glob("*") if path.name != TRASH]
        found += [*(self.seen / "etc/vz").glob("*/*"), *self.private.glob(f"{TRASH}/*")]
        return {str(path.relative_to(self.seen)) for path in found}

    def mounts(self) -> list[str]:
        lines = Path(f"/proc/{self._space.pid}/mountinfo").read_text().splitlines()
        targets = [line.split()[4] for line in lines]
        return [target for target in targets if target.startswith(f"{self.folder}/vz/root/")]

    def _devices(self) -> list[str]:
        """Those of venet, and the veths that the configurations of started containers name."""
        names = set(os.listdir("/sys/class/net"))
        own = {name for name in names if name.startswith(f"vn{self.mark}.")}
        for config in (self.folder / "run/lxc").glob("*/config"):
            lines = config.read_text().splitlines()
            own |= {line.partition("=")[2].strip() for line in lines if ".veth.pair" in line}
        return sorted(own & names)

    def _rules(self) -> list[str]:
        listed = subprocess.run(["iptables", "-w", "-t", "nat", "-S"], capture_output=True, text=True).stdout
        return [line for line in listed.splitlines() if f"vz-standin:{self.mark}:" in line]

    def _processes(self) -> list[int]:
        """In the cgroups of this node's containers."""
        found = []
        for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            for path in Path(top, f"vz-standin-{self.mark}").glob("**/cgroup.procs"):
                found += [int(line) for line in path.read_text().split()]
        return found


def make_node(folder: Path, *, upstream: bool = False) -> Node:
    """Lay a node out in a new folder; its path is best short and without blanks. upstream: as vzctl is on a kernel of
    Linux's own."""
    folder = folder.absolute()
    for name in FOLDERS.split():
        (folder / name).mkdir(parents=True)
    for name in WIPED:
        (folder / "run" / name).mkdir(parents=True)
    (folder / "etc/vz/vz.conf").write_text(SETTINGS.format(folder=folder, kernel="upstream" if upstream else "openvz"))
    for name, text in SAMPLES.items():
        (folder / f"etc/vz/conf/ve-{name}.conf-sample").write_text(text)
    for name in ("debian", "ubuntu"):
        (folder / f"etc/vz/dists/{name}.conf").write_text("# Debian's scripts\n")
    for name in ("vzctl", "vzlist"):
        (folder / "bin" / name).symlink_to(HERE / "bin" / name)
    node = Node(folder)
    node.begin()
    return node


def template_from(cache: Path, node: Node, name: str = "debian-12-x86_64") -> Path:
    """The node's template of this name: built once for each test cache, then linked (or copied) into the node's."""
    recipe = HERE / "template.ini"
    mark = hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]
    packed = cache / "templates" / f"{mark}.tar.gz"
    if not packed.exists():
        _pack(cache, recipe, packed)
    goal = node.folder / "vz/template/cache" / f"{name}.tar.gz"
    try:
        goal.hardlink_to(packed)
    except OSError:
        shutil.copyfile(packed, goal)
    node.begin()
    return goal


def _pack(cache: Path, recipe: Path, goal: Path) -> None:
    """Build the recipe for lxc, and pack its root anew as OpenVZ's templates are: ./ and gzip."""
    scratch = goal.parent / f"{os.getpid()}.tmp"
    scratch.mkdir(parents=True)
    try:
        command = [sys.executable, "-m", "vmgen_build", str(recipe), "-b", "lxc", "-o", str(scratch)]
        environ = os.environ | {"VMGEN_CACHE": str(cache)}
        subprocess.run(command, check=True, env=environ, stdin=subprocess.DEVNULL, timeout=TEMPLATE_SECONDS)
        (artifact,) = scratch.glob("*-lxc-*.tar.*[!n]")
        flags = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls"]
        extract = ["tar", "--extract", "--file", str(artifact), "--directory", str(scratch), *flags]
        subprocess.run(extract, check=True)
        new = goal.with_suffix(f".{os.getpid()}")
        create = ["tar", "--create", "--gzip", "--file", str(new), "--directory", str(scratch / "rootfs"), *flags, "."]
        subprocess.run(create, check=True)
        new.rename(goal)
    finally:
        shutil.rmtree(scratch)
