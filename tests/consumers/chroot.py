"""A root of another Debian, made once by mmdebstrap and kept, and entered in namespaces that end with their owner."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.freshroot import CA_FILE, CGROUP_ROOTS, ENTER, remove_cgroup
from vmgen_build.bases.apt.archive import host_apt_settings, host_mirrors
from vmgen_build.host.system import DEBIAN_KEYS

ARCHIVE = "http://deb.debian.org/debian"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Inside:
    """An entered root. first: the process that its namespaces live by."""

    first: int

    def run(self, *command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """As root of the chroot, whatever it answers; output and errors are apart."""
        words = ["setpriv", "--pdeathsig", "KILL", "nsenter", "--target", str(self.first), "--all", "--root", "--wd"]
        environ = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "USER": "root"}
        return subprocess.run(
            [*words, "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environ,
            timeout=timeout,
        )

    def ask(self, *command: str, timeout: float = 600) -> str:
        """What it prints. Raises Refused where it fails."""
        done = self.run(*command, timeout=timeout)
        if done.returncode != 0:
            raise Refused(f"{' '.join(command)}: {(done.stderr.strip() or done.stdout.strip())[-2000:]}")
        return done.stdout


class Refused(Exception):
    """A program in a chroot said no."""


def made(folder: Path, suite: str, packages: Sequence[str], components: str = "main") -> Path:
    """The root of that suite with these packages: the one that is below `folder` already, or a new one."""
    key = hashlib.sha256(" ".join([suite, components, *sorted(packages)]).encode()).hexdigest()[:12]
    goal, unfinished = folder / f"{suite}-{key}", folder / f"{suite}-{key}.unfinished"
    if not goal.is_dir():
        shutil.rmtree(unfinished, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(_bootstrap(unfinished, suite, packages, components), check=True, stdin=subprocess.DEVNULL)
        for name in ("etc/resolv.conf", "etc/hosts"):
            shutil.copy(Path("/", name), unfinished / name)
        unfinished.rename(goal)
    return goal


def _bootstrap(root: Path, suite: str, packages: Sequence[str], components: str) -> list[str]:
    """Signatures are checked. A mirror's Release of sid may be older than it says it is good for."""
    mirror = host_mirrors(root.parent).get("debian", ARCHIVE)
    settings = [setting.rstrip(";") for setting in host_apt_settings()]
    settings += ['Acquire::Check-Valid-Until "false"', 'APT::Install-Recommends "false"']
    words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    words += [f"--aptopt={setting}" for setting in settings]
    words += [f"--components={components.replace(' ', ',')}", f"--keyring={DEBIAN_KEYS}"]
    if CA_FILE.exists():
        words.append(f"--setup-hook=mkdir -p $1/etc/ssl/certs; cp {CA_FILE} $1/etc/ssl/certs/")
    return [*words, suite, str(root), mirror]


@contextmanager
def entered(root: Path, binds: Sequence[tuple[Path, str]] = (), *, network: bool = False) -> Iterator[Inside]:
    """The root with its own mounts, processes and cgroups; all of it ends here, or with this process.

    binds: folders of this host -> where they are inside. network: this host's network, else one of its own
    with a loopback alone.
    """
    with _cgroup(f"vmgen-consumers-{root.name}") as cgroup, _started(root, binds, cgroup, network) as outer:
        try:
            assert outer.stdout is not None
            if outer.stdout.readline() != "ready\n":
                raise Refused(f"{root} cannot be entered")
            yield Inside(_child(outer.pid))
        finally:
            outer.kill()


def _started(
    root: Path, binds: Sequence[tuple[Path, str]], cgroup: Path | None, network: bool
) -> subprocess.Popen[str]:
    join = 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' if cgroup else 'shift; exec "$@"'
    words = ["setpriv", "--pdeathsig", "KILL", "sh", "-euc", join, "sh", str(cgroup)]
    words += ["unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--fork"]
    words += ["--kill-child", "--propagation=private", *(() if network else ("--net",))]
    words += ["sh", "-euc", ENTER, "sh", str(root), *(f"{here}:{there}" for here, there in binds), "--"]
    words += ["sh", "-c", "ip link set lo up 2>/dev/null; echo ready; sleep infinity & wait"]
    environ = {"PATH": PATH, "HOME": "/root"}
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environ)


@contextmanager
def _cgroup(name: str) -> Iterator[Path | None]:
    """One of its own, below which what is entered makes its own; None where the host has no version 2 of them."""
    above = next((root for root in CGROUP_ROOTS if (root / "cgroup.controllers").exists()), None)
    if above is None:
        yield None
        return
    folder = above / name
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        remove_cgroup(folder)


def _child(pid: int) -> int:
    """The one child of `unshare --fork`: the first process inside."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
