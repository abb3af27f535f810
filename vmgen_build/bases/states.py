"""What package archives of any kind hold now: asked for at most once an hour, remembered, and not older than before.

cache/facts/KEY.json           what an archive held when it was asked
cache/facts/newest-KEY.json    the newest that was ever seen at an index's address
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vmgen_build.bases.remembered import FACTS, FRESH, recall, remember
from vmgen_build.errors import BuildError
from vmgen_build.limits import RELEASE_AHEAD, RELEASE_BEHIND
from vmgen_build.plan.digests import digest_of
from vmgen_build.text import clean, without_passwords

LOCAL = ("file:", "copy:")
"""What the address of a folder of this host begins with."""


@dataclass(frozen=True, slots=True)
class State:
    """digest: of its index, which names all that it holds. date: epoch seconds, 0 where it says none."""

    digest: str
    date: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an archive says. address: of its index.

    marks: what never gets older in an archive that does not go back, name -> epoch seconds: "" for the index itself,
    else packages; none where that is not to be told.
    """

    address: str
    state: State
    marks: Mapping[str, int] = field(default_factory=dict)


def state_of(url: str, words: Sequence[str], ask: Callable[[], Answer], cache: Path, *, offline: bool) -> State:
    """What lies at `url`. words: all else that the answer depends on. A folder of this host is asked each time, offline
    too: that is cheap, and its owner may have changed it a moment ago.

    Raises BuildError, as `ask` does, and for an archive that went back.
    """
    key = hashlib.sha256("\0".join((url, *words)).encode()).hexdigest()[:32]
    known = _known(cache, f"{key}.json")
    local = url.startswith(LOCAL)
    if known is not None and not local and (offline or 0 <= time.time() - known[0] < FRESH):
        return known[1]
    if offline and not local:
        raise BuildError(f"nothing is known of {without_passwords(url)} yet: run once without --offline")
    try:
        answer = ask()
    except BuildError:
        if offline and known is not None:
            return known[1]
        raise
    _check_newest(answer, cache)
    found = answer.state
    record = {"asked": time.time(), "url": without_passwords(url), "digest": found.digest, "date": found.date}
    remember(cache, f"{key}.json", record)
    return found


def not_ahead(url: str, state: State) -> State:
    """The state itself. Raises BuildError where it is of a time to come: it would become that of an image."""
    if state.date > time.time() + RELEASE_AHEAD.amount:
        raise BuildError(
            f"{without_passwords(url)} is of a time to come: the limit '{RELEASE_AHEAD.name}' allows"
            f" {RELEASE_AHEAD.shown}; set this host's clock, or take another mirror"
        )
    return state


def digests_of(states: Iterable[tuple[str, State]]) -> Mapping[str, str]:
    """Of repositories by name, of which one may have several states: a digest of each."""
    found: dict[str, list[str]] = {}
    for name, state in states:
        found.setdefault(name, []).append(state.digest)
    return {name: every[0] if len(every) == 1 else digest_of(every) for name, every in found.items()}


def day(stamp: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(stamp))


def _check_newest(answer: Answer, cache: Path) -> None:
    """A mirror may be a day behind another, and not go back further. Raises BuildError.

    One mark is remembered, the newest of its time. Where it is gone, which no archive is blamed for, another takes its
    place.
    """
    if not answer.marks:
        return
    name = f"newest-{hashlib.sha256(answer.address.encode()).hexdigest()[:32]}.json"
    mark, date = _newest(cache, name)
    now = answer.marks.get(mark, -1)
    shown = without_passwords(answer.address)
    if 0 <= now < date - RELEASE_BEHIND.amount:
        what = f"'{clean(mark)}' of {shown}" if mark else shown
        raise BuildError(
            f"{what} is of {day(now)}, and one of {day(date)} was there before: the limit '{RELEASE_BEHIND.name}'"
            f" allows {RELEASE_BEHIND.shown}; take another mirror, or remove {cache / FACTS / name}"
            " where the archive went back on purpose"
        )
    newest = max(answer.marks, key=lambda one: (answer.marks[one], one))
    if now < 0 or answer.marks[newest] > date:
        remember(cache, name, {"url": shown, "mark": newest, "date": answer.marks[newest]})


def _newest(cache: Path, name: str) -> tuple[str, int]:
    """The mark that is remembered, and its date."""
    try:
        data = recall(cache, name)
        return str(data.get("mark", "")), int(data["date"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", 0


def _known(cache: Path, name: str) -> tuple[float, State] | None:
    try:
        data = recall(cache, name)
        return float(data["asked"]), State(str(data["digest"]), int(data["date"]))
    except (ValueError, KeyError, TypeError):
        return None
