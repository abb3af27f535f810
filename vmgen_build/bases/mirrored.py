"""What the supplies of dnf, zypper and pacman share: archives that are known by their addresses alone."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.repofiles import filled, sections, text_of
from vmgen_build.bases.states import LOCAL, State, digests_of
from vmgen_build.bases.supply import Request, Supply
from vmgen_build.plan.context import Facts
from vmgen_build.plan.digests import digest_of
from vmgen_build.plan.text.quote import sh
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.store.cachedir import READABLE, own_folder

_READ = ("http://", "https://", *LOCAL)
"""What an address begins with that this host can ask."""

_OFF = ("0", "no", "false", "off")

PROXY = "proxy.sh"
"""In the step's folder: the host's own proxies, as variables that a line of sh takes in."""


@dataclass(frozen=True)
class MirroredSupply(Supply):
    """proxies: of the host that fetches, variable -> value."""

    request: Request
    proxies: Mapping[str, str]

    package_folder: ClassVar[str] = "packages"

    @property
    @abstractmethod
    def urls(self) -> Sequence[str]:
        """Of the system's own repositories; none where the base's own serve."""

    @property
    def local(self) -> bool:
        return any(url.startswith(LOCAL) for url in self.urls)

    def proxy_lines(self) -> Mapping[str, bytes]:
        lines = "".join(f"export {name}={sh(value)}\n" for name, value in sorted(self.proxies.items()))
        return {PROXY: lines.encode()} if lines else {}

    def indexes(self, cache: Path, state: str) -> Path:
        system = self.request.system
        key = digest_of([list(self.urls), system.name, system.arch, state])[:24]
        for inner in self.index_folders:
            folder = own_folder(cache, f"downloads/lists-{key}/{inner}", READABLE).parent
        return folder

    def prepare(self, indexes: Path) -> None:
        for inner in self.index_folders:
            (indexes / inner).mkdir(parents=True, exist_ok=True)

    def packages(self, cache: Path) -> Path:
        return own_folder(cache, f"downloads/packages-{self.request.system.name}", READABLE)


def facts_of(main: Sequence[State], own: Iterable[tuple[str, State]]) -> Facts:
    """main: of the system's own repositories, none where those are not known; own: of the recipe's, by name, of which
    one may have several."""
    return Facts(
        release=digest_of([state.digest for state in main]) if main else Facts().release,
        epoch=max((state.date for state in main), default=0),
        repositories=digests_of(own),
    )


def located(repository: Repository, option: str, variables: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where a recipe's repository lies: name and address, of several where its file names several. One whose address
    has a variable that is not known is left out, and one that is switched off.

    option: of a section of such a file, that holds the address. variables: of the package manager, name -> value;
    "repo" is the name.
    """
    if repository.file is None:
        url = "/".join(filter(None, ((repository.url or "").rstrip("/"), (repository.suite or "").strip("/"))))
        found = [(repository.name, url)]
    else:
        every = sections(text_of(repository))
        on = [(name, options) for name, options in every if options.get("enabled", "1").lower() not in _OFF]
        found = [(name, next(iter(re.split(r"[\s,]+", options.get(option, "").strip())))) for name, options in on]
    named = [(name, filled(url, {**variables, "repo": name})) for name, url in found]
    return [(name, url) for name, url in named if url.startswith(_READ)]
