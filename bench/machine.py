"""A whole machine in QEMU on this host as a build's guest (--host qemu:): what a step costs in it beside the same
script as a bare order, medians of N, taken in turns, by each way to speak to it; and a whole build beside the local
way, each once, with an empty cache that has the downloads, and their ratio.

Run as root on an otherwise idle machine:

    .venv/bin/python bench/machine.py [--steps 50] [--recipe recipes/lab.ini] [--work DIR] [--no-build]
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vmgen_build.backends.registry import backend_named
from vmgen_build.build.engine import _plan
from vmgen_build.build.facts import facts_for
from vmgen_build.build.job import Build
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.places.registry import place_at
from vmgen_build.events import Bus
from vmgen_build.guests.machines.guest import MachineGuest
from vmgen_build.guests.model import Guest
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.model import Step
from vmgen_build.recipe.load import load
from vmgen_build.store.lease import lease

SCRIPT = "#!/bin/sh\necho one\n"

OWN = """\
[hardware]
    vm_id = own
    os = debian-12
    num_cpu = 2
    ram = 1024
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = env:BENCH_PASSWORD
            sudo = nopasswd
[config]
    hostname = own
    packages = openssh-server, sudo
"""
"""A machine of the user's, to be started as it is."""

FROM = """\
[hardware]
    vm_id = lab
    os = debian-12
    num_cpu = 2
    ram = 1024
    base = {image}
    {way}
[config]
    hostname = lab
"""

WAYS = {
    "the QEMU guest agent": "communicator = agent",
    "ssh and sudo": "login = ana\n    login_password = env:BENCH_PASSWORD",
}


@contextmanager
def machine_of(recipe: Path, options: BuildOptions, bus: Bus) -> Iterator[Guest]:
    """The machine that a recipe begins with, up."""
    read, cache, [name] = load(recipe), options.cache, options.backends
    place, backend = place_at(options), backend_named(name)
    look = place.prepare(read, backend, facts_for(read, cache, offline=False), bus)
    plan = _plan(read, name, options, look.facts)
    with lease(cache) as leased:
        build = Build(
            recipe=read,
            plan=plan,
            backend=backend,
            place=place,
            look=look,
            bus=bus,
            log=cache / "bench.log",
            leased=leased,
        )
        with place.workshop(build) as workshop:
            if not workshop.holds(plan.base.id):
                workshop.make_base(plan.base, plan, lambda _line: None)
            with workshop.guest(plan, [plan.base.id]) as guest:
                yield guest


def steps(recipe: Path, options: BuildOptions, count: int) -> tuple[list[float], list[float]]:
    """Seconds of a step each, and of the same script as a bare order, in turns."""

    def work(bus: Bus) -> tuple[list[float], list[float]]:
        with machine_of(recipe, options, bus) as guest:
            assert isinstance(guest, MachineGuest)
            step = Step(name="one", title="one", script=SCRIPT)
            there = guest.machine.communicator
            guest.run_step(step, lambda _line: None)
            pairs = [
                (timed(lambda: guest.run_step(step, lambda _line: None)), timed(lambda: there.run(SCRIPT, 60)))
                for _ in range(count)
            ]
            return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    return run_isolated(work, Bus())


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def every_way(recipe: Path, cache: Path, folder: Path, count: int) -> None:
    options = BuildOptions(cache=cache, backends=("kvm",), host="qemu:")
    compare("the build's own agent", steps(recipe, options, count))
    own = folder / "own.ini"
    own.write_text(OWN)
    os.environ["BENCH_PASSWORD"] = secrets.token_urlsafe(12)
    build(own, cache, folder, "kvm")
    [image] = folder.glob("own*.qcow2")
    for name, way in WAYS.items():
        lab = folder / "lab.ini"
        lab.write_text(FROM.format(image=image, way=way))
        compare(name, steps(lab, options, count))


def compare(name: str, seconds: tuple[list[float], list[float]]) -> None:
    in_steps, alone = seconds
    show(f"a step, by {name}", in_steps)
    show("the same script as a bare order", alone)
    over = [step - bare for step, bare in zip(in_steps, alone, strict=True)]
    show("the difference", over)


def build(recipe: Path, cache: Path, out: Path, backend: str = "vmware", *more: str) -> float:
    command = [sys.executable, "-m", "vmgen_build", "-q", recipe, "-b", backend, "--cache", cache, "-o", out, *more]
    return timed(lambda: subprocess.run(command, check=True))


def with_downloads(first: Path, goal: Path) -> Path:
    """A cache that has no more than what was downloaded."""
    goal.mkdir()
    shutil.copy(first / "CACHEDIR.TAG", goal)
    subprocess.run(["cp", "-a", first / "downloads", goal / "downloads"], check=True)
    return goal


def show(name: str, seconds: list[float]) -> None:
    middle = statistics.median(seconds)
    print(f"{name:40} p50 {middle:7.3f} s   fastest {min(seconds):7.3f} s   slowest {max(seconds):7.3f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/lab.ini"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--no-build", action="store_true", help="no whole build, which takes ten minutes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        first = folder / "first"
        build(given.recipe, first, folder / "out")
        every_way(given.recipe, first, folder, given.steps)
        if given.no_build:
            return
        local = build(given.recipe, with_downloads(first, folder / "a"), folder / "out-a")
        machine = build(
            given.recipe, with_downloads(first, folder / "b"), folder / "out-b", "vmware", "--host", "qemu:"
        )
        print(f"{given.recipe.name} the local way: {local:.1f} s")
        print(f"{given.recipe.name} with --host qemu:: {machine:.1f} s, {machine / local:.2f} of it")


if __name__ == "__main__":
    main()
