"""The work W1, by mmdebstrap and by vmgen-build, in one run: medians of N and their ratios.

W1: minimal Debian 12 plus vim git sshd build-utils valgrind tcpdump nmap netcat iptables, one group, one user, a host
name, one zstd tarball. Both sides have their packages downloaded before, and mmdebstrap gets the package list that our
image ends up with, so that both images hold the same. Run as root on an otherwise idle machine:

    .venv/bin/python bench/w1.py [--runs 3] [--work DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

TOOL = [sys.executable, "-m", "vmgen_build"]
RECIPE = """\
[hardware]
vm_id = w1
os = debian-12
[network]
tcpdump = 1
nmap = 1
netcat = 1
iptables = 1
[users]
[[groups]]
[[[group0]]]
name = students
[[users]]
[[[user0]]]
name = {user}
passwd = alesia
group = students
[config]
hostname = w1
[devel]
vim = 1
git = 1
build-utils = 1
valgrind = 1
[services]
sshd = 1
{more}
"""


def timed(command: list[str], **more: object) -> float:
    settle()
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} … failed:\n{done.stdout[-3000:]}")
    return time.monotonic() - start


def settle() -> None:
    """Let the disk come to rest: ext4 passes over inodes that were freed within the last five seconds, one by one."""
    os.sync()
    time.sleep(6)


class Ours:
    """vmgen-build with a cache of its own."""

    def __init__(self, work: Path) -> None:
        self.work, self.cache, self.out = work, work / "cache", work / "ours"

    def build(self, user: str = "caesar", more: str = "") -> float:
        recipe = self.work / "w1.ini"
        recipe.write_text(RECIPE.format(user=user, more=more))
        return timed([*TOOL, str(recipe), "-o", str(self.out), "--cache", str(self.cache), "-q"])

    def forget_layers(self) -> None:
        for name in ("layers", "records"):
            shutil.rmtree(self.cache / name, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)

    def first(self) -> float:
        self.forget_layers()
        return self.build()

    def manifest(self) -> dict[str, list[dict[str, str]]]:
        data: dict[str, list[dict[str, str]]] = json.loads(next(self.out.glob("*.manifest.json")).read_text())
        return data


class Theirs:
    """mmdebstrap: one call, one customize hook, its packages linked in as its manual page tells."""

    def __init__(self, work: Path, packages: list[str], debs: Path, mirror: list[str]) -> None:
        self.work, self.packages, self.debs, self.mirror = work, packages, debs, mirror

    def build(self) -> float:
        users = "groupadd students; useradd -m -g students -s /bin/bash caesar; echo caesar:alesia | chpasswd"
        hook = f'chroot "$1" sh -c "{users}"; echo w1 >"$1"/etc/hostname'
        archives = '"$1"/var/cache/apt/archives'
        goal = self.work / "theirs.tar.zst"
        goal.unlink(missing_ok=True)
        return timed(
            [
                "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(self.packages)}",
                "--skip=download/empty",
                "--skip=essential/unlink",
                f'--setup-hook=mkdir -p {archives}; cp -l "{self.debs}"/*.deb {archives}',
                f"--customize-hook={hook}",
                "bookworm",
                str(goal),
                *self.mirror,
            ],
            env=os.environ | {"TMPDIR": str(self.work)},
        )


def peak_memory(run: Callable[[], float]) -> int:
    """The largest VmHWM, in KiB, of any Python process below this one while `run` runs."""
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    text = status.read_text()
                    command = (status.parent / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"vmgen_build" in command and "VmHWM" in text:
                    peak = max(peak, int(text.split("VmHWM:")[1].split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return peak


def median(times: list[float]) -> float:
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None)
    arguments = parser.parse_args()
    work = Path(arguments.work or tempfile.mkdtemp(prefix="vmgen-bench-", dir="/var/tmp"))
    work.mkdir(parents=True, exist_ok=True)
    ours = Ours(work)
    print("downloading once …", flush=True)
    ours.first()
    packages = [p["name"] for p in ours.manifest()["packages"]]
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from vmgen_build.bases.apt.archive import sources_here
    from vmgen_build.systems.parse import parse_system

    mirror = [s.line() for s in sources_here(parse_system("debian-12"), None, ours.cache)]
    theirs = Theirs(work, packages, ours.cache / "downloads" / "packages-debian", mirror)
    rows: dict[str, list[float]] = {n: [] for n in ("mmdebstrap", "first", "unchanged", "user", "program", "help")}
    for number in range(arguments.runs):
        rows["mmdebstrap"].append(theirs.build())
        rows["first"].append(ours.first())
        rows["unchanged"].append(ours.build())
        rows["user"].append(ours.build(user=f"user{number}"))
        rows["program"].append(ours.build(user=f"user{number}", more="[gui]\nxterm = 1\n"))
        rows["help"].append(timed([*TOOL, "--help"]))
        print(f"run {number + 1}: " + "  ".join(f"{k} {v[-1]:.2f}s" for k, v in rows.items()), flush=True)
    peak = peak_memory(ours.first)
    base = median(rows["mmdebstrap"])
    size_ours = next(ours.out.glob("*.tar.zst")).stat().st_size
    size_theirs = (work / "theirs.tar.zst").stat().st_size
    print(f"\n{'what':28}{'median':>9}{'ratio to mmdebstrap':>22}")
    for name, times in rows.items():
        print(f"{name:28}{median(times):8.2f}s{median(times) / base:22.3f}")
    print(
        f"peak memory of the tool: {peak / 1024:.0f} MiB;"
        f" tarball {size_ours / 1e6:.0f} MB, theirs {size_theirs / 1e6:.0f} MB"
    )
    if arguments.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
