"""What a step costs in a machine that is spoken to by VMware Tools, beside the same script as a bare order, medians of
N, taken in turns. The server is the tests' stand-in (tests/integration/vsphere) on loopback, whose machines are
namespaces of this host: what a real server and its hypervisor take is in none of the figures.

Run as root on an otherwise idle machine:

    .venv/bin/python bench/tools.py [--steps 50] [--recipe recipes/lab.ini] [--work DIR]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.machine import compare, steps
from bench.served import with_places, working
from tests.integration.vsphere.standin.there import authority_of, trusted_stand_in
from vmgen_build.build.options import BuildOptions
from vmgen_build.guests.vsphere.machines import as_built
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.host.tls import Trust
from vmgen_build.plan.machine import machine_of
from vmgen_build.recipe.load import load
from vmgen_build.store.cachedir import claim_cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/lab.ini"))
    given = with_places(parser).parse_args()
    with working(given) as (program, work):
        cache = work / "cache"
        claim_cache(cache)
        machine = as_built(machine_of(load(given.recipe)))
        with trusted_stand_in(program, work, cache, machine) as made:
            server = made.server
            os.environ["VMGEN_VSPHERE_PASSWORD"] = server.password
            options = BuildOptions(
                cache=cache,
                backends=("vmware",),
                host=f"vsphere://{server.user}@{server.host}:{server.port}/DC0",
                trust=Trust(authority_of(made)),
                placement=Placement(networks=(("nat", "VM Network"),)),
            )
            compare("VMware Tools", steps(given.recipe, options, given.steps))


if __name__ == "__main__":
    main()
