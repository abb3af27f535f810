"""How much room packages take once they are installed, as apt says before any of them is fetched.

apt of this host works with settings, indexes and an empty status (of dpkg) of its own, as mmdebstrap(1) makes it do:
apt.conf(5), apt-get(8), apt-patterns(7). Nothing of this host's own packages is read or changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.remembered import recall, remember
from vmgen_build.bases.supply import COMPLETE, Sizing
from vmgen_build.host.bounded import finish_within
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.host.files import write_private
from vmgen_build.host.programs import find_program
from vmgen_build.host.run import PIPE, Finished, start
from vmgen_build.limits import APT_ANSWER, APT_TIME, FETCHING_INDEXES
from vmgen_build.plan.digests import digest_of

MINIMUM = ("?essential", "?priority(required)", "apt")
"""What mmdebstrap's variant "minbase" installs: mmdebstrap(1), VARIANTS."""

_SIZE = re.compile(
    rb"^After this operation, ([0-9]{1,6}(?:\.[0-9])?) ([kMGT]?)B of additional disk space will be used\.$",
    re.MULTILINE,
)
_UNITS = {b"": 1, b"k": 10**3, b"M": 10**6, b"G": 10**9, b"T": 10**12}
"""Of SizeToStr of apt."""

_SETTINGS = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::State::lists "{indexes}/lists";
Dir::Cache "{folder}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Output-Version "0";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::Retries "0";
Acquire::http::Timeout "30";
Debug::NoLocking "true";
"""
"""Output-Version: the words of _SIZE, which apt 3 has for programs. No locks: the caller has the folder of indexes."""


@dataclass(frozen=True, slots=True)
class HostApt:
    """folder: a new one, for what apt needs beside the indexes. options: lines of apt.conf, how packages are
    fetched."""

    sources: Sequence[AptSource]
    options: Sequence[str]
    arch: str
    folder: Path

    def installed_size(self, sizing: Sizing, *, fetch: bool) -> int | None:
        """As Supply.installed_size."""
        if not find_program("apt-get"):
            return None
        self._write(sizing.indexes)
        if not (sizing.indexes / COMPLETE).exists():
            if not fetch or self._run(["update"], FETCHING_INDEXES.amount).code != 0:
                return None
            (sizing.indexes / COMPLETE).touch()
        listed = self._run(["--print-uris", "install", "--", *MINIMUM, *sizing.packages], APT_TIME.amount)
        size = shown_size(listed.out) if listed.code == 0 else None
        if size is not None:
            remember(sizing.cache, _record(sizing), {"size": size})
        return size

    def _write(self, indexes: Path) -> None:
        """The sources may hold passwords, as the proxy's address may."""
        (self.folder / "status").touch()
        settings = _SETTINGS.format(folder=self.folder, indexes=indexes, arch=self.arch)
        write_private(self.folder / "apt.conf", "\n".join([settings, *self.options]) + "\n")
        write_private(self.folder / "sources.list", "".join(f"{source.checked_line()}\n" for source in self.sources))

    def _run(self, words: Sequence[str], seconds: int) -> Finished:
        env = {**own(PROXIES), "APT_CONFIG": str(self.folder / "apt.conf"), "TMPDIR": str(self.folder)}
        process = start(["apt-get", "-q", *words], stderr=PIPE, env=env)
        return finish_within(process, APT_ANSWER, timeout=seconds)


def known_size(sizing: Sizing) -> int | None:
    """As Supply.known_size."""
    known = recall(sizing.cache, _record(sizing))
    size = known.get("size") if isinstance(known, dict) else None
    return size if isinstance(size, int) else None


def shown_size(output: bytes) -> int | None:
    """Bytes, to three figures at least, from what apt-get prints before it installs; None where it does not say."""
    found = _SIZE.search(output)
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def _record(sizing: Sizing) -> str:
    """The name of the indexes' folder holds the sources, the architecture and the state of the archive."""
    return f"size-{digest_of([sizing.indexes.name, MINIMUM, sorted(sizing.packages)])[:32]}.json"
