"""What guests get in a build whose packages come by apt. Formats: apt.conf(5), sources.list(5), invoke-rc.d(8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.apt.archive import (
    SETTINGS,
    TARGETS,
    AptSource,
    chosen_settings,
    found_mirrors,
    host_apt_settings,
    release_of,
    sources_here,
    sources_of,
)
from vmgen_build.bases.apt.bootstrap import bootstrap
from vmgen_build.bases.apt.cache import INDEX_FOLDERS, keep_packages, lists_folder, package_lists, packages_folder
from vmgen_build.bases.apt.size import HostApt, known_size
from vmgen_build.bases.apt.sourcefiles import sources_in
from vmgen_build.bases.repofiles import text_of
from vmgen_build.bases.shelves import Shelves
from vmgen_build.bases.states import LOCAL, digests_of
from vmgen_build.bases.supply import Ask, Making, Request, Sizing, Supply
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.host.system import parse_os_release
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.plan.digests import digest_of
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.systems.model import System

CA_FILE = "/etc/ssl/certs/ca-certificates.crt"

NEUTRAL = """\
#!/bin/sh
set -eu
rm -f /etc/apt/sources.list
if [ -d /etc/apt/sources.list.d ]; then find /etc/apt/sources.list.d -type f -delete; fi
: >/etc/apt/sources.list
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
rm -f /etc/apt/apt.conf.d/docker-* /etc/dpkg/dpkg.cfg.d/docker*
"""

UPDATE = """\
#!/bin/sh
set -eu
mkdir -p DOWNLOADS/lists/partial DOWNLOADS/archives/partial DOWNLOADS/cache
exec apt-get -q update
"""


@dataclass(frozen=True)
class AptSupply(Supply):
    """options: lines of apt.conf, how packages are fetched; certificates: the CA file of the host that fetches, b"" for
    none."""

    request: Request
    sources: tuple[AptSource, ...]
    options: tuple[str, ...]
    certificates: bytes

    makers: ClassVar[Mapping[str, Requirement]] = {"mmdebstrap": needed("mmdebstrap", "makes a Debian base")}
    checking: ClassVar[tuple[Requirement, ...]] = (needed("gpgv", "checks who signed a package archive"),)
    index_folders: ClassVar[tuple[str, ...]] = INDEX_FOLDERS
    package_folder: ClassVar[str] = "archives"
    neutral: ClassVar[str] = NEUTRAL
    finishes: ClassVar[bool] = True

    @classmethod
    def of_this_host(cls, request: Request, cache: Path) -> AptSupply:
        sources = sources_here(request.system, request.mirror, cache)
        certificates = Path(CA_FILE).read_bytes() if Path(CA_FILE).exists() else b""
        return cls(request, sources, host_apt_settings(), certificates)

    @classmethod
    def of_host(cls, request: Request, ask: Ask) -> AptSupply:
        """One of another family has no mirrors and no settings of apt, so that the archives' own addresses serve."""
        if not parse_os_release(ask(["cat", "/etc/os-release"]).decode(errors="replace")).has_apt:
            return cls(request, sources_of(request.system, request.mirror, {}), (), b"")
        mirrors = found_mirrors(ask(TARGETS).decode(errors="replace"))
        options = chosen_settings(ask(SETTINGS).decode(errors="replace"))
        sources = sources_of(request.system, request.mirror, mirrors)
        return cls(request, sources, options, ask(["cat", CA_FILE]))

    @classmethod
    def facts(cls, request: Request, own: Mapping[str, Repository], cache: Path, *, offline: bool) -> Facts:
        from concurrent.futures import ThreadPoolExecutor

        arch, sources = request.system.arch, sources_here(request.system, request.mirror, cache)
        keyring = next((archive.keyring for archive in request.system.archives), "")
        extra = list(_sources_of(own, request.system, keyring))
        with ThreadPoolExecutor(max_workers=4) as pool:
            every = [*sources, *(source for _, source in extra)]
            releases = list(pool.map(lambda s: release_of(s, arch, cache, offline=offline), every))
        main, others = releases[: len(sources)], releases[len(sources) :]
        return Facts(
            release=digest_of([r.digest for r in main]),
            epoch=main[0].date,
            repositories=digests_of(zip((name for name, _ in extra), others, strict=True)),
        )

    @classmethod
    def shelves(cls, request: Request, cache: Path, *, offline: bool) -> Shelves:
        from vmgen_build.bases.apt.current import shelves

        return shelves(request, cache, offline=offline)

    @property
    def local(self) -> bool:
        return any(source.uri.startswith(LOCAL) for source in self.sources)

    def environment(self, step_folder: str) -> Mapping[str, str]:
        return {"DEBIAN_FRONTEND": "noninteractive", "APT_CONFIG": f"{step_folder}/apt.conf"}

    def settings(self, step_folder: str, downloads: str) -> Mapping[str, bytes]:
        files = {
            "sources.list": "".join(f"{source.checked_line()}\n" for source in self.sources).encode(),
            "apt.conf": apt_conf(step_folder, downloads, self.options, ca_file=bool(self.certificates)).encode(),
        }
        return files | ({"ca-certificates.crt": self.certificates} if self.certificates else {})

    def fetch_indexes(self, downloads: str) -> str:
        return UPDATE.replace("DOWNLOADS", shlex.quote(downloads))

    def indexes(self, cache: Path, state: str) -> Path:
        return lists_folder(cache, self.sources, self.request.system.arch, state)

    def prepare(self, indexes: Path) -> None:
        (indexes / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (indexes / "cache").mkdir(exist_ok=True)

    def packages(self, cache: Path) -> Path:
        return packages_folder(cache, self.request.system.distribution)

    def keep(self, new: Path, packages: Path, indexes: Path) -> None:
        keep_packages(new, packages, package_lists(indexes, self.sources))

    def known_size(self, sizing: Sizing) -> int | None:
        return known_size(sizing)

    def installed_size(self, sizing: Sizing, scratch: Path, *, fetch: bool) -> int | None:
        apt = HostApt(self.sources, self.options, self.request.system.arch, scratch)
        return apt.installed_size(sizing, fetch=fetch)

    def bootstrap(self, base: Bootstrapped, making: Making) -> None:
        bootstrap(base, making, self.sources, self.options, self.packages(making.cache))


def _sources_of(own: Mapping[str, Repository], system: System, keyring: str) -> Iterable[tuple[str, AptSource]]:
    """keyring: of the system's archives, by which a guest checks a repository whose key the recipe does not name."""
    for name, repo in own.items():
        key = str(repo.key) if repo.key else keyring
        if repo.url is not None:
            suite = repo.suite or system.codename
            yield name, AptSource(repo.url.rstrip("/"), suite, tuple(repo.components), key)
        elif repo.line is not None:
            words = re.sub(r"\[[^\]]*\]", " ", repo.line).split()
            components = tuple(words[3:]) or ("main",)
            yield name, AptSource(words[1].rstrip("/"), words[2], components, "" if _own_trust(repo.line) else key)
        else:
            yield from ((name, source) for source in sources_in(text_of(repo), system.arch))


def _own_trust(line: str) -> bool:
    """Whether a source line's options say how it is checked (sources.list(5)): not at all, or by keys of the guest,
    which this host has not."""
    options = re.search(r"\[([^\]]*)\]", line)
    own = re.compile(r"\b(trusted|allow-insecure|signed-by)\s*[+-]?=", re.IGNORECASE)
    return options is not None and own.search(options[1]) is not None


def apt_conf(step_folder: str, downloads: str, options: Sequence[str], *, ca_file: bool) -> str:
    """Settings of every apt run in a guest; the paths are the guest's."""
    lines = [
        f'Dir::Etc::sourcelist "{step_folder}/sources.list";',
        f'Dir::State::lists "{downloads}/lists";',
        f'Dir::Cache::archives "{downloads}/archives";',
        f'Dir::Cache::pkgcache "{downloads}/cache/pkgcache.bin";',
        f'Dir::Cache::srcpkgcache "{downloads}/cache/srcpkgcache.bin";',
        'APT::Sandbox::User "root";',
        'APT::Keep-Downloaded-Packages "true";',
        'APT::Update::Error-Mode "any";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        'Acquire::http::Timeout "30";',
        'Acquire::GzipIndexes "false";',
        'DPkg::Options { "--force-unsafe-io"; };',
        *options,
    ]
    if ca_file:
        lines.append(f'Acquire::https::CaInfo "{step_folder}/ca-certificates.crt";')
    return "\n".join(lines) + "\n"
