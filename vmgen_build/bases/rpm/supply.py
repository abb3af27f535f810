"""What the supplies of dnf and of zypper share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.kept import keep_packages
from vmgen_build.bases.mirrored import MirroredSupply, facts_of, located
from vmgen_build.bases.rpm import repodata
from vmgen_build.bases.supply import Ask, Request
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.installers import rpm
from vmgen_build.plan.context import Facts
from vmgen_build.recipe.sections.config import Repository

CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
"""Where distributions keep the authorities that a host trusts."""

_NEUTRAL = """\
#!/bin/sh
set -eu
mkdir -p {moved}
for file in {folder}/*.repo; do
    [ ! -e "$file" ] || mv -- "$file" {moved}/
done
# Discs, which nobody puts in.
for file in {moved}/*.repo; do
    [ -e "$file" ] || continue
    awk '/^\\[/ {{ hold() }} {{ lines[++n] = $0 }} /^baseurl *= *(cd|dvd|hd|iso|media|file):/ {{ disc = 1 }}
        function hold(i) {{
            for (i = 1; i <= n; i++) {{ if (disc) sub(/^enabled *=.*/, "enabled=0", lines[i]); print lines[i] }}
            n = 0; disc = 0
        }}
        END {{ hold() }}' "$file" >"$file.new"
    cat "$file.new" >"$file"
    rm -f "$file.new"
done
"""


@dataclass(frozen=True)
class RpmSupply(MirroredSupply):
    """certificates: the CA file of the host that fetches, b"" for none."""

    certificates: bytes

    index_folders: ClassVar[tuple[str, ...]] = ("cache",)

    @classmethod
    def of_this_host(cls, request: Request, cache: Path) -> RpmSupply:
        found = next((path for path in map(Path, CA_FILES) if path.exists()), None)
        return cls(request, own(PROXIES), found.read_bytes() if found else b"")

    @classmethod
    def of_host(cls, request: Request, ask: Ask) -> RpmSupply:
        found = (ask(["cat", path]) for path in CA_FILES)
        return cls(request, {}, next(filter(None, found), b""))

    @classmethod
    def facts(cls, request: Request, own: Mapping[str, Repository], cache: Path, *, offline: bool) -> Facts:
        """The keys of the archives lie in the guest, which checks each package by them."""
        main = [(url, "") for _, url, _ in rpm.addresses(request.system, request.mirror)]
        variables = {"basearch": request.system.own_arch, "releasever": request.system.version}
        extra = [
            (name, url, str(repo.key or ""))
            for name, repo in own.items()
            for _, url in located(repo, "baseurl", variables)
        ]
        found = repodata.states([*main, *((url, key) for _, url, key in extra)], cache, offline=offline)
        return facts_of(found[: len(main)], zip((name for name, _, _ in extra), found[len(main) :], strict=True))

    @property
    def addresses(self) -> list[tuple[str, str, str]]:
        """As rpm.addresses; none where the base's own repositories serve."""
        return rpm.addresses(self.request.system, self.request.mirror)

    @property
    def urls(self) -> Sequence[str]:
        return [url for _, url, _ in self.addresses]

    def keep(self, new: Path, packages: Path, indexes: Path) -> None:
        own = [repo_id for repo_id, _, _ in self.addresses]
        keep_packages(new, packages, partial(repodata.named, indexes, own))


def neutral(folder: str) -> str:
    """Supply.neutral, for a folder of .repo files."""
    return _NEUTRAL.format(folder=folder, moved=rpm.MOVED)
