"""What a command takes before it does anything, medians of N in turns: wall and processor time, beside the bare Python
that it runs on. None needs root; run it on an otherwise idle machine:

    .venv/bin/python bench/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
BUDGET = 0.3
"""Seconds of wall time: a person does not wait, and a shell's completion is not felt."""

RECIPE = str(ROOT / "recipes" / "lab.ini")
COMPLETE = ("vmgen-build lab.ini --set hardware.", "\"'><=;|&(:")
"""The line as bash gives it, up to the cursor, and the characters that end its words."""

COMMANDS: Sequence[tuple[str, Sequence[str], Mapping[str, str]]] = (
    ("python -c pass", (sys.executable, "-c", "pass"), {}),
    ("vmgen-build --help", (str(BIN / "vmgen-build"), "--help"), {}),
    ("vmgen-build check recipes/lab.ini", (str(BIN / "vmgen-build"), "check", RECIPE), {}),
    ("completion of --set hardware.", (str(BIN / "vmgen-build"), *COMPLETE), {"_VMGEN_BUILD_COMPLETE": "bash"}),
    ("vmgctl recipes/lab.ini hardware.ram", (str(BIN / "vmgctl"), RECIPE, "hardware.ram"), {}),
)


def seconds(words: Sequence[str], more: Mapping[str, str]) -> tuple[float, float]:
    """Wall and processor time of one run, which must end well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        subprocess.run(words, check=True, stdout=out, env=os.environ | dict(more))
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in COMMANDS}
    for _ in range(given.runs + 1):
        for name, words, more in COMMANDS:
            found[name].append(seconds(words, more))
    print(f"{'':40} {'wall':>7} {'CPU':>7}  of {BUDGET} s")
    for name, all_runs in found.items():
        warm = all_runs[1:]
        wall, cpu = (statistics.median(column) for column in zip(*warm, strict=True))
        print(f"{name:40} {wall:7.3f} {cpu:7.3f}  {wall / BUDGET:.2f}")


if __name__ == "__main__":
    main()
