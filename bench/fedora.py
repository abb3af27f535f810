"""W1 on the Fedora of the tests, by `dnf --installroot` alone and by vmgen-build; and ten recipes, two at a time.

The base is one large package, and programs are tiny ones (tests/distros): so the figures say what the tool adds to dnf,
and nothing of Fedora's own packages. dnf alone makes a folder, ours a verified tarball. Run as root on an otherwise
idle machine that has dnf:

    .venv/bin/python bench/fedora.py [--runs 3] [--work DIR]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.distros.fedora import DISTRIBUTION  # noqa: E402
from tests.distros.keys import signing_keys  # noqa: E402
from tests.distros.repositories import repositories  # noqa: E402
from tests.distros.server import mirror  # noqa: E402
from tests.distros.trees import tree_repository  # noqa: E402
from vmgen_build.store.cachedir import claim_cache  # noqa: E402
from vmgen_build.systems.parse import parse_system  # noqa: E402

TOOL = [sys.executable, "-m", "vmgen_build"]
PROGRAMS = ("vim-enhanced", "git", "gcc", "make", "valgrind", "tcpdump", "nmap")
SYSTEM = parse_system(DISTRIBUTION.system)
RECIPE = """\
[hardware]
vm_id = {name}
os = {os}
base_key = {key}
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
mirror = {mirror}
packages = {packages}
"""
TEN = 10


def timed(run: Callable[[], object]) -> float:
    """Seconds. ext4 passes over inodes that were freed within the last five seconds, one by one."""
    subprocess.run(["sync"], check=True)
    time.sleep(6)
    start = time.monotonic()
    run()
    return time.monotonic() - start


def call(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} … failed:\n{done.stdout[-3000:]}")


class Bench:
    """work: a folder of its own; url: of the mirror; key: file of what signs its packages."""

    def __init__(self, work: Path, url: str, key: Path) -> None:
        self.work, self.url, self.key = work, url, key
        self.cache, self.out, self.theirs = work / "cache", work / "ours", work / "theirs"

    def dnf(self) -> None:
        """The same packages into a folder, from its own empty cache."""
        shutil.rmtree(self.theirs, ignore_errors=True)
        (self.theirs / "repos").mkdir(parents=True)
        home = self.theirs / "home"
        home.mkdir()
        macros = "".join(f"%{name} {value}\n" for name, value in SYSTEM.rpm_macros.items())
        (home / ".rpmmacros").write_text(macros)
        rows = (
            f"[r{n}]\nname=r{n}\nbaseurl={self.url}/{suite}\ngpgcheck=1\ngpgkey=file://{self.key}\n"
            for n, suite in enumerate(SYSTEM.archives[0].suites)
        )
        (self.theirs / "repos/r.repo").write_text("".join(rows))
        (self.theirs / "dnf.conf").write_text("[main]\ninstall_weak_deps=0\n")
        call(
            [
                "env",
                f"HOME={home}",
                "dnf",
                "-y",
                "-q",
                f"--config={self.theirs / 'dnf.conf'}",
                f"--setopt=reposdir={self.theirs / 'repos'}",
                f"--installroot={self.theirs / 'root'}",
                f"--releasever={SYSTEM.version}",
                "install",
                *SYSTEM.base_packages,
                *PROGRAMS,
                "NetworkManager",
            ]
        )

    def recipe(self, name: str, user: str, *more: str) -> Path:
        path = self.work / f"{name}.ini"
        packages = ", ".join((*PROGRAMS, *more))
        text = RECIPE.format(name=name, os=SYSTEM.name, key=self.key, user=user, mirror=self.url, packages=packages)
        path.write_text(text)
        return path

    def ours(self, user: str = "caesar") -> None:
        call([*TOOL, str(self.recipe("w1", user)), "-o", str(self.out), "--cache", str(self.cache), "-q"])

    def ten(self) -> None:
        """Ten recipes that share base and programs, and differ in their users, two at a time."""
        recipes = [str(self.recipe(f"ten{number}", f"user{number}")) for number in range(TEN)]
        call([*TOOL, *recipes, "--jobs", "2", "-o", str(self.out), "--cache", str(self.cache), "-q"])

    def forget(self) -> None:
        """The layers and what was built; downloads stay."""
        for name in ("layers", "records"):
            shutil.rmtree(self.cache / name, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)


@contextmanager
def bench(work: Path) -> Iterator[Bench]:
    made = work / "made"
    claim_cache(made)
    tree, programs = tree_repository(made, DISTRIBUTION, SYSTEM.base_packages), repositories(made, DISTRIBUTION)
    first, second = SYSTEM.archives[0].suites
    with mirror({f"/m/{first}/": tree / "main", f"/m/{second}/": programs / "main"}) as server:
        yield Bench(work, f"{server.url}/m", signing_keys(made)["distribution"].public)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None)
    arguments = parser.parse_args()
    work = Path(arguments.work or tempfile.mkdtemp(prefix="vmgen-bench-", dir="/var/tmp"))
    work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[float]] = {}
    with bench(work) as one:
        one.ours()
        for number in range(arguments.runs):
            for name, before, run in (
                ("dnf --installroot", None, one.dnf),
                ("ours, first", one.forget, one.ours),
                ("ours, unchanged", None, one.ours),
                ("ours, another user", None, lambda: one.ours(f"user{number}")),  # noqa: B023
                ("ours, ten recipes", one.forget, one.ten),
            ):
                if before is not None:
                    before()
                rows.setdefault(name, []).append(timed(run))
            print(f"run {number + 1}: " + "  ".join(f"{k} {v[-1]:.2f}s" for k, v in rows.items()), flush=True)
    base, cold = (statistics.median(rows[name]) for name in ("dnf --installroot", "ours, first"))
    print(f"\n{'what':24}{'median':>9}{'ratio to dnf':>16}{'ratio to ours, first':>24}")
    for name, times in rows.items():
        seconds = statistics.median(times)
        print(f"{name:24}{seconds:8.2f}s{seconds / base:16.2f}{seconds / cold:24.2f}")
    if arguments.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
