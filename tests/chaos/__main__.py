"""`python -m tests.chaos [--runs N] [--seed N] [--only N ...] [--quick]`: see docs/security.md. Root."""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.campaign import Outcome, run_scenario, table
from tests.chaos.process import adopt_orphans
from tests.chaos.scenario import BACKENDS, draw
from tests.chaos.world import World

_INSIDE = "VMGEN_CHAOS_INSIDE"
ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    words = _words()
    if _INSIDE not in os.environ:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | {_INSIDE: "1"}).returncode
    del os.environ[_INSIDE]
    seed = words.seed if words.seed is not None else random.randrange(1 << 20)
    drawn = (draw(seed, number, quick=words.quick) for number in itertools.count(1))
    chosen = (s for s in drawn if words.on in (s.backend, None) and s.number in (words.only or [s.number]))
    chosen = (s for s in chosen if s.number >= words.first)
    scenarios = list(itertools.islice(chosen, len(words.only) if words.only else words.runs))
    adopt_orphans()
    print(f"SEED={seed}", flush=True)
    wanted = {s.backend for s in scenarios} | ({"lxc"} if any("neighbour" in s.fault for s in scenarios) else set())
    wanted_backends = tuple(name for name in BACKENDS if name in wanted)
    folder = words.folder or Path(f"/tmp/chaos-{os.getpid()}")
    world = World(folder, words.cache, wanted_backends, words.quick)
    outcomes: list[Outcome] = []
    try:
        began = time.monotonic()
        world.prepare()
        print(f"prepared in {time.monotonic() - began:.0f} s", flush=True)
        for scenario in scenarios:
            outcomes.append(run_scenario(world, scenario))
            _print(outcomes[-1])
    finally:
        world.end()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = f"{time.monotonic() - began:.0f} s, at least {used.ru_utime + used.ru_stime:.0f} s of CPU"
    print(f"\nmake chaos RUNS={len(scenarios)} SEED={seed}: {spent}\n\n{table(outcomes)}")
    return int(any(outcome.wrong for outcome in outcomes))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", type=int, nargs="+", help="the numbers of some runs, to do them again")
    parser.add_argument("--first", type=int, default=1, help="the number of the first run, to share a campaign")
    parser.add_argument("--on", choices=BACKENDS, help="the runs on this backend alone")
    parser.add_argument("--quick", action="store_true", help="containers of this host alone, with a small base")
    cache = ROOT / (os.environ.get("VMGEN_TEST_CACHE") or ".testcache/chaos")
    parser.add_argument("--cache", type=Path, default=cache, help="a cache that stays for the next campaign")
    parser.add_argument("--folder", type=Path, help="where the campaign works; new")
    return parser.parse_args()


def _print(outcome: Outcome) -> None:
    missed = "" if outcome.hit else ", came too late"
    print(f"{outcome.scenario}: {outcome.end} ({outcome.code}){missed}, {outcome.seconds:.1f} s", flush=True)
    for wrong in outcome.wrong:
        print(f"    WRONG: {wrong}", flush=True)


sys.exit(main())
