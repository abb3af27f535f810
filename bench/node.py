"""What a build on a node costs: the overhead of one step over ssh and vzctl, and the memory of a large root's way home.

The node is the tests' stand-in (tests/node) behind a real sshd on loopback. A step's script is run bare by sh(1), and
as a step in a container of the node, in turns; the medians and their difference are printed. Then a container with a
root of 2 GB is packed, streamed home, unpacked and packed as an OpenVZ template; the largest resident size of our
processes is printed. Run as root on an otherwise idle machine:

    .venv/bin/python bench/node.py [--steps 50] [--cache DIR]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.integration.sshd import sshd
from tests.node.node import make_node, template_from
from vmgen_build.guests.node.driver import Setup
from vmgen_build.guests.node.guardian import guarded
from vmgen_build.guests.node.guest import NodeGuest
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.node.workshop import node_supply
from vmgen_build.guests.runners import connect, parse_host
from vmgen_build.plan.model import Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

RECIPE = """\
[hardware]
    vm_id = 4103
    os = debian-12
    [[hdds]]
        [[[hdd0]]]
            size = 6G
    [[eths]]
        [[[eth0]]]
            type = venet
[network]
    [[eths]]
        [[[eth0]]]
            address = 192.168.41.4
            network = 255.255.255.0
[config]
    [[scripts]]
        [[[large]]]
            run = head -c 1800M /dev/urandom >/large
"""
SCRIPT = "#!/bin/sh\nset -eu\necho hello\n"


class NoPart:
    """A plan needs one."""

    steps, build_recipe, probes, without = (), None, (), frozenset()


def overhead(url: str, recipe: Path, steps: int) -> None:
    plan = make_plan(load(recipe), "openvz", NoPart())
    step = Step(name="bench", title="", script=SCRIPT)
    with connect(parse_host(url)) as runner:
        driver = VzDriver(runner, f"bench-{os.getpid()}")
        with guarded(driver) as guardian:
            guest = NodeGuest(guardian, plan, node_supply(runner, plan), lambda _guest, _step: None)
            guest.create("debian-12-x86_64", "4103", Setup(addresses=("192.168.41.4",)), [plan.base.id])
            bare, there = [], []
            for _ in range(steps):
                start = time.monotonic()
                subprocess.run(["sh", "-s"], input=SCRIPT.encode(), stdout=subprocess.DEVNULL, check=True)
                middle = time.monotonic()
                assert guest.run_step(step, lambda _line: None).ok
                bare.append(middle - start)
                there.append(time.monotonic() - middle)
    ours, theirs = statistics.median(there), statistics.median(bare)
    print(f"{'bare command':14}{theirs * 1000:8.1f} ms")
    print(f"{'step on node':14}{ours * 1000:8.1f} ms  (p50 of {steps}; slowest {max(there) * 1000:.0f} ms)")
    print(f"{'overhead':14}{(ours - theirs) * 1000:8.1f} ms")


def memory(url: str, recipe: Path, out: Path, cache: Path, environ: dict[str, str]) -> None:
    line = ["-m", "vmgen_build", recipe, "-b", "openvz", "--host", url, "-o", out, "--cache", cache, "-q"]
    start = time.monotonic()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([sys.executable, *map(str, line)], check=True, env=os.environ | environ, **quiet)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = next(out.glob("*.tar")).stat().st_size / 1e6
    print(f"a root with 1.8 GB of noise: {time.monotonic() - start:.0f} s, bundle {size:.0f} MB, peak {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--cache", type=Path, default=Path(".testcache/test"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmgen-bench-") as folder:
        recipe = Path(folder, "large.ini")
        recipe.write_text(RECIPE)
        node = make_node(Path(folder, "n"))
        try:
            template_from(options.cache.absolute(), node)
            home = Path(folder, "sshd")
            with sshd(home, prefix=node.inside([]), environment={"HOME": str(home)}) as server:
                os.environ.update(server.environ)
                overhead(server.url, recipe, options.steps)
                memory(server.url, recipe, Path(folder, "out"), options.cache, server.environ)
        finally:
            node.destroy()


if __name__ == "__main__":
    main()
