"""Builds on a node that lose their builder, their guardian, both, or the cable, at moments that are drawn from a seed.

`python -m tests.node.moments [--moments N] [--seed N] [--only N]` prints a table; root. See docs/nodes.md.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.process import Run
from tests.integration.sshd import Sshd, sshd
from tests.node.node import Node, make_node, template_from

RECIPE = Path(__file__).with_name("moments.ini")
RECORDS = Path("/var/lib/vmgen-build/builds")
CTID = 4104

LOSSES = ("builder", "guardian", "both", "cable")
"""What is lost. Of those without a builder and without a guardian, the next build clears up."""

LONG, PATIENCE = 600.0, 150.0
"""Seconds that a build may take, and those that a node has to clear up: it waits for vzctl create."""

Reached = Callable[["Place", Run], bool]


@dataclass
class Place:
    """A node, and how it is reached. began: what the cache holds when nothing of ours is kept."""

    node: Node
    server: Sshd
    cache: Path
    folder: Path
    began: list[str] = field(default_factory=list)

    def start(self) -> Run:
        """A build of which the output folder holds nothing yet."""
        for path in (self.folder / "out").iterdir():
            path.unlink()
        words = ["build", RECIPE, "-b", "openvz", "--host", self.server.url, "-o", self.folder / "out"]
        return Run([*words, "--cache", self.cache], os.environ | self.server.environ, self.folder)

    def forget_templates(self) -> None:
        for path in self.node.cache.glob("*-vmgen-*"):
            path.unlink()

    def left(self) -> list[str]:
        """What is there beyond what the node began with; OS templates of ours, whole, may stay."""
        found = [thing for thing in self.node.left_over() if "-vmgen-" not in thing or ".part" in thing]
        return found + [f"record {path.name}" for path in RECORDS.glob("*")]

    def settled(self) -> list[str]:
        end = time.monotonic() + PATIENCE
        while (found := self.left()) and time.monotonic() < end:
            time.sleep(0.2)
        return found


def _conf(place: Place) -> str:
    try:
        return (place.node.conf / f"{CTID}.conf").read_text()
    except OSError:
        return ""


def _is_mounted(place: Place) -> bool:
    return any(target.endswith(f"/{CTID}") for target in place.node.mounts())


def _step(name: str) -> Reached:
    def reached(place: Place, run: Run) -> bool:
        return any(e["event"] == "step-started" and e["step"] == name for e in list(run.events))

    return reached


def _home(place: Place, run: Run) -> bool:
    return any("bringing the root home" in str(event.get("text", "")) for event in list(run.events))


STEPS = ("packages-network", "packages-openvz", "system", "network", "script-last", "openvz", "generalise")
"""Of the recipe's plan."""

MOMENTS: dict[str, Reached] = {
    "create begins": lambda place, run: bool(_conf(place)),
    "create unpacks": lambda place, run: (place.node.private / f"{CTID}.tmp/usr").exists(),
    "postcreate": lambda place, run: (place.node.private / f"{CTID}/etc").exists() and "NAME=" not in _conf(place),
    "set": lambda place, run: "NAME=" in _conf(place),
    "mount": lambda place, run: "STOP_TIMEOUT=" in _conf(place) and _is_mounted(place),
    "start": lambda place, run: (place.node.folder / f"run/started/{CTID}").exists(),
    **{f"step {name}": _step(name) for name in STEPS},
    "packing a template": lambda place, run: any(place.node.cache.glob(".*.part-*")),
    "way home": _home,
}
"""What a moment is called, and whether it has come. Each is met up to half a second late."""


@dataclass(frozen=True)
class Moment:
    number: int
    name: str
    loss: str
    late: float


@dataclass(frozen=True)
class Outcome:
    """met: whether the moment came. code: of the build. wrong: what should not be."""

    moment: Moment
    met: bool
    code: int | None
    seconds: float
    wrong: tuple[str, ...]


def drawn(seed: int, moments: int) -> list[Moment]:
    """Every name with every loss in turn, each with a delay of its own."""
    pairs = [(name, loss) for loss in LOSSES for name in MOMENTS]
    random.Random(seed).shuffle(pairs)
    chosen = []
    for number in range(1, moments + 1):
        name, loss = pairs[(number - 1) % len(pairs)]
        chance = random.Random(f"{seed}/{number}")
        chosen.append(Moment(number, name, loss, chance.choice((0.0, chance.uniform(0, 0.05), chance.uniform(0, 0.5)))))
    return chosen


def meet(place: Place, moment: Moment) -> Outcome:
    """Lose what the moment says, look, build again, look again."""
    began = time.monotonic()
    if moment.name == "packing a template" or moment.name.startswith("step packages"):
        place.forget_templates()
    run = place.start()
    met = run.until(lambda r: MOMENTS[moment.name](place, r))
    if met:
        time.sleep(moment.late)
        _lose(place, run, moment.loss)
    wrong = [] if run.end(LONG) else ["the build hangs"]
    wrong += _wrong_end(moment, met, run)
    if moment.loss != "both":
        wrong += [f"left: {thing}" for thing in place.settled()]
    following = place.start()
    if not following.end(LONG) or following.code != 0:
        wrong.append(f"the next build ends with {following.code}: {following.errors[-600:]}")
    wrong += [f"left after the next build: {thing}" for thing in place.settled()]
    return Outcome(moment, met, run.code, time.monotonic() - began, tuple(wrong))


def _lose(place: Place, run: Run, loss: str) -> None:
    """Beside LOSSES: "interrupt", of the builder, as by Ctrl-C."""
    if loss == "cable":
        place.server.cut()
        return
    guardians = place.server.running("vmgen-guardian")
    doomed = {"guardian": guardians, "both": [*guardians, run.pid]}.get(loss, [run.pid])
    for pid in doomed:
        os.kill(pid, signal.SIGINT if loss == "interrupt" else signal.SIGKILL)


def _wrong_end(moment: Moment, met: bool, run: Run) -> list[str]:
    right = {"builder": -signal.SIGKILL, "both": -signal.SIGKILL, "interrupt": 130}.get(moment.loss, 1)
    if run.code not in (0, right if met else 0):
        return [f"exit code {run.code}: {run.errors[-600:]}"]
    return ["a traceback"] if "Traceback" in run.errors else []


@contextmanager
def prepared(node: Node, cache: Path, folder: Path) -> Iterator[Place]:
    """The node's template is there. A build that nobody disturbs comes first."""
    home = folder / "sshd"
    with sshd(home, prefix=node.inside([]), environment={"HOME": str(home)}) as server:
        (folder / "out").mkdir()
        place = Place(node, server, cache, folder)
        run = place.start()
        run.end(LONG)
        assert run.code == 0, run.errors
        node.begin()
        yield place


def table(outcomes: list[Outcome]) -> str:
    """As Markdown: a row for each moment, a column for each loss: how many builds, and how many ended wrong."""
    rows = [f"| moment | {' | '.join(LOSSES)} | wrong |", "|---|" + "---|" * (len(LOSSES) + 1)]
    for name in [*MOMENTS, "all"]:
        mine = [o for o in outcomes if name in (o.moment.name, "all")]
        counts = [sum(o.moment.loss == loss and o.met for o in mine) for loss in LOSSES]
        rows.append(f"| {name} | " + " | ".join(map(str, [*counts, sum(bool(o.wrong) for o in mine)])) + " |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.node.moments")
    parser.add_argument("--moments", type=int, default=40)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--only", type=int, help="the number of one moment")
    parser.add_argument("--cache", type=Path, default=Path(".testcache/test"), help="of the tests")
    words = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        node = make_node(Path(folder) / "n")
        try:
            template_from(words.cache.absolute(), node)
            with prepared(node, words.cache.absolute(), Path(folder)) as place:
                for moment in drawn(words.seed, words.moments):
                    if words.only in (None, moment.number):
                        outcomes.append(meet(place, moment))
                        show(outcomes[-1])
        finally:
            node.destroy()
    print(f"\n{table(outcomes)}")
    return int(any(outcome.wrong for outcome in outcomes))


def show(outcome: Outcome) -> None:
    moment = outcome.moment
    missed = "" if outcome.met else ", came too late"
    head = f"{moment.number}: {moment.loss} lost at: {moment.name} + {moment.late:.2f} s"
    print(f"{head}: ended with {outcome.code}{missed}, {outcome.seconds:.0f} s", flush=True)
    for wrong in outcome.wrong:
        print(f"    WRONG: {wrong}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
