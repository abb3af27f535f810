"""Why a step runs again: what its last build depended on beside what it depends on now, in words."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmgen_build import __version__
from vmgen_build.build.engine import place_of, plans_at_hand
from vmgen_build.build.facts import archive_is_known, facts_at_hand, facts_for
from vmgen_build.build.inputs import PACK, Describer, key_of
from vmgen_build.build.options import BuildOptions, StepState
from vmgen_build.build.scrubbing import Scrubber
from vmgen_build.errors import BuildError, HostError
from vmgen_build.events import Bus
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.store.inputs import LastBuild, StageInputs, read_inputs

MOST_LINES = 200
"""Changed lines that are given of one text."""

CODES = ("cached", "never", "new", "changed", "behind", "failed", "not-reached", "gone", "unknown")


@dataclass(frozen=True, slots=True)
class Change:
    """what: "its script changed". lines: each begins with "-" (as it was) or "+" (as it is)."""

    what: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Of one stage. code: one of CODES, "cached" where it does not run. text: the same for people. changes: of what it
    depends on itself."""

    step: str
    title: str
    id: str
    code: str
    text: str
    changes: tuple[Change, ...] = ()

    @property
    def runs(self) -> bool:
        return self.code != "cached"


@dataclass(frozen=True, slots=True)
class Explained:
    """Of one backend's plan. when: of the last build, seconds since the epoch; None where there was none. gone: titles
    of steps that the last build had. notes: what else is another."""

    backend: str
    reasons: tuple[Reason, ...]
    when: float | None = None
    gone: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def why(recipe: Recipe, options: BuildOptions, bus: Bus) -> list[Explained]:
    """For each backend, every stage in its order. Changes nothing in the cache but what archives say. Needs no root.

    Raises RecipeError, UsageError, HostError where the record of the last build is not this user's to read.
    """
    place = place_of(recipe, options)
    facts = _facts(recipe, options, bus)
    return [explain(recipe, options, plan, states) for plan, states in plans_at_hand(recipe, place, bus, facts)]


def _facts(recipe: Recipe, options: BuildOptions, bus: Bus) -> Facts:
    """What a build would find now; where the archive does not answer, what was known the last time."""
    if not options.offline:
        try:
            return facts_for(recipe, options.cache, offline=False)
        except (BuildError, HostError):
            bus.note("the package archive does not answer: taken is what was known of it the last time", "warning")
    facts = facts_at_hand(recipe, options.cache, offline=True)
    if not archive_is_known(recipe, facts):
        bus.note("nothing is known of the package archive yet: every step counts as one to run", "warning")
    return facts


def explain(recipe: Recipe, options: BuildOptions, plan: Plan, states: Sequence[StepState]) -> Explained:
    """One backend's plan beside its last build. states: of its stages and the packing. Raises HostError as `why`."""
    last = read_inputs(options.cache, key_of(recipe, plan, options))
    if last is None:
        return Explained(plan.backend, tuple(_without_record(state) for state in states))
    describer = Describer(Scrubber.of(recipe, plan), last.salt)
    now = describer.stages(plan, options.packings(plan.backend))
    names = {stage.name for stage in now}
    notes = [] if last.tool == __version__ else [f"vmgen-build was {last.tool} then, and is {__version__} now"]
    return Explained(
        backend=plan.backend,
        reasons=tuple(_Comparison(last, now).reasons(states)),
        when=last.when,
        gone=tuple(stage.title for stage in last.stages if stage.name not in names),
        notes=tuple(notes),
    )


def _without_record(state: StepState) -> Reason:
    if state.cached:
        return _reason(state, "cached", "its result is in the cache")
    return _reason(state, "never", "this recipe was never built here before")


def _reason(state: StepState, code: str, text: str, changes: tuple[Change, ...] = ()) -> Reason:
    return Reason(state.step, state.title, state.id, code, text, changes)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """now: of each stage of the plan at hand, in its order."""

    last: LastBuild
    now: Sequence[StageInputs]

    def reasons(self, states: Sequence[StepState]) -> Iterator[Reason]:
        before = {stage.name: stage for stage in self.last.stages}
        first = ""
        for state, stage in zip(states, self.now, strict=True):
            first = first or self._missing_before(stage)
            past = before.get(stage.name)
            changes = tuple(changed(past, stage)) if past is not None else ()
            yield self._of(state, past, changes, first)
            if not first and (past is None or changes):
                first = f"'{stage.title}', which {'is new' if past is None else 'changed'}"

    def _of(self, state: StepState, past: StageInputs | None, changes: tuple[Change, ...], first: str) -> Reason:
        """first: what comes before it and is another now, with the words that say so; "" for nothing."""
        if state.cached:
            text = "its result is in the cache"
            return _reason(state, "cached", f"{text}, of another build before" if changes else text, changes)
        if past is None:
            return _reason(state, "new", "it is new since the last build")
        if changes:
            return _reason(state, "changed", "what it is made from changed", changes)
        if past.id == state.id:
            return _reason(state, *self._same(state))
        if first:
            return _reason(state, "behind", f"it stands on {first}")
        return _reason(state, "unknown", "what it stands on is another, in a way that the last build did not record")

    def _same(self, state: StepState) -> tuple[str, str]:
        """Why what is as it was runs nevertheless."""
        names = [stage.name for stage in self.last.stages]
        failed = self.last.failed
        if failed == state.step:
            return "failed", "it failed in the last build"
        if failed in names and names.index(state.step) > names.index(failed):
            title = self.last.stages[names.index(failed)].title
            return "not-reached", f"the last build did not reach it: '{title}' failed"
        if state.step == PACK:
            return "gone", "its files are not in the output folder as they were written"
        return "gone", "nothing changed, and its result is no longer in the cache"

    def _missing_before(self, stage: StageInputs) -> str:
        """What stood right before this stage in the last build and is in the plan no more, with the words of it."""
        names = [one.name for one in self.last.stages]
        if stage.name not in names:
            return ""
        there = {one.name for one in self.now}
        earlier = self.last.stages[: names.index(stage.name)]
        gone = next((one for one in earlier if one.name not in there), None)
        return f"'{gone.title}', which is there no more" if gone else ""


def changed(before: StageInputs, now: StageInputs) -> Iterator[Change]:
    """What of a stage's own is another."""
    yield from _archive(before.values, now.values)
    for name in dict.fromkeys((*before.values, *now.values)):
        old, new = before.values.get(name), now.values.get(name)
        if old != new and name not in ("release", "epoch"):
            yield _value_change(name, old, new)
    for name in dict.fromkeys((*before.texts, *before.digests, *now.texts, *now.digests)):
        yield from _content(name, before, now)


def _archive(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """The release and the date go together: a state of the archive."""
    if old.get("release") != new.get("release"):
        lines = (f"-{_state(old)}", f"+{_state(new)}")
        yield Change("the package archive holds something else than at the last build", lines)
    elif old.get("epoch") != new.get("epoch"):
        lines = (f"-{_day(old.get('epoch'))}", f"+{_day(new.get('epoch'))}")
        yield Change("the date that no file is younger than (SOURCE_DATE_EPOCH)", lines)


def _state(values: Mapping[str, str]) -> str:
    return f"{_day(values.get('epoch'))} (Release {values.get('release', 'unknown')[:12]})"


def _day(seconds: str | None) -> str:
    if seconds is None or not seconds.isdigit() or len(seconds) > 11:
        return "unknown"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(int(seconds)))


def _value_change(name: str, old: str | None, new: str | None) -> Change:
    kind, _, inner = name.partition(":")
    what = f"the mode of its file '{inner}'" if kind == "mode" else _VALUES.get(name, f"its {name}")
    old_items, new_items = _items(old), _items(new)
    gone = [f"-{one}" for one in old_items if one not in new_items]
    come = [f"+{one}" for one in new_items if one not in old_items]
    return Change(f"{what} changed", (*gone, *come)[:MOST_LINES])


_VALUES = {
    "format": "the form in which vmgen-build keeps results",
    "packages": "the packages that it begins with",
    "keys": "the keys of the package archive",
    "sha256": "the file that it is made of",
    "root": "the root that it is made of",
    "success": "the exit codes that mean success",
    "network": "whether it reaches the network",
    "reboot": "whether the guest is started anew after it",
}


def _items(value: str | None) -> list[str]:
    """Of a list its items; nothing of what is not there."""
    if value is None:
        return []
    if value.startswith("["):
        found = json.loads(value)
        return [one if isinstance(one, str) else json.dumps(one) for one in found]
    return [value]


def _content(name: str, before: StageInputs, now: StageInputs) -> Iterator[Change]:
    """Of a text or of what is kept as a digest."""
    texts = (before.texts.get(name), now.texts.get(name))
    old, new = (texts[0] or before.digests.get(name), texts[1] or now.digests.get(name))
    if old == new and (name in before.digests) == (name in now.digests):
        return
    what = _named(name)
    was, there = (name in stage.texts or name in stage.digests for stage in (before, now))
    if not (was and there):
        yield Change(f"{what} {'is new' if there else 'is there no more'}")
        return
    lines = _lines(*texts) if None not in texts else ()  # type: ignore[arg-type]
    yield Change(f"{what} changed", lines)


def _named(name: str) -> str:
    kind, colon, inner = name.partition(":")
    if not colon:
        return "its script" if name == "script" else f"the file '{name}' that goes with the image"
    words = {
        "file": f"the content of its file '{inner}'",
        "secret": f"something secret of it ({inner})",
        "program": f"what is known of the program '{inner}'",
        "repository": f"what the repository '{inner}' holds",
    }
    return words.get(kind, f"'{name}'")


def _lines(old: str, new: str) -> tuple[str, ...]:
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    lines = [line for line in list(found)[2:] if not line.startswith("@@")]
    left = len(lines) - MOST_LINES
    return (*lines[:MOST_LINES], *((f"({left} more lines)",) if left > 0 else ()))
