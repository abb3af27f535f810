"""Every package of the catalogue is in the archive that this host knows, and all can be installed together."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.catalogue.programs import all_programs
from vmgen_build.installers import installer_for
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system


def host_system() -> System | None:
    """The host's Debian release, if apt has its indexes."""
    if shutil.which("apt-cache") is None or "Debian" not in Path("/etc/os-release").read_text():
        return None
    try:
        system = parse_system(f"debian-{platform.freedesktop_os_release().get('VERSION_CODENAME', '')}")
    except ValueError:
        return None
    known = subprocess.run(["apt-cache", "policy", "postfix"], text=True, capture_output=True, check=False).stdout
    return system if "Candidate:" in known and "(none)" not in known.split("Candidate:")[1].splitlines()[0] else None


def test_all_packages_can_be_installed_together(tmp_path: Path) -> None:
    system = host_system()
    if system is None:
        pytest.skip("apt knows no Debian archive here; run 'apt-get update'")
    found = {p.name: p for p in all_programs(system)}
    beside = {other for p in found.values() for other in p.conflicts if other > p.name}
    for names in (found.keys() - beside, beside):
        packages = sorted({package for name in names for package in found[name].packages})
        status = tmp_path / "status"
        status.touch()
        install = installer_for(system).install(packages)
        command = [*install[:1], "--print-uris", "-o", f"Dir::State::status={status}", *install[1:]]
        ran = subprocess.run(command, text=True, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
