"""The campaign: each scenario's build is disturbed, what it leaves is looked at, and the next build is compared."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from tests.chaos.faults import FAULTS, Blow, end_neighbours
from tests.chaos.oracle import Before, broken, settled, unfinished, wrongly_ended
from tests.chaos.process import Run, steps_of
from tests.chaos.scenario import Scenario
from tests.chaos.world import LONG, World


@dataclass(frozen=True, slots=True)
class Outcome:
    """hit: whether the fault's moment came before the build was over. code: of the disturbed build. seconds: of all.

    wrong: what should not be; empty where all is as it should be.
    """

    scenario: Scenario
    hit: bool
    code: int | None
    seconds: float
    wrong: tuple[str, ...]

    @property
    def end(self) -> str:
        if self.code == 0:
            return "went on"
        return "killed" if self.code is not None and self.code < 0 else "gave up"


def reached(world: World, scenario: Scenario, began: float) -> object:
    """A question to a run: whether the scenario's moment has come."""
    share = scenario.share

    def events(run: Run) -> bool:
        return steps_of(run.events) > share * world.events[scenario.backend]

    def packed(run: Run) -> bool:
        last = next((event for event in reversed(run.events) if event["event"] == "step-progress"), None)
        return last is not None and last["step"] == "pack" and last["done"] >= share * last["total"]

    questions = {
        "time": lambda run: time.monotonic() - began > share * 3,
        "event": events,
        "bytes": packed,
        "processes": lambda run: len(run.processes()) >= 2 + share * 6,
        "part": lambda run: any(world.out.glob(".*")),
    }
    return questions[scenario.when]


def run_scenario(world: World, scenario: Scenario) -> Outcome:
    """Disturb a build, look, build again, look again."""
    began = time.monotonic()
    world.reset(scenario.depth)
    fault, blow, before = FAULTS[scenario.fault], Blow(world, scenario), Before(os.getpid())
    environ = fault.before(blow)
    run = world.start(scenario.backend, environ=environ)
    if run.until(reached(world, scenario, time.monotonic())):  # type: ignore[arg-type]
        time.sleep(scenario.late)
        blow.hit = run.code is None
        fault.strike(blow, run)
    wrong = [] if run.end(LONG) else ["the build hangs"]
    wrong += end_neighbours(blow)
    if scenario.fault.startswith("mirror"):
        blow.hit = world.mirror.lies > 0
    world.roomy()
    world.mirror.become_honest()
    wrong += wrongly_ended(fault, blow, run)
    wrong += settled(lambda: before.left(world))
    pids = [run.pid, *(other.pid for other, _, _ in blow.neighbours)]
    if run.code is not None and run.code >= 0 and not blow.neighbours:
        wrong += unfinished(world, pids)
    wrong += broken(world, scenario.backend, whole=run.code == 0)
    wrong += _next_build(world, scenario, before, pids)
    return Outcome(scenario, blow.hit, run.code, time.monotonic() - began, tuple(wrong))


def _next_build(world: World, scenario: Scenario, before: Before, pids: list[int]) -> list[str]:
    run = world.start(scenario.backend)
    wrong = [] if run.end(LONG) else ["hangs"]
    if run.code != 0:
        return [f"the next build: exit code {run.code}: {run.errors[-800:]}"]
    wrong += settled(lambda: before.left(world))
    wrong += unfinished(world, [*pids, run.pid])
    wrong += broken(world, scenario.backend, whole=True)
    return [f"after the next build: {each}" for each in wrong]


def table(outcomes: list[Outcome]) -> str:
    """As Markdown: a row for each fault."""
    rows = ["| fault | runs | met the build | went on | gave up | killed | wrong |", "|---|---|---|---|---|---|---|"]
    for name in [*FAULTS, "all"]:
        mine = [o for o in outcomes if name in (o.scenario.fault, "all")]
        if not mine:
            continue
        ends = [sum(1 for o in mine if o.end == end) for end in ("went on", "gave up", "killed")]
        counts = [len(mine), sum(o.hit for o in mine), *ends, sum(bool(o.wrong) for o in mine)]
        rows.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(rows)
