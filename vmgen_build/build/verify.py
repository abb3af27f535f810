"""Boot a throwaway copy of an artifact and ask it whether it is what its recipe asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.boots import up
from vmgen_build.boots.model import SKIPPED, Boot, Booted, Elsewhere
from vmgen_build.boots.windows import Answers, ask_windows, until_settled
from vmgen_build.build.questions import Asker, Questions, own_questions, refuse_empty
from vmgen_build.errors import VmgenError
from vmgen_build.events import Bus, ProbeDone, VerifyFinished, VerifyStarted
from vmgen_build.guests.communicators.windows import WindowsCommunicator
from vmgen_build.host.architectures import requirements_of
from vmgen_build.host.programs import require_programs, require_root
from vmgen_build.limits import GUEST_TIME
from vmgen_build.plan.model import WINDOWS_KINDS, Probe
from vmgen_build.plan.text.batchprobes import holds
from vmgen_build.plan.windowsprobe import setup_probe
from vmgen_build.store.lease import lease, reap

if TYPE_CHECKING:
    from vmgen_build.host.channel import WorkerBus

THE_FILE = "the file itself"

PATIENCE = 30.0
"""Seconds that a single probe's script may take."""

LONGEST = 500
"""Characters of a Windows' answer that are shown."""

WINDOWS_BOOT = 1800.0
"""Seconds that a Windows may take to boot: its setup may go on, or set up updates, and a processor be emulated."""

PAUSE = 0.25
"""Seconds between two rounds of asking what does not hold yet."""


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """timeout: seconds that a boot may take, None for the backend's own measure. boot: else the file alone is looked
    at. trusted: as of boots.model.Boot. there: where a Windows is booted in place of here."""

    cache: Path
    timeout: float | None = None
    boot: bool = True
    trusted: bool = False
    there: Elsewhere | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """asked: whose questions, as Questions.whose; "" where it did not get that far. error: what ended it, None where
    all was asked."""

    artifact: Path
    asked: str
    done: tuple[ProbeDone, ...] = ()
    error: VmgenError | None = None
    seconds: float = 0.0

    @property
    def passes(self) -> bool:
        return self.error is None and not self.count("fails")

    def count(self, outcome: str) -> int:
        return sum(probe.outcome == outcome for probe in self.done)


def verify(artifact: Path, bus: Bus, options: VerifyOptions, ask: Asker = own_questions) -> Verified:
    """Look at the file, then boot a copy and ask; each result goes to `bus` as it is known.

    What is wrong with this artifact is in the result, whatever it is. Raises HostError where no artifact can be booted
    here, for want of root.
    """
    if options.boot:
        require_root("verifying boots the image, which needs root", "--no-boot looks at the file alone, without")
    start = time.monotonic()
    bus.emit(VerifyStarted(artifact=artifact))
    verified = Verified(artifact, "")
    try:
        questions = ask(artifact)
        verified = replace(verified, asked=_asked(questions, options))
        verified = replace(verified, done=tuple(_look_and_boot(artifact, questions, options, bus)))
    except VmgenError as error:
        verified = replace(verified, error=error)
    except Exception as bug:
        bus.emit(_finished(verified, start, f"unexpected: {bug!r}"))
        raise
    bus.emit(_finished(verified, start, str(verified.error or "")))
    return replace(verified, seconds=time.monotonic() - start)


def _asked(questions: Questions, options: VerifyOptions) -> str:
    if options.boot:
        return questions.asked
    return f"{THE_FILE}, its manifest signed by {questions.signer}" if questions.signer else THE_FILE


def _finished(verified: Verified, start: float, error: str) -> VerifyFinished:
    return VerifyFinished(
        artifact=verified.artifact,
        outcome="passes" if verified.passes and not error else "fails",
        asked=verified.asked,
        holds=verified.count("holds"),
        fails=verified.count("fails"),
        skipped=verified.count("skipped"),
        error=error,
        seconds=time.monotonic() - start,
    )


def _look_and_boot(artifact: Path, questions: Questions, options: VerifyOptions, bus: Bus) -> list[ProbeDone]:
    form = questions.format
    inspected = form.inspect(artifact, questions.manifest)
    done = [questions.digest, *questions.looked, *(replace(result, origin=THE_FILE) for result in inspected)]
    for result in done:
        bus.emit(result)
    if not options.boot:
        return done
    refuse_empty(questions)
    system = up.system_of(str(questions.manifest.get("os")))
    is_windows = system.kind == "windows"
    if is_windows and options.there is not None:
        return [*done, *_ask_elsewhere(artifact, questions, options, bus)]
    arch = str(questions.manifest.get("arch"))
    require_programs([*form.boot_requirements, *requirements_of(arch)])
    from vmgen_build.host.namespaces import run_isolated

    reap(options.cache)
    with lease(options.cache) as folder:
        scratch = folder.absolute() / "verify"
        scratch.mkdir()

        def work(worker_bus: WorkerBus) -> list[ProbeDone]:
            seconds = options.timeout or (WINDOWS_BOOT if is_windows else form.boot_timeout)
            boot = Boot(worker_bus, scratch, seconds, system.up, options.trusted, arch)
            return _in_worker(artifact, questions, boot)

        return [*done, *run_isolated(work, bus, net=True)]


def _ask_elsewhere(artifact: Path, questions: Questions, options: VerifyOptions, bus: Bus) -> list[ProbeDone]:
    """Of a Windows."""
    assert options.there is not None
    reap(options.cache)
    with lease(options.cache) as folder:
        scratch = folder.absolute() / "verify"
        scratch.mkdir()
        with options.there.booted(artifact, questions.manifest, scratch, bus, options.timeout) as machine:
            return _answers(machine, questions, bus)


def _in_worker(artifact: Path, questions: Questions, boot: Boot) -> list[ProbeDone]:
    with questions.format.boot(artifact, questions.manifest, boot) as machine:
        return _answers(machine, questions, boot.bus)


def _answers(machine: Booted, questions: Questions, bus: Bus) -> list[ProbeDone]:
    """Those to all questions, that to whether it is up first. A machine that answers none of another's fails."""
    system = up.system_of(str(questions.manifest.get("os")))
    first = setup_probe(system) if system.kind == "windows" else up.probe(system.up)
    if isinstance(machine.communicator, WindowsCommunicator):
        until_settled(machine.communicator, first)
    answers = ask_all(machine, (first, *questions.probes), bus, questions.asked)
    if questions.own or any(answer.outcome != "skipped" for answer in answers[1:]):
        return answers
    found = f"none of the {len(questions.probes)} questions of {questions.whose} was answered"
    answers.append(_done(Probe("answers", "the answers", ""), "fails", found, questions.asked))
    bus.emit(answers[-1])
    return answers


def ask_all(machine: Booted, probes: Sequence[Probe], bus: Bus, origin: str = "") -> list[ProbeDone]:
    """Ask every probe, those that do not hold again until their time is up. The results in the order of the probes.

    What is left when GUEST_TIME is over is asked no more, and fails.
    """
    start = time.monotonic()
    results: dict[int, ProbeDone] = {}
    while len(results) < len(probes):
        answers = _answers_of(machine, [probe for index, probe in enumerate(probes) if index not in results])
        for index, probe in enumerate(probes):
            if index in results:
                continue
            passed = time.monotonic() - start
            late = passed >= GUEST_TIME.amount
            last = late or passed >= probe.retry
            result = (
                _done(probe, "fails", f"not asked: {GUEST_TIME.exceeded}", origin)
                if late
                else _ask(machine, probe, origin, answers)
            )
            if last or result.outcome != "fails":
                results[index] = result
                bus.emit(result)
        if len(results) < len(probes):
            time.sleep(PAUSE)
    return [results[index] for index in range(len(probes))]


def _answers_of(machine: Booted, probes: Sequence[Probe]) -> Answers:
    """What a Windows answers to those of the questions that are for one."""
    asked = [probe for probe in probes if probe.kind in WINDOWS_KINDS]
    there = machine.communicator if asked else None
    return ask_windows(there, asked) if isinstance(there, WindowsCommunicator) else {}


def _ask(machine: Booted, probe: Probe, origin: str, answers: Answers) -> ProbeDone:
    windows = isinstance(machine.communicator, WindowsCommunicator)
    if windows != (probe.kind in WINDOWS_KINDS) and probe.kind in ("guest", *WINDOWS_KINDS):
        outcome, found = "skipped", f"it is a question to {'no ' if windows else 'a '}Windows"
    elif windows:
        answer = answers.get(probe, ())
        outcome = "holds" if probe in answers and holds(probe.expected, answer) else "fails"
        found = ", ".join(answer if outcome == "fails" else probe.expected.split("\n"))[:LONGEST]
    elif probe.kind == "guest":
        ran = machine.communicator.run(probe.script, PATIENCE)
        found = next(iter(ran.out.splitlines()), "").strip()
        outcome = {0: "holds", SKIPPED: "skipped"}.get(ran.code, "fails")
    elif probe.kind in ("tcp-open", "tcp-closed"):
        address, _, port = probe.script.partition(" ")
        found = machine.reach(address, int(port))
        outcome = "holds" if found == probe.kind.removeprefix("tcp-") else "fails"
    else:
        outcome, found = "skipped", f"this version knows no probe of the kind '{probe.kind}'"
    if outcome == "fails" and machine.emulated and _asks_the_kernel(probe):
        return _done(probe, "skipped", f"qemu-user has no DHCP and no packet filter to ask ({found})", origin)
    return _done(probe, outcome, _answer(probe, outcome, found), origin)


def _asks_the_kernel(probe: Probe) -> bool:
    """Whether it is about interfaces or the packet filter: qemu-user knows no netlink but that of routes, and not all
    of packet sockets (linux-user/syscall.c, do_socket)."""
    return probe.setting.startswith("[network]") and not probe.name.startswith(("program-", "unit-"))


def _answer(probe: Probe, outcome: str, found: str) -> str:
    if outcome != "fails" or not probe.expected:
        return found
    return f"{found or 'nothing'}, not {', '.join(probe.expected.splitlines())}"


def _done(probe: Probe, outcome: str, found: str, origin: str) -> ProbeDone:
    return ProbeDone(probe=probe.name, setting=probe.setting, outcome=outcome, found=found, origin=origin)
