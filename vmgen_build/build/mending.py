"""Installing on this host what it lacks."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Sequence

from vmgen_build.errors import HostError
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.host.run import run_lines
from vmgen_build.host.stops import give_back, take_stops
from vmgen_build.text import LAST_LINES


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """By apt-get, as root, without a question; its lines go to `say`. Raises HostError with its last ones.

    Ctrl-C ends what fetches; what unpacks and configures goes on to its end first.
    """
    wanted = ("install", "-y", "--no-install-recommends", *packages)
    _apt_get(("update",), say)
    _apt_get((*wanted, "--download-only"), say)
    late: list[int] = []
    before = take_stops(lambda number, _frame: late.append(number))
    try:
        _apt_get(wanted, say)
    finally:
        give_back(before)
    for number in late:
        signal.raise_signal(number)


def _apt_get(words: Sequence[str], say: Callable[[str], None]) -> None:
    last: deque[str] = deque(maxlen=LAST_LINES)

    def take(line: str) -> None:
        last.append(line)
        say(line)

    code = run_lines(["apt-get", "-q", *words], take, env={"DEBIAN_FRONTEND": "noninteractive", **own(PROXIES)})
    if code != 0:
        errors = [line for line in last if line.startswith("E: ")]
        raise HostError(f"apt-get {words[0]} ended with {code}: {' '.join(errors) or 'see its output'}")
