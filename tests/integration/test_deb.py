"""The Debian package: built here, installed in a fresh root of this release, used, and removed. `make deb` has lintian
read it, too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT
from tests.integration.freshroot import CHECKOUT, FreshRoot, clone, fresh_root
from vmgen_build.host.system import host_system

RELEASES = {"12": "bookworm", "13": "trixie"}
SUITE = RELEASES.get(host_system().version if host_system().is_debian else "", "")

pytestmark = pytest.mark.skipif(not SUITE, reason="a package is for the release that it is built on: Debian 12 or 13")

COMPLETE = """
. /usr/share/bash-completion/bash_completion
_completion_loader vmgen-build || test $? = 124
COMP_LINE='vmgen-build recipes/lab.ini --set hardware.firmware=e'
COMP_POINT=${#COMP_LINE}
_vmgen_build vmgen-build
echo "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deb")
    clone(ROOT, folder / "source")
    build = "cd source && exec dpkg-buildpackage -us -uc -b </dev/null 2>&1"
    done = subprocess.run(["sh", "-c", build], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    return next(folder.glob("*.deb"))


@pytest.fixture(scope="module")
def root(package: Path, cache: Path) -> Iterator[FreshRoot]:
    with fresh_root(SUITE, ROOT, cache) as made:
        (made.checkout / package.name).write_bytes(package.read_bytes())
        yield made


def test_it_is_installed_used_and_removed(root: FreshRoot, package: Path) -> None:
    install = "apt-get -q update && apt-get install -qy --no-install-recommends man-db bash-completion"
    for command in (
        f"export DEBIAN_FRONTEND=noninteractive; {install} ./{package.name}",
        "cd /root && vmgen-build check vmgen-build/recipes/lab.ini",
        "cd /root && vmgen-build compile vmgen-build/recipes/first.ini --offline --cache c -o plan",
        "test -s /root/plan/plan.json && man --warnings vmgen-build | grep -q 'EXIT STATUS'",
        "find /usr/lib/vmgen-build -name __pycache__ | grep -q vmgen_build/cli",
    ):
        done = root.run("sh", "-euc", f"export ANA_PASSWORD=correct-horse; {command}")
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    assert root.run("bash", "-c", COMPLETE).stdout == "efi\n"
    assert root.run("sh", "-c", "cd /; vmgen-build --version").stdout.startswith("vmgen-build, version ")
    done = root.run("sh", "-euc", "apt-get purge -qy vmgen-build")
    assert done.returncode == 0, done.stdout[-3000:]
    inside = [str(path.relative_to(root.folder)) for path in root.folder.rglob("*vmgen-build*")]
    assert [path for path in inside if not path.startswith((CHECKOUT, "root/", "proc/", "var/cache/man/"))] == []
