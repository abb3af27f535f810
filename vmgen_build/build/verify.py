"""Boot a throwaway copy of an artifact and ask it whether it is what its recipe asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmgen_build.artifacts.manifest import probes_of, read_manifest
from vmgen_build.backends.base import Backend
from vmgen_build.backends.registry import backend_named
from vmgen_build.boots import up
from vmgen_build.boots.model import SKIPPED, Boot, Booted
from vmgen_build.events import Bus, ProbeDone
from vmgen_build.host.programs import require_programs, require_root
from vmgen_build.plan.model import Probe
from vmgen_build.store.lease import lease, reap

if TYPE_CHECKING:
    from vmgen_build.host.namespaces import WorkerBus

PATIENCE = 30.0
"""Seconds that a single probe's script may take."""

PAUSE = 0.25
"""Seconds between two rounds of asking what does not hold yet."""

DIGEST = Probe("digest", "the file", "", "as its manifest says")


def verify(
    artifact: Path, bus: Bus, *, cache: Path, timeout: float | None = None, boot: bool = True
) -> list[ProbeDone]:
    """Look at the file, then boot a copy and run the manifest's probes; each result goes to `bus` as it is known.

    timeout: seconds that the boot may take, the backend's own measure by default. The results in order.
    Raises HostError (no root for booting, no or another's manifest), BuildError (it does not boot).
    """
    if boot:
        require_root("verifying boots the image, which needs root", "--no-boot looks at the file alone, without")
    manifest = read_manifest(artifact)
    backend = backend_named(str(manifest.get("backend")))
    done = [_done(DIGEST, "holds", "the sha256 of its manifest"), *backend.inspect(artifact, manifest)]
    for result in done:
        bus.emit(result)
    if not boot:
        return done
    require_programs(backend.boot_requirements)
    up_script = up.up_script(str(manifest.get("os")))
    from vmgen_build.host.namespaces import run_isolated

    reap(cache)
    with lease(cache) as folder:
        scratch = folder.absolute() / "verify"
        scratch.mkdir()

        def work(worker_bus: WorkerBus) -> list[ProbeDone]:
            boot = Boot(worker_bus, scratch, timeout or backend.boot_timeout, up_script)
            return _in_worker(backend, artifact, manifest, boot)

        return [*done, *run_isolated(work, bus, net=True)]


def _in_worker(backend: Backend, artifact: Path, manifest: Mapping[str, Any], boot: Boot) -> list[ProbeDone]:
    with backend.boot(artifact, manifest, boot) as machine:
        return ask_all(machine, (up.probe(boot.up), *probes_of(manifest)), boot.bus)


def ask_all(machine: Booted, probes: Sequence[Probe], bus: Bus) -> list[ProbeDone]:
    """Ask every probe, those that do not hold again until their time is up. The results in the order of the probes."""
    start = time.monotonic()
    results: dict[int, ProbeDone] = {}
    while len(results) < len(probes):
        for index, probe in enumerate(probes):
            if index in results:
                continue
            last = time.monotonic() - start >= probe.retry
            result = _ask(machine, probe)
            if last or result.outcome != "fails":
                results[index] = result
                bus.emit(result)
        if len(results) < len(probes):
            time.sleep(PAUSE)
    return [results[index] for index in range(len(probes))]


def _ask(machine: Booted, probe: Probe) -> ProbeDone:
    if probe.kind == "guest":
        ran = machine.communicator.run(probe.script, PATIENCE)
        found = next(iter(ran.out.splitlines()), "")
        outcome = {0: "holds", SKIPPED: "skipped"}.get(ran.code, "fails")
    elif probe.kind in ("tcp-open", "tcp-closed"):
        address, _, port = probe.script.partition(" ")
        found = machine.reach(address, int(port))
        outcome = "holds" if found == probe.kind.removeprefix("tcp-") else "fails"
    else:
        outcome, found = "skipped", f"this version knows no probe of the kind '{probe.kind}'"
    return _done(probe, outcome, _answer(probe, outcome, found))


def _answer(probe: Probe, outcome: str, found: str) -> str:
    if outcome != "fails" or not probe.expected:
        return found
    return f"{found or 'nothing'}, not {probe.expected}"


def _done(probe: Probe, outcome: str, found: str) -> ProbeDone:
    return ProbeDone(probe=probe.name, setting=probe.setting, outcome=outcome, found=found)
