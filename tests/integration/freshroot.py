"""A freshly installed Debian, to be a build host for a while: a root made by mmdebstrap, entered in namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.bases.apt.archive import host_apt_settings, sources_here
from vmgen_build.host.system import DEBIAN_KEYS, host_system
from vmgen_build.store.cachedir import claim_cache
from vmgen_build.systems.parse import parse_system

CHECKOUT = "root/vmgen-build"
"""Where the clone lies in the root."""

CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
CGROUP_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))

ENTER = """\
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mkdir -p "$root/sys/fs/cgroup/init"
echo 0 >"$root/sys/fs/cgroup/init/cgroup.procs"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs tmpfs "$root/run"
for pair; do
    shift
    [ "$pair" != -- ] || break
    mkdir -p "$root${pair#*:}"
    mount --bind "${pair%%:*}" "$root${pair#*:}"
done
cd "$root"
pivot_root . mnt
umount -l /mnt
exec "$@"
"""
"""sh -eu ROOT [FROM:TO]... -- COMMAND: what is first in new mount, PID and cgroup namespaces. All of it ends with them.
Its own processes stand in a cgroup below the top, whose controllers its containers may then have."""


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """binds: folders of this host -> folders of the root."""

    folder: Path
    cgroup: Path | None
    binds: tuple[tuple[Path, str], ...]

    @property
    def checkout(self) -> Path:
        return self.folder / CHECKOUT

    def run(self, *command: str, timeout: float = 1500) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, as root. Output and errors come together. It dies with this process."""
        environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        environ |= {"LANG": "C.UTF-8", "PIP_CERT": "/root/host-ca.crt", "SSL_CERT_FILE": "/root/host-ca.crt"}
        kept = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "http_proxy", "https_proxy", "no_proxy")
        environ |= {name: os.environ[name] for name in kept if name in os.environ}
        join = 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' if self.cgroup else 'shift; exec "$@"'
        words = ["sh", "-euc", join, "sh", str(self.cgroup), "unshare", "--mount", "--pid", "--cgroup", "--fork"]
        words += ["--kill-child", "--propagation=private", "sh", "-euc", ENTER, "sh", str(self.folder)]
        words += [f"{here}:{there}" for here, there in self.binds]
        words += ["--", "env", f"--chdir=/{CHECKOUT}", *command]
        return subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environ,
            timeout=timeout,
        )


@contextmanager
def fresh_root(suite: str, source: Path, cache: Path) -> Iterator[FreshRoot]:
    """A minimal Debian with git, make and python3, this host's way to package archives, and a clone of the checkout
    `source`, changes of its files included.

    cache: what was downloaded for such roots and for builds stays there. The root has no time zones and no locales.
    """
    folder = cache.parent / f"{cache.name}-root-{suite}"
    shutil.rmtree(folder, ignore_errors=True)
    archives, pip = cache / "hosts" / f"archives-{suite}", cache / "hosts" / "pip"
    for one in (archives / "partial", pip):
        one.mkdir(parents=True, exist_ok=True)
    binds = ((archives, "/var/cache/apt/archives"), (pip, "/root/.cache/pip"))
    cgroup = next(
        (root / f"vmgen-host-{suite}" for root in CGROUP_ROOTS if (root / "cgroup.controllers").exists()), None
    )
    try:
        _bootstrap(suite, folder, archives, cache)
        clone(source, folder / CHECKOUT)
        if (cache / "downloads").exists():
            claim_cache(folder / CHECKOUT / "cache")
            subprocess.run(["cp", "-al", cache / "downloads", folder / CHECKOUT / "cache/downloads"], check=True)
        if cgroup:
            cgroup.mkdir(exist_ok=True)
        yield FreshRoot(folder, cgroup, binds)
    finally:
        if cgroup:
            remove_cgroup(cgroup)
        shutil.rmtree(folder)


def _bootstrap(suite: str, folder: Path, archives: Path, cache: Path) -> None:
    apt = '"$1"/var/cache/apt/archives'
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--include=git,make,python3"]
    command += [f"--aptopt={setting.rstrip(';')}" for setting in host_apt_settings()]
    if not host_system().is_debian:
        command.append(f"--keyring={DEBIAN_KEYS}")
    command += [
        "--skip=download/empty,essential/unlink,cleanup/apt",
        f'--setup-hook=mkdir -p {apt}/partial; find "{archives}" -maxdepth 1 -name "*.deb" -exec cp -lnt {apt} {{}} +',
        f'--customize-hook=find {apt} -maxdepth 1 -name "*.deb" -exec cp -lnt "{archives}" {{}} +',
        '--customize-hook=rm -rf "$1"/usr/share/zoneinfo "$1"/usr/share/i18n',
        *(suite, str(folder)),
        *(source.line() for source in sources_here(parse_system(f"debian-{suite}"), None, cache)),
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    for name in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf"):
        if Path("/", name).exists():
            shutil.copy(Path("/", name), folder / name)
    if CA_FILE.exists():
        shutil.copy(CA_FILE, folder / "root/host-ca.crt")


def clone(source: Path, goal: Path) -> None:
    """The checkout `source`, changes of its files included."""
    git: Sequence[str] = ("git", "-c", "safe.directory=*")
    subprocess.run([*git, "clone", "--quiet", f"file://{source}", goal], check=True)
    changes = subprocess.run(
        [*git, "-C", source, "diff", "--binary", "HEAD"], check=True, stdout=subprocess.PIPE
    ).stdout
    if changes:
        subprocess.run([*git, "-C", goal, "apply", "-"], check=True, input=changes)


def remove_cgroup(cgroup: Path) -> None:
    """Its processes were killed a moment ago: it is empty as soon as the last of them is gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                Path(folder).rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
