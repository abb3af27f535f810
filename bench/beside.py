"""Two checkouts of this tool on the same work, one after the other in each round: medians of N and their ratio.

The work is W1 (bench/w1.py) as a container tarball, and as an OVA: a first build with an empty layer cache, again with
nothing changed, again with another user name. `steps` are the seconds of all steps but the packing. Then the tarball is
verified, and the OVA's file alone. Run as root on an otherwise idle machine, from the checkout that is to be compared:

    .venv/bin/python bench/beside.py OTHER_CHECKOUT [--runs 3] [--work DIR]
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
import time
from pathlib import Path

from w1 import RECIPE, settle

HERE = Path(__file__).resolve().parents[1]


class Checkout:
    """One checkout, with a cache of its own; both run by this interpreter and its packages."""

    def __init__(self, code: Path, work: Path) -> None:
        self.code, self.work, self.cache = code, work, work / "cache"
        work.mkdir(parents=True, exist_ok=True)

    def build(self, backend: str, user: str = "caesar") -> tuple[float, float]:
        """Seconds in all, and of the steps before the packing."""
        recipe = self.work / "w1.ini"
        recipe.write_text(RECIPE.format(user=user, more=""))
        words = [str(recipe), "-b", backend, "-o", str(self.work / "out"), "--cache", str(self.cache), "--json"]
        settle()
        start = time.monotonic()
        printed = self._run(*words)
        taken = time.monotonic() - start
        events = [json.loads(line) for line in printed.splitlines()]
        finished = [e for e in events if e["event"] == "step-finished" and e["step"] != "pack"]
        return taken, sum(e["seconds"] for e in finished)

    def verify(self, pattern: str, *more: str) -> float:
        """Seconds that verifying the one artifact of that name takes."""
        (artifact,) = (self.work / "out").glob(pattern)
        settle()
        start = time.monotonic()
        self._run("verify", str(artifact), "--cache", str(self.cache), *more)
        return time.monotonic() - start

    def _run(self, *words: str) -> str:
        """What the tool prints. Ends the benchmark where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "vmgen_build", *words],
            cwd=self.code,
            env=os.environ | {"PYTHONPATH": str(self.code)},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"{self.code}: {' '.join(words)} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout

    def forget(self) -> None:
        for name in ("layers", "records"):
            shutil.rmtree(self.cache / name, ignore_errors=True)
        shutil.rmtree(self.work / "out", ignore_errors=True)

    def round(self, number: int) -> dict[str, float]:
        self.forget()
        row = {"W1 first": self.build("lxc")[0], "W1 unchanged": self.build("lxc")[0]}
        row["W1 user"], row["W1 user, steps"] = self.build("lxc", f"user{number}")
        row["verify W1"] = self.verify("*.tar.zst")
        row["OVA after W1"] = self.build("vmware")[0]
        row["verify OVA, file"] = self.verify("*.ova", "--no-boot")
        row["OVA user"], row["OVA user, steps"] = self.build("vmware", f"other{number}")
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=None)
    arguments = parser.parse_args()
    work = Path(arguments.work or tempfile.mkdtemp(prefix="vmgen-bench-", dir="/var/tmp"))
    sides = {"other": Checkout(arguments.other.resolve(), work / "other"), "here": Checkout(HERE, work / "here")}
    print("downloading once …", flush=True)
    for side in sides.values():
        side.build("lxc")
        side.build("vmware")
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(arguments.runs):
        for name, side in sides.items():
            rows[name].append(side.round(number))
            print(
                f"round {number + 1} {name:6}" + "  ".join(f"{k} {v:.2f}" for k, v in rows[name][-1].items()),
                flush=True,
            )
    print(f"\n{'medians':20}{'other':>10}{'here':>10}{'ratio':>9}")
    for what in rows["here"][0]:
        before, after = (statistics.median(row[what] for row in rows[name]) for name in sides)
        print(f"{what:20}{before:9.2f}s{after:9.2f}s{after / max(before, 0.01):9.2f}")
    if arguments.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
