"""A plan for Windows: each step's files go there one by one, its batch file is started, and what it prints comes home
until it ends.

A step has succeeded where its code is one of success, and its script has come to its last line: that writes the nonce
of this run to a file.
"""

from __future__ import annotations

import codecs
import secrets
import time
from contextlib import suppress
from typing import IO, cast

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.communicators.windows import SYSTEM, WindowsCommunicator, WindowsFacts, console_text
from vmgen_build.guests.delivery import FOLDERS, Item, items_of, opened_item
from vmgen_build.guests.machines.whole import WholeGuest
from vmgen_build.guests.model import Output, StepResult
from vmgen_build.host.lines import Lines
from vmgen_build.limits import MACHINE_LINE, WINDOWS_OUTPUT
from vmgen_build.plan.batch import RESTART
from vmgen_build.plan.model import Plan, Step
from vmgen_build.text import duration

LOOK, LONGEST = 0.5, 10.0
"""Seconds between two looks at what a step prints, each of which brings all of it: the first, and the most after many.
"""

ASK = 0.5
"""Seconds between two questions whether it has ended."""

RESTARTS = 10
"""Restarts that steps may ask for, one after the other, without one that asks for none."""

NO_STAMP = 1
"""The code of a step whose script ended with one of success before its last line."""

ENDING = 3600.0
"""Seconds that Windows may take to shut down: it may install its updates then, and must not be switched off."""

NOT_ENDED = (
    f"the machine did not shut down within {duration(ENDING)}, and a Windows is not to be cut off; look at its screen"
)

ZEROED = 60.0
"""Seconds for a secret's bytes to be overwritten."""

BUSY = 20.0
"""Seconds in which a folder that is in use is asked to go again."""


class WindowsGuest(WholeGuest):
    """Of a Windows. Its machine's communicator is a WindowsCommunicator."""

    _restarts = 0

    @property
    def _windows(self) -> WindowsCommunicator:
        assert isinstance(self._there, WindowsCommunicator)
        return self._there

    def check_system(self) -> None:
        if wrong := wrong_windows(self._windows.facts, self.plan):
            raise BuildError(wrong)

    def end(self) -> None:
        """Each step's folder went with the step."""

    def run_step(self, step: Step, output: Output) -> StepResult:
        """Raises BuildError where too many restarts are asked for in a row."""
        result = super().run_step(step, output)
        if not result.ok:
            return result
        asks = result.code == RESTART
        self._restarts = self._restarts + 1 if asks or step.reboot else 0
        if self._restarts > RESTARTS:
            raise BuildError(
                f"step '{step.name}' asks for the {self._restarts}th restart in a row; {RESTARTS} are the most: an"
                " installer may ask for one each time, whatever it does"
            )
        if asks and not step.reboot:
            output("vmgen-build: a restart is due")
            self._restart()
        return result

    def _put_away(self) -> None:
        """Nothing: see end."""

    def _fetch_indexes(self, output: Output) -> None:
        """What installs programs there fetches its own."""

    def _execute(self, step: Step, output: Output) -> int | None:
        items = items_of(step, {}, self.plan.epoch)
        try:
            self._deliver(items)
            code, whole = self._ran(step, output)
        except BaseException:
            self._clear_quietly(items)
            raise
        if whole:
            self._clear(items)
        else:
            self._clear_quietly(items)
        return code

    def _ran(self, step: Step, output: Output) -> tuple[int | None, bool]:
        """Its exit code, None where its time was over; and whether it has succeeded."""
        nonce = secrets.token_hex(16)
        number = self._windows.start_batch(self._at("script.bat"), nonce, self._at("out.txt"))
        code = self._followed(number, step, output)
        if code not in step.success:
            return code, False
        if self._is_stamped(nonce):
            return code, True
        output(f"vmgen-build: step {step.name}: its script ended with code {code} before its last line")
        return NO_STAMP, False

    def _is_stamped(self, nonce: str) -> bool:
        found = self._windows.read(self._at("done"), MACHINE_LINE) or b""
        return found.split() == [nonce.encode(), b"done"]

    def _followed(self, number: int, step: Step, output: Output) -> int | None:
        """Its exit code, once all that it prints is home. None where its time was over."""
        there, began = self._windows, time.monotonic()
        printed = _Printed(Lines(output), there, self._at("out.txt"))
        while (code := there.code_of(number)) is None:
            if step.timeout is not None and time.monotonic() - began > step.timeout:
                there.end(number)
                break
            printed.look()
            time.sleep(ASK)
        printed.end()
        return code

    def _deliver(self, items: tuple[Item, ...]) -> None:
        """Into the step's folder, made anew."""
        self._remove(self._folder)
        for folder in (self._folder, *map(self._at, FOLDERS)):
            self._windows.make_folder(folder)
        for item in items:
            self._send(item)

    def _send(self, item: Item) -> None:
        name = "script.bat" if item.path == "script" else item.path
        with opened_item(item) as content:
            self._windows.send(cast(IO[bytes], content), content.size, self._at(name))

    def _clear(self, items: tuple[Item, ...]) -> None:
        """Secrets go first, and are overwritten before: what is removed stays in the free room of a disk. Raises
        BuildError."""
        there = self._windows
        for item in items:
            if item.secret and item.content:
                words = ("file", "setzerodata", "offset=0", f"length={len(item.content)}", self._at(item.path))
                with suppress(VmgenError):
                    there.wait(there.start(rf"{SYSTEM}\fsutil.exe", *words), ZEROED)
        self._remove(self._at("secrets"))
        self._remove(self._folder)

    def _clear_quietly(self, items: tuple[Item, ...]) -> None:
        with suppress(VmgenError):
            self._clear(items)

    def _remove(self, folder: str) -> None:
        """What the step has started may use a file in it for a moment; a machine is started once."""
        there, began = self._windows, time.monotonic()
        while True:
            try:
                there.delete(folder)
                return
            except BuildError as error:
                if time.monotonic() - began > BUSY:
                    text = f"the step's folder {folder} cannot be removed: a program still uses what is in it"
                    raise BuildError(f"{text}: {error}") from error
            time.sleep(1)

    def _at(self, name: str) -> str:
        return rf"{self._folder}\{name}".replace("/", "\\")


class _Printed:
    """What a step prints, which comes home again and again. A look that fails is none: another follows."""

    def __init__(self, lines: Lines, there: WindowsCommunicator, path: str) -> None:
        self._lines, self._there, self._path = lines, there, path
        self._decoder = codecs.getincrementaldecoder(there.facts.encoding)("replace")
        self._seen, self._pause, self._last = 0, LOOK, time.monotonic()
        self._whole = True

    def look(self) -> None:
        if self._whole and time.monotonic() - self._last > self._pause:
            with suppress(VmgenError):
                self._take(final=False)
            self._pause, self._last = min(LONGEST, self._pause * 1.5), time.monotonic()

    def end(self) -> None:
        """Raises BuildError, HostError."""
        if self._whole:
            self._take(final=True)

    def _take(self, *, final: bool) -> None:
        """All that is there by now, of which what was seen before is left out."""
        try:
            data = self._there.read(self._path, WINDOWS_OUTPUT) or b""
        except BuildError as error:
            if WINDOWS_OUTPUT.exceeded not in str(error):
                raise
            self._whole = False
            text = f"\nvmgen-build: of what this step prints {WINDOWS_OUTPUT.exceeded}; no more is shown"
            self._lines.add(text.encode(), final=True)
            return
        new, self._seen = data[self._seen :], max(self._seen, len(data))
        self._lines.add(self._decoder.decode(console_text(new), final).encode(), final)


def wrong_windows(facts: WindowsFacts, plan: Plan) -> str:
    """Why the machine that has them is none that the plan is for; "" where it is one."""
    if facts.nt == plan.system.nt:
        return ""
    found, wanted = _shown(facts.nt), _shown(plan.system.nt)
    return f"{plan.base.title} is a Windows {found}, and {plan.system.title} is {wanted}; write the os that it is"


def _shown(nt: tuple[int, int]) -> str:
    return ".".join(map(str, nt))
