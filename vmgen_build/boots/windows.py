"""Questions to a Windows that was booted: all of them go there as one script, by whatever it is spoken to."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.communicators.windows import WindowsCommunicator, console_text
from vmgen_build.host.inmemory import in_memory
from vmgen_build.limits import GUEST_TIME, WINDOWS_ANSWERS
from vmgen_build.plan.model import Probe
from vmgen_build.plan.text.batchprobes import FILE, answers_in, asking_scripts, can_be_asked, holds
from vmgen_build.plan.text.powershell import as_file

EACH, ALL = 20.0, 120.0
"""Seconds that the script may take: for a question, and for what begins with it, such as PowerShell."""

PAUSE = 5.0
"""Seconds between two questions whether its setup has ended."""

Answers = Mapping[Probe, tuple[str, ...]]
"""Lines of each answer; without a question that was not answered to its end."""


def ask_windows(there: WindowsCommunicator, probes: Sequence[Probe]) -> Answers:
    """Raises BuildError where it cannot be spoken to, or says more than the limit; HostError."""
    asked, nonce = [probe for probe in probes if can_be_asked(probe)], secrets.token_hex(16)
    batch, powershell = asking_scripts(asked, nonce)
    folder = there.new_folder()
    try:
        _send(there, batch.encode("ascii"), rf"{folder}\script.bat")
        if powershell:
            _send(there, as_file(powershell), rf"{folder}\{FILE}")
        output = rf"{folder}\out.txt"
        number = there.start_batch(rf"{folder}\script.bat", "", output)
        there.wait(number, min(ALL + EACH * len(asked), GUEST_TIME.amount))
        data = there.read(output, WINDOWS_ANSWERS) or b""
    finally:
        with suppress(VmgenError):
            there.delete(folder)
    found = answers_in(console_text(data).decode(there.facts.encoding, "replace"), nonce)
    return {probe: found[number] for number, probe in enumerate(asked) if number in found}


def until_settled(there: WindowsCommunicator, probe: Probe) -> None:
    """Wait until a question holds, as long as it is to be asked again: a Windows whose setup goes on may start anew in
    its midst, and give no answer then. Raises BuildError where it still gives none at the end."""
    began = time.monotonic()
    while True:
        late = time.monotonic() - began > probe.retry
        try:
            if holds(probe.expected, ask_windows(there, [probe]).get(probe, ())) or late:
                return
        except BuildError:
            if late:
                raise
        time.sleep(PAUSE)


def _send(there: WindowsCommunicator, data: bytes, remote: str) -> None:
    with in_memory(data) as file:
        there.send(file, len(data), remote)
