"""The thesis's listing B.1 as it stands: a Fedora 14 of 32 bits, from an OS template, with yum and services of before
systemd. The Fedora is the tests' own (tests/distros/fedora14.py)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.distros.repositories import routes
from tests.distros.roots import old_fedora, tarball_of
from tests.distros.server import Mirror, mirror, port_of
from tests.integration.conftest import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = ROOT / "recipes" / "samples" / "thesis-openvz.ini"


@pytest.fixture(scope="module")
def served(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """Its repositories, and a server of OS templates."""
    old = old_fedora(cache)
    folder = tmp_path_factory.mktemp("templates")
    (folder / "precreated").mkdir()
    tarball, _ = tarball_of(cache, old)
    (folder / "precreated/fedora-14-x86.tar.gz").write_bytes(tarball.read_bytes())
    with mirror({**routes(cache, old), "/template/": folder}, port_of(cache)) as made:
        yield made


def options(cache: Path, served: Mirror) -> list[str]:
    _, sha256 = tarball_of(cache, old_fedora(cache))
    words = ["-b", "openvz", "--ostemplate", "fedora-14-x86", "--ostemplate-url", f"{served.url}/template"]
    return [*words, "--ostemplate-sha256", sha256]


def test_it_is_built_and_holds(vmgen: Run, cache: Path, served: Mirror, tmp_path: Path) -> None:
    done = vmgen(RECIPE, *options(cache, served), "-o", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    verified = vmgen("verify", tmp_path / "123-openvz-i386.tar", "--json")
    events = [json.loads(line) for line in verified.stdout.splitlines()]
    found = {e["setting"]: e["outcome"] for e in events if e["event"] == "probe"}
    failing = [e for e in events if e["event"] == "probe" and e["outcome"] not in ("holds", "skipped")]
    assert (failing, verified.returncode) == ([], 0), verified.stderr[-2000:]
    asked = {"[devel] build-utils", "[services] sshd", "[services] bittorrent", "[gui] wireshark", "[users] caesar"}
    assert asked <= {setting for setting, outcome in found.items() if outcome == "holds"}


def test_a_wrong_checksum_is_refused(vmgen: Run, cache: Path, served: Mirror, tmp_path: Path) -> None:
    done = vmgen(RECIPE, *options(cache, served)[:-1], "0" * 64, "-o", tmp_path)
    assert done.returncode != 0
    assert "0" * 64 in done.stderr
    assert not list(tmp_path.glob("*.tar"))
