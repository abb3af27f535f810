"""Bases of packages: dnf, zypper and pacstrap of this host fill an empty folder from a mirror on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.distros.archlinux import DISTRIBUTION as ARCH
from tests.distros.family import Distribution
from tests.distros.fedora import DISTRIBUTION as FEDORA
from tests.distros.keys import signing_keys
from tests.distros.opensuse import DISTRIBUTION as OPENSUSE
from tests.distros.server import Mirror, mirror
from tests.distros.trees import tree_repository
from vmgen_build.bases.supply import Making, Request
from vmgen_build.bases.zypper import ZypperSupply
from vmgen_build.errors import StepFailed
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.systems.parse import parse_system

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@contextmanager
def served(cache: Path, distribution: Distribution) -> Iterator[Mirror]:
    """A mirror whose repositories hold one package: the whole system."""
    system = parse_system(distribution.system)
    tree = tree_repository(cache, distribution, system.base_packages) / "main"
    with mirror({f"/m/{suite}/": tree for archive in system.archives for suite in archive.suites}) as server:
        yield server


def recipe(folder: Path, cache: Path, distribution: Distribution, server: Mirror, signer: str) -> Path:
    path = folder / f"{distribution.name}.ini"
    path.write_text(
        f"[hardware]\nvm_id = {distribution.name}\nos = {distribution.system}\n"
        f"base_key = {signing_keys(cache)[signer].public}\n[config]\nmirror = {server.url}/m\nlocale = C.UTF-8\n"
    )
    return path


@pytest.mark.parametrize("distribution", [FEDORA, ARCH], ids=lambda one: one.name)
def test_a_base_is_bootstrapped_and_boots(vmgen: Run, cache: Path, tmp_path: Path, distribution: Distribution) -> None:
    with served(cache, distribution) as server:
        wrong = recipe(tmp_path, cache, distribution, server, "stranger")
        refused = vmgen(wrong, "-o", tmp_path)
        assert refused.returncode == 1
        assert "step 'base' failed" in refused.stderr
        right = recipe(tmp_path, cache, distribution, server, "distribution")
        built = vmgen(right, "-q", "-o", tmp_path)
    assert built.returncode == 0, built.stderr
    asked = vmgen("verify", built.stdout.split()[0])
    assert asked.returncode == 0, asked.stdout + asked.stderr


def test_zypper_makes_a_base(cache: Path, tmp_path: Path) -> None:
    """With the database that rpm of this host knows: openSUSE's own has another form, which Debian's rpm lacks."""
    with served(cache, OPENSUSE) as server:
        with pytest.raises(StepFailed):
            zypper_base(server, signing_keys(cache)["stranger"].public, tmp_path / "refused")
        root = zypper_base(server, signing_keys(cache)["distribution"].public, tmp_path / "made")
    asked = subprocess.run(["chroot", root, "rpm", "-q", "the-tree"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("the-tree-1-1")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["data"]


def zypper_base(server: Mirror, keys: Path, folder: Path) -> Path:
    """Its root."""
    folder.mkdir()
    system = replace(parse_system(OPENSUSE.system), rpm_macros={"_dbpath": "/usr/lib/sysimage/rpm"})
    supply = ZypperSupply(Request(system, f"{server.url}/m", 0), {}, b"")
    base = Bootstrapped(
        method="zypper",
        distribution=system.distribution,
        suite="",
        arch=system.arch,
        packages=system.base_packages,
        release="",
        epoch=0,
        keys=keys,
    )
    making = Making(folder, folder, supply, folder / "indexes", lambda _line: None)
    run_isolated(lambda _bus: supply.bootstrap(base, making), Bus())
    return making.root
