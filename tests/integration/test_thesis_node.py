"""The thesis's listing B.1 as it stands, on an OpenVZ node: the Fedora 14 of the tests is an OS template of the node.

Its repositories lie on an address of this host that a container of the node reaches.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.distros.repositories import routes
from tests.distros.roots import old_fedora, tarball_of
from tests.distros.server import mirror, port_of
from tests.integration.conftest import ROOT, TEST_CACHES
from tests.node.node import Node, make_node
from vmgen_build.store.cachedir import claim_cache

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = ROOT / "recipes" / "samples" / "thesis-openvz.ini"
DISTROS = TEST_CACHES / "distros"
"""The cache of the tests that run on test distributions: their roots are made once for both."""


def own_address() -> str:
    """That by which this host reaches others."""
    routes = subprocess.run(["ip", "-j", "route", "get", "192.0.2.1"], capture_output=True, check=True).stdout
    return str(json.loads(routes)[0]["prefsrc"])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A stand-in node with the old Fedora among its OS templates, and that one's mirror."""
    claim_cache(DISTROS)
    address = own_address()
    old = old_fedora(DISTROS, address)
    tarball, _ = tarball_of(DISTROS, old)
    made = make_node(tmp_path_factory.mktemp("vz") / "n")
    try:
        shutil.copy(tarball, made.folder / "vz/template/cache/fedora-14-x86.tar.gz")
        made.begin()
        with mirror(routes(DISTROS, old), port_of(DISTROS), address):
            yield made
    finally:
        made.destroy()


def test_it_is_built_on_the_node_and_holds(vmgen: Run, cache: Path, node: Node, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "vmgen_build", RECIPE, "-b", "openvz", "--host", "local", "-o", tmp_path]
    words = node.inside([*line, "--cache", cache])
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-3000:]
    kept = "vz/template/cache/fedora-14-x86-vmgen-"
    assert [name for name in node.left_over() if not name.startswith(kept)] == []
    verified = vmgen("verify", tmp_path / "123-openvz-i386.tar", "--json")
    events = [json.loads(line) for line in verified.stdout.splitlines()]
    found = {e["setting"]: e["outcome"] for e in events if e["event"] == "probe"}
    failing = [e for e in events if e["event"] == "probe" and e["outcome"] not in ("holds", "skipped")]
    assert (failing, verified.returncode) == ([], 0), verified.stderr[-2000:]
    asked = {"[devel] build-utils", "[services] sshd", "[gui] wireshark", "[users] caesar", "[network] eth0: address"}
    assert asked <= {setting for setting, outcome in found.items() if outcome == "holds"}
