"""How a step gets to a machine, is started there, and tells how it goes: as few orders as can be, since each costs what
its communicator takes.

What is small and no secret travels in the order that starts the step; all else goes as a tar before. That order waits
for the step's end for a moment, and a short one has then been cleared away too. A longer one is asked for what it
prints. It may take hours, and no single order does.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import UnsupportedOperation
from pathlib import Path
from typing import BinaryIO

from vmgen_build.errors import BuildError
from vmgen_build.guests.delivery import SCRIPT, Item, packed
from vmgen_build.guests.machines.model import PATIENCE
from vmgen_build.guests.model import Communicator
from vmgen_build.host.inmemory import in_memory
from vmgen_build.host.lines import Lines
from vmgen_build.plan.minimal import WORK
from vmgen_build.plan.text.render import Renderer

WAIT = 2
"""Seconds that one order waits in the guest for the end of a step."""

PIECE = 1 << 16
"""Bytes of a step's output that one answer brings at most."""

SHORT = 1024
"""Bytes of a step's output that a shell reads by itself, one by one."""

INLINE = 32 << 10
"""Bytes of a step's files that go within the order; more is a tar."""

GROUP = "/sys/fs/cgroup/vmgen-step"

_ANSWER = re.compile(r"^step (-|[0-9]{1,3}) (text|base64)\n((?s:.*))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A step on its way. variables: all that it has. network: whether it has the machine's. before: lines of sh that
    come first. packages: the guest's folder for downloads, "" for a step that needs none. private: whether one of the
    items is not for everybody, although it is no secret by itself."""

    items: Sequence[Item]
    variables: Mapping[str, str]
    network: bool = False
    before: str = ""
    packages: str = ""
    private: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class _Progress:
    """code: None while it runs, or while not all is read. data: what it has printed since the last one."""

    code: int | None
    data: bytes


class Steps:
    """The steps of one machine that runs. folder: that of each step in it. work: for the orders' own files, in memory
    too. group: the cgroup(7) of what a step starts. Raises BuildError for an order that fails, or an answer that is
    none."""

    def __init__(self, folder: str, work: str = WORK, group: str = GROUP) -> None:
        self._folder, self._work, self._group = folder, work, group
        self._renderer = Renderer(None)
        self._begun = False

    def run(self, there: Communicator, step: Delivery, lines: Lines) -> int | None:
        """Its exit code; None where its time was over. Nothing of it is there any more."""
        began, seen = time.monotonic(), 0
        variables = [f"{name}={value}" for name, value in step.variables.items()]
        before = f'{step.before}exec "$0"' if step.before else ""
        words = ["run", "--mount" if step.network else "--net", before, *variables]
        answer = self._answer(self._order(there, words, self._sent(there, step)))
        while True:
            seen += len(answer.data)
            lines.add(answer.data, final=answer.code is not None)
            if answer.code is not None:
                return answer.code
            if step.timeout is not None and time.monotonic() - began > step.timeout:
                self._order(there, ["end"])
                return None
            answer = self._answer(self._order(there, ["follow", str(seen)]))

    @contextmanager
    def delivered(self, there: Communicator, step: Delivery) -> Iterator[None]:
        """Its folder is there, and nothing runs, as long as the body does."""
        self._order(there, [":"], self._sent(there, step))
        yield
        self._order(there, ["end"])

    def put_away(self, there: Communicator) -> None:
        """Nothing of any step is there then. It is called before the disks are kept, and before the machine goes."""
        if self._begun:
            self._order(there, ["away"])
            self._begun = False

    def _begin(self, there: Communicator) -> None:
        """What all orders have in common goes there once: each character of an order costs an emulated machine."""
        if self._begun:
            return
        values = {"work": self._work, "folder": self._folder, "group": self._group}
        orders = self._renderer.sh("vm/step-orders.sh.j2", **values, wait=WAIT, piece=PIECE, short=SHORT)
        self._ran(there, "begin", self._renderer.sh("vm/step-begin.sh.j2", work=self._work, orders=orders))
        self._begun = True

    def _sent(self, there: Communicator, step: Delivery) -> dict[str, object]:
        """What an order needs that delivers a step."""
        self._begin(there)
        files = self._files(step)
        if not files:
            self._put(there, step.items)
        return {
            "files": files,
            "modes": self._modes(step.items) if files else [],
            "stamps": self._stamps(step.items) if files else [],
            "packages": step.packages,
        }

    def _put(self, there: Communicator, items: Sequence[Item]) -> None:
        with packed(items) as tar, _named(tar) as file:
            there.put(file, f"{self._work}/step.tar", 0o600)

    def _files(self, step: Delivery) -> list[dict[str, object]]:
        """The items as an order can carry them, its script being the first; none where they are to be on no order."""
        texts = [_text_of(item) for item in step.items]
        if step.private or None in texts or sum(len(item.content) for item in step.items) > INLINE:
            return []
        return [
            {"path": self._path(item), "mask": f"{0o666 & ~item.mode:03o}", "text": text}
            for item, text in zip(step.items, texts, strict=True)
        ]

    def _path(self, item: Item) -> str:
        return f"{self._folder}/{item.path}"

    def _modes(self, items: Sequence[Item]) -> list[tuple[str, list[str]]]:
        """Those that umask(1) cannot give, each with its files. The script has its own from the file that is there."""
        special = [item for item in items if item.path != SCRIPT and item.mode & ~0o666]
        return [
            (f"{mode:04o}", [self._path(item) for item in special if item.mode == mode])
            for mode in sorted({item.mode for item in special})
        ]

    def _stamps(self, items: Sequence[Item]) -> list[tuple[str, list[str]]]:
        stamps = sorted({item.stamp for item in items if item.stamp is not None})
        return [(f"@{stamp}", [self._path(item) for item in items if item.stamp == stamp]) for stamp in stamps]

    def _answer(self, text: str) -> _Progress:
        match = _ANSWER.search(text)
        try:
            if match is None:
                raise ValueError("it has another form")
            data = match[3].encode() if match[2] == "text" else base64.b64decode(match[3], validate=True)
            return _Progress(None if match[1] == "-" else int(match[1]), data)
        except ValueError as error:
            raise BuildError(f"the machine's answer is none to how the step goes: {text[:200]!r}: {error}") from error

    def _order(self, there: Communicator, words: list[str], delivery: Mapping[str, object] | None = None) -> str:
        """Run a script of ours there; what it prints. words: one of vm/step-orders.sh.j2. delivery: as `_sent`."""
        values = {"work": self._work, "order": words, "delivery": delivery is not None, **(delivery or {})}
        return self._ran(there, words[0], self._renderer.sh("vm/step-order.sh.j2", **values))

    def _ran(self, there: Communicator, what: str, script: str) -> str:
        ran = there.run(script, PATIENCE + WAIT)
        if ran.code != 0:
            raise BuildError(f"in the machine ({what}): {ran.out.strip()}")
        return ran.out


def _text_of(item: Item) -> str | None:
    """What a shell can print by itself; None for what is to be on no order."""
    if item.secret or item.source is not None or b"\0" in item.content:
        return None
    try:
        return item.content.decode()
    except UnicodeDecodeError:
        return None


@contextmanager
def _named(tar: BinaryIO) -> Iterator[Path]:
    """A path of this process's own at which it can be read; on no disk where it is on none."""
    with ExitStack() as undo:
        try:
            fd = tar.fileno()
        except UnsupportedOperation:
            fd = undo.enter_context(in_memory(tar.read())).fileno()
        yield Path(f"/proc/self/fd/{fd}")
