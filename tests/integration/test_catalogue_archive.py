"""Every package that the catalogue names for Debian, of programs and of their choices, is in the archive of each
release and architecture, and all of a stable release can be installed together. One run of apt-get update a release."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgen_build.catalogue.building import known_needs, packages_for
from vmgen_build.catalogue.catalogue import known_programs
from vmgen_build.catalogue.programs import Program
from vmgen_build.installers import installer_for
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

RELEASES = ("11", "12", "13", "sid")
RESOLVED = ("11", "12", "13")
ARCHITECTURES = ("amd64", "i386", "arm64")
"""The first one is that of what is resolved."""


class Archive:
    """A release's indexes, fetched into a folder; apt's configuration of this host says how (mirror, proxy)."""

    def __init__(self, release: str, folder: Path) -> None:
        self.release, self.folder = release, folder
        main = parse_system(f"debian-{release}").archives[0]
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        line = f"deb [signed-by={main.keyring}] {main.uri} {main.suites[0]} main\n"
        (folder / "sources.list").write_text(line)
        updated = self.apt(ARCHITECTURES, "update")
        assert updated.returncode == 0, updated.stdout + updated.stderr

    def apt(self, architectures: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "Dir::Etc::sourcelist": f"{self.folder}/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": f"{self.folder}/lists",
            "Dir::State::status": f"{self.folder}/status",
            "Dir::Cache": str(self.folder),
            "APT::Architecture": architectures[0],
            "APT::Architectures": ",".join(architectures),
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",
            "Acquire::GzipIndexes": "false",
            "APT::Sandbox::User": "root",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(["apt-get", *options, *words], text=True, capture_output=True, check=False)

    def names(self, arch: str) -> set[str]:
        (index,) = self.folder.glob(f"lists/*_binary-{arch}_Packages")
        with index.open(encoding="utf-8") as lines:
            return {line.split()[1] for line in lines if line.startswith("Package: ")}


@pytest.fixture(scope="module", params=RELEASES)
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt-get here")
    folder = tmp_path_factory.mktemp(f"debian-{request.param}")
    yield Archive(request.param, folder)
    shutil.rmtree(folder)


def own(system: System) -> dict[str, Program]:
    """Programs of the distribution's own archive; those that a vendor brings are not in it."""
    return {p.name: p for p in known_programs().all_programs(system) if p.packages and p.repository is None}


def test_every_package_is_there_and_says_so(archive: Archive) -> None:
    for arch in ARCHITECTURES:
        system, there = parse_system(f"debian-{archive.release}-{arch}"), archive.names(arch)
        programs = own(system)
        assert len(programs) > 110 and len(there) > 40_000
        assert {p.name: set(p.packages) - there for p in programs.values() if set(p.packages) - there} == {}, system
        assert [p.name for p in programs.values() if not p.checked] == []


def test_what_programs_are_built_with_is_there(archive: Archive) -> None:
    for arch in ARCHITECTURES:
        system = parse_system(f"debian-{archive.release}-{arch}")
        packages = {package for need in known_needs() for package in packages_for(need, system) or (f"no {need}",)}
        sources = [program.source for program in known_programs().all_programs(system) if program.source]
        kept = {package for source in sources for package in source.packages}
        assert (packages | kept) - archive.names(arch) == set() and sources, system


def test_what_is_called_missing_is_not_there(archive: Archive) -> None:
    for arch in ARCHITECTURES:
        system = parse_system(f"debian-{archive.release}-{arch}")
        lacking = {hole.name for hole in known_programs().holes(system) if hole.lacks == "packages"}
        assert lacking & archive.names(arch) == set(), system


def test_all_packages_can_be_installed_together(archive: Archive) -> None:
    if archive.release not in RESOLVED:
        pytest.skip("sid may be in the middle of a change")
    system = parse_system(f"debian-{archive.release}-{ARCHITECTURES[0]}")
    found = own(system)
    beside = {other for p in found.values() for other in p.conflicts if other in found and other > p.name}
    for names in (found.keys() - beside, beside):
        packages = sorted({package for name in names for package in found[name].packages})
        ran = archive.apt(ARCHITECTURES[:1], "--print-uris", *shlex.split(installer_for(system).install(packages))[1:])
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr
