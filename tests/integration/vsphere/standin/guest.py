"""A machine that runs, as far as its Tools can tell: its programs in namespaces of their own, on a root of overlays.

No kernel of its own, no boot loader and no systemd: its kernel is this host's, and its network too. Of its services
those are run once that would let a builder in. What could not work so (a file system that is frozen, what the
hypervisor tells) stands in for itself by a bind mount, which no disk ever holds.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.vsphere.standin.roots import overlay_options

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ROOTS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
"""Of cgroup v2, on a hybrid host and on a pure one."""

CGROUP = next((root for root in ROOTS if (root / "cgroup.procs").exists()), ROOTS[-1]) / "vmgen-standin"
"""Those of all guests lie below it."""

INIT = """\
set -eu
root=$1 options=$2 name=$3 tools=$4
mount -t overlay overlay -o "$options" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=0755 tmpfs run
mkdir -p run/lock
hostname "$name"
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/kernel/hostname proc/sys/kernel/hostname
mount -o remount,bind,rw proc/sys/kernel/hostname
mount --bind "$tools/boot_id" proc/sys/kernel/random/boot_id
for report in off guestinfo; do
    : >"dev/$report"
    mount --bind "$tools/$report" "dev/$report"
done
if [ -e proc/sysrq-trigger ]; then mount --bind "$tools/off" proc/sysrq-trigger; fi
if [ -e usr/bin/systemctl ]; then
    : >dev/systemctl
    mount --bind usr/bin/systemctl dev/systemctl
fi
for tool in findmnt fsfreeze fstrim systemctl vmware-rpctool; do
    for place in usr/bin usr/sbin; do
        if [ -e "$place/$tool" ]; then mount --bind "$tools/$tool" "$place/$tool"; fi
    done
done
pivot_root . mnt
umount -l mnt
cd /
echo up
while read -r _; do :; done
"""
"""PID 1: it ends, and with it all that runs there, when its standard input does."""

SYSTEMCTL = """\
#!/bin/sh
case " ${0##*/} $* " in
    *" poweroff "* | *" halt "*) echo o >>/dev/off ;;
    *) exec /dev/systemctl "$@" ;;
esac
"""
"""Other names of it are links to it: poweroff(8)."""

TOOLS = {
    "findmnt": "#!/bin/sh\necho /\n",
    "fsfreeze": "#!/bin/sh\n[ $# -eq 2 ] || exit 1\nexit 0\n",
    "fstrim": "#!/bin/sh\nexit 0\n",
    "systemctl": SYSTEMCTL,
}

RPCTOOL = """\
#!/bin/sh
case $1 in
{cases}
    'info-set guestinfo.'*) printf '%s\\n' "${{1#info-set }}" >>/dev/guestinfo ;;
    *) echo "No value found"; exit 1 ;;
esac
"""


@dataclass
class Program:
    """One that was started there. began, ended: seconds since the epoch."""

    pid: int
    command: str
    user: str
    began: float
    ended: float | None = None
    code: int = 0


@dataclass(frozen=True)
class Account:
    """A line of passwd(5), and the hash that shadow(5) has."""

    name: str
    uid: int
    gid: int
    home: str
    hash: str = field(repr=False)

    @property
    def words(self) -> list[str]:
        """Before a command, to run it as this user."""
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"] if self.uid else []


class Guest:
    """root: where its file systems are mounted, inside. layers: the lowest first. upper: takes what it writes."""

    def __init__(self, folder: Path, layers: Sequence[Path], upper: Path) -> None:
        self.folder, self._layers, self._upper = folder, layers, upper
        self.programs: dict[int, Program] = {}
        self._process: subprocess.Popen[str] | None = None
        self._cgroup = CGROUP / uuid.uuid4().hex[:12]

    def boot(self, name: str, extra: Mapping[str, str]) -> None:
        """extra: the machine's extraConfig."""
        tools, root, work = self.folder / "tools", self.folder / "root", self.folder / "work"
        for made in (tools, root, work):
            made.mkdir(parents=True, exist_ok=True)
        self._write_tools(tools, extra)
        self._cgroup.mkdir(parents=True)
        options = f"{overlay_options(self._layers)},upperdir={self._upper},workdir={work}"
        inside = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        inside += ["sh", "-c", INIT, "init", str(root), options, re.sub(r"[^A-Za-z0-9-]", "-", name)[:60], str(tools)]
        self._process = subprocess.Popen(self._joined(inside), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "up\n":
            raise RuntimeError("the guest does not boot")
        for command in self._services():
            self.run(["sh", "-c", command])

    def _write_tools(self, folder: Path, extra: Mapping[str, str]) -> None:
        known = [
            f"    {shlex.quote(f'info-get {key}')}) printf '%s\\n' {shlex.quote(str(value))} ;;"
            for key, value in extra.items()
            if key.startswith("guestinfo.")
        ]
        for name, text in {**TOOLS, "vmware-rpctool": RPCTOOL.format(cases="\n".join(known))}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        for name in ("off", "guestinfo"):
            (folder / name).write_text("")
        (folder / "guestinfo").chmod(0o666)

    def is_off(self) -> bool:
        """Whether it has switched itself off."""
        return "o" in (self.folder / "tools/off").read_text()

    def guestinfo(self) -> dict[str, str]:
        """What it has set of the hypervisor's variables."""
        lines = (self.folder / "tools/guestinfo").read_text().splitlines()
        return {key: value for key, _, value in (line.partition(" ") for line in lines)}

    def _joined(self, command: Sequence[str]) -> list[str]:
        return ["sh", "-c", f'echo $$ >{self._cgroup}/cgroup.procs; exec "$@"', "sh", *command]

    @property
    def _first(self) -> str:
        """The host's number of its PID 1."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0]

    def inside(self, command: Sequence[str]) -> list[str]:
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd=/"]
        return self._joined(["nsenter", "--target", self._first, *namespaces, "env", "-i", f"PATH={PATH}", *command])

    def run(self, command: Sequence[str], data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Whatever its exit code."""
        given = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(self.inside(command), capture_output=True, **given)  # type: ignore[call-overload,no-any-return]

    def _services(self) -> list[str]:
        """What the services that a boot would run once would run, of those that were made by hand."""
        target = "t=/etc/systemd/system/default.target; sed -n 's/^\\(Requires\\|Wants\\)=//p' $t 2>/dev/null"
        units = self.run(["sh", "-c", target]).stdout.decode().split()
        made = []
        for unit in units:
            text = self.run(["cat", f"/etc/systemd/system/{unit}"]).stdout.decode()
            if "Type=oneshot" in text:
                made += re.findall(r"(?m)^ExecStart=(.*)$", text)
        return made

    def account(self, name: str) -> Account | None:
        script = 'for file in passwd shadow; do sed -n "s/^$1:/$1:/p" "/etc/$file" | head -n 1; done'
        lines = self.run(["sh", "-c", script, "sh", name]).stdout.decode().splitlines()
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or len(lines) != 2:
            return None
        known, secret = (line.split(":") for line in lines)
        return Account(name, int(known[2]), int(known[3]), known[5], secret[1])

    def start(self, account: Account, line: str, folder: str, variables: Sequence[str]) -> int:
        """A line for its shell, with no input and no output, as Tools start programs; its number there."""
        own = [f"HOME={account.home}", f"USER={account.name}", f"PATH={PATH}", *variables]
        before = 'echo $$; exec </dev/null >/dev/null 2>&1; cd "$1"; shift; exec "$@"'
        command = [
            "sh",
            "-c",
            before,
            "sh",
            folder or account.home,
            *account.words,
            "env",
            "-i",
            *own,
            "/bin/sh",
            "-c",
            line,
        ]
        process = subprocess.Popen(
            self.inside(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        program = Program(int(process.stdout.readline()), line, account.name, time.time())
        self.programs[program.pid] = program
        threading.Thread(target=self._wait, args=(process, program), daemon=True).start()
        return program.pid

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], program: Program) -> None:
        with process:
            code = process.wait()
        program.code = code if code >= 0 else 128 - code
        program.ended = time.time()

    def stop(self) -> None:
        """As a power cut."""
        if self._process is None:
            return
        with suppress(OSError):
            (self._cgroup / "cgroup.kill").write_text("1")
        with self._process as process:
            process.kill()
        self._process = None
        for folder in (*self._cgroup.glob("**/"), self._cgroup):
            _remove(folder)


def _remove(cgroup: Path) -> None:
    """The kernel takes a moment to end what was killed."""
    for _ in range(100):
        with suppress(FileNotFoundError):
            try:
                cgroup.rmdir()
            except OSError:
                time.sleep(0.02)
                continue
        return
