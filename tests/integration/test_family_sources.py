"""Programs from their source on distributions other than Debian: what they were built with is gone again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distros.repositories import routes
from tests.distros.roots import DISTRIBUTIONS, tarball_of
from tests.distros.server import mirror
from tests.integration import sourceprojects as projects
from tests.integration.test_sources import DIRECT

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_family_removes_what_nothing_needs(name: str, cache: Path, vmgen: Run, tmp_path: Path) -> None:
    """greeter is asked for, and needs greeter-common; htop interprets what was installed."""
    distribution = DISTRIBUTIONS[name]
    base, _ = tarball_of(cache, distribution)
    projects.tarball(tmp_path / "salve-1.0.tar.gz", "salve-1.0", projects.SALVE)
    with mirror(routes(cache, distribution)) as served:
        text = projects.FAMILY_RECIPE.format(system=distribution.system, base=base, mirror=f"{served.url}/{name}")
        (tmp_path / "salve.ini").write_text(text)
        done = vmgen(tmp_path / "salve.ini", "-o", tmp_path, env=DIRECT)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads((tmp_path / "salve-lxc-amd64.tar.zst.manifest.json").read_text())
    names = {package["name"] for package in made["packages"]}
    assert {"greeter", "greeter-common", "htop"} <= names and not names & {"git", "gcc"}
