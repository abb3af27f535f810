"""What can happen to a build, and which of its ends are right ones then."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.mirror import WHOLE, Mood
from tests.chaos.process import Run, send
from tests.chaos.scenario import Scenario
from tests.chaos.world import LONG, World, artifacts, used

YEAR = 365 * 86400
"""In seconds."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = frozenset({0, *(128 + number for number in STOPS)})
"""Exit codes of a build that was interrupted, and has undone what it had begun."""

UNBORN = frozenset(-number for number in STOPS)
"""The same, of one that was not at work yet: Python's own start."""

_FULL = re.compile(r"is full|no space left|No space left|has .* free")


@dataclass
class Blow:
    """One fault about to happen to one run. neighbours: other builds that it started, each with its output folder.

    hit: whether it did happen.
    """

    world: World
    scenario: Scenario
    neighbours: list[tuple[Run, str, Path]] = field(default_factory=list)
    hit: bool = False

    def __post_init__(self) -> None:
        self.chance = self.scenario.chance()
        self.clock = self.world.scratch / "clock"

    def neighbour(self) -> Run:
        others = [name for name in self.world.backends if name != "node"]
        backend = self.chance.choice([self.scenario.backend, *others])
        out = self.world.folder / f"beside-{len(self.neighbours)}"
        out.mkdir(exist_ok=True)
        run = self.world.start(backend, out=out, beside=True)
        self.neighbours.append((run, backend, out))
        return run


@dataclass(frozen=True)
class Fault:
    """before: what is done before the build starts; gives its environment. strike: what is done at the moment.

    codes: the right exit codes. says: what the message must match where the code is 1.
    """

    strike: Callable[[Blow, Run], None]
    codes: frozenset[int]
    before: Callable[[Blow], dict[str, str]] = lambda blow: {}
    says: re.Pattern[str] = re.compile("error: ")


def _kill(blow: Blow, run: Run) -> None:
    send(blow.chance.choice(run.processes() or [run.pid]), signal.SIGKILL)


def _kill_build(blow: Blow, run: Run) -> None:
    send(run.pid, signal.SIGKILL)


def _some(blow: Blow, run: Run) -> list[int]:
    processes = run.processes() or [run.pid]
    return processes if blow.chance.random() < 0.3 else [blow.chance.choice(processes)]


def _stop_continue(blow: Blow, run: Run) -> None:
    chosen = _some(blow, run)
    for pid in chosen:
        send(pid, signal.SIGSTOP)
    time.sleep(blow.chance.uniform(0.1, 1.5))
    for pid in chosen:
        send(pid, signal.SIGCONT)


def _stop_kill(blow: Blow, run: Run) -> None:
    for pid in _some(blow, run):
        send(pid, signal.SIGSTOP)
    time.sleep(blow.chance.uniform(0, 0.5))
    send(run.pid, signal.SIGKILL)


def _interrupt(blow: Blow, run: Run) -> None:
    send(run.pid, blow.chance.choice(STOPS))


def _interrupt_twice(blow: Blow, run: Run) -> None:
    _interrupt(blow, run)
    for _ in range(blow.chance.randint(1, 4)):
        time.sleep(blow.chance.uniform(0, 0.3))
        for pid in run.processes()[: blow.chance.randint(1, 3)]:
            send(pid, blow.chance.choice(STOPS))


def _full_output(blow: Blow, run: Run) -> None:
    world = blow.world
    world.resize(world.out, max(1, used(world.out)) + blow.chance.randrange(4096, 60_000_000))


def _full_cache(blow: Blow, run: Run) -> None:
    world = blow.world
    world.resize(world.cache, used(world.cache) + blow.chance.randrange(4096, 12_000_000))


def _mirror(*names: str) -> Fault:
    def before(blow: Blow) -> dict[str, str]:
        chance = blow.chance
        times = chance.choice((1, 2, WHOLE))
        moods = [name for name in names if not (blow.world.small and name == "long")]  # apt waits for minutes
        blow.world.mirror.become(Mood(chance.choice(moods), chance.randrange(12), times, chance))
        return {}

    def strike(blow: Blow, run: Run) -> None:
        return

    return Fault(strike, frozenset({0, 1}), before)


def _own_clock(blow: Blow) -> dict[str, str]:
    """The build's own wall clock, see clock/sitecustomize.py; the machine's is let alone."""
    blow.clock.write_text("0")
    return {"PYTHONPATH": str(Path(__file__).with_name("clock")), "VMGEN_CHAOS_CLOCK": str(blow.clock)}


def _jump(blow: Blow, run: Run) -> None:
    blow.clock.write_text(str(blow.chance.choice((10 * YEAR, -2 * YEAR, 3 * 86400, -3600, 5400, -30 * YEAR))))


def _cut(blow: Blow, run: Run) -> None:
    server = blow.world.server
    assert server is not None
    if blow.chance.random() < 0.3:
        server.freeze()
        time.sleep(blow.chance.uniform(0.5, 3))
    server.cut()


def _neighbour(blow: Blow, run: Run) -> None:
    blow.neighbour()


def _begin_neighbour(blow: Blow) -> dict[str, str]:
    blow.neighbour()
    time.sleep(blow.chance.uniform(0, 0.7))
    return {}


def _kill_neighbour(blow: Blow, run: Run) -> None:
    for other, _, _ in blow.neighbours:
        _kill(blow, other)


_ANY = frozenset({0, 1, -signal.SIGKILL})

FAULTS = {
    "kill": Fault(_kill, _ANY),
    "kill-build": Fault(_kill_build, _ANY),
    "stop-continue": Fault(_stop_continue, frozenset({0})),
    "stop-kill": Fault(_stop_kill, _ANY),
    "interrupt": Fault(_interrupt, STOPPED),
    "interrupt-twice": Fault(_interrupt_twice, STOPPED),
    "full-output": Fault(_full_output, frozenset({0, 1}), says=_FULL),
    "full-cache": Fault(_full_cache, frozenset({0, 1}), says=_FULL),
    "mirror-gone": _mirror("gone", "error"),
    "mirror-slow": _mirror("slow", "stall"),
    "mirror-lies": _mirror("cut", "garbage", "short", "long", "empty", "page"),
    "clock": Fault(_jump, frozenset({0, 1}), _own_clock),
    "cable": Fault(_cut, frozenset({0, 1})),
    "neighbour": Fault(_neighbour, frozenset({0})),
    "neighbour-killed": Fault(_kill_neighbour, frozenset({0}), _begin_neighbour),
}


def end_neighbours(blow: Blow) -> list[str]:
    """Wait for them. What is wrong with how they ended."""
    wrong = []
    for run, backend, out in blow.neighbours:
        if not run.end(LONG):
            wrong.append("the neighbour's build hangs")
        killed = blow.scenario.fault == "neighbour-killed"
        if run.code != 0 and not (killed and run.code in _ANY):
            wrong.append(f"the neighbour's build ends with {run.code}: {run.errors[-600:]}")
        if run.code == 0 and artifacts(out, backend) != blow.world.references[backend]:
            wrong.append("the neighbour's artifact differs")
        blow.world.clear(out)
    return wrong
