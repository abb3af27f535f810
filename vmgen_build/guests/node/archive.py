"""What a node knows of a Debian archive: packages are fetched the way that the node itself fetches its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vmgen_build.bases.apt_cache import apt_conf
from vmgen_build.bases.archive import Source, chosen_settings, found_mirrors, sources_of
from vmgen_build.guests.runners import Runner

CA_FILE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class NodeArchive:
    """mirrors: as layers.archive.found_mirrors; settings: lines of apt.conf; certificates: the node's CA file, b"" for
    none."""

    mirrors: dict[str, str]
    settings: tuple[str, ...]
    certificates: bytes

    def sources(self, suite: str, mirror: str | None) -> tuple[Source, ...]:
        return sources_of(suite, mirror, self.mirrors)

    def apt_conf(self, folder: str) -> str:
        """folder: of the guest, for indexes and packages."""
        return apt_conf(bool(self.certificates), self.settings, folder)


def node_archive(runner: Runner) -> NodeArchive:
    """A node of another family than Debian's has no mirrors and no settings, so that Debian's own addresses serve."""
    release = runner.run(["cat", "/etc/os-release"]).out
    if not re.search(r'^ID="?debian"?$', release, re.MULTILINE):
        return NodeArchive({}, (), b"")
    targets = runner.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).out
    settings = chosen_settings(runner.run(["apt-config", "dump"]).out)
    with runner.read(["sh", "-c", f"cat {CA_FILE} 2>/dev/null || :"]) as stream:
        certificates = stream.read()
    return NodeArchive(found_mirrors(targets), settings, certificates)
