"""What guests get in a build whose packages come by pacman. Formats: pacman.conf(5), "desc" files of a database."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from vmgen_build.bases.devices import require_own_architecture
from vmgen_build.bases.fetch import fetch
from vmgen_build.bases.hostkeys import keys_for
from vmgen_build.bases.indexfiles import text_of, text_of_file
from vmgen_build.bases.kept import keep_packages
from vmgen_build.bases.mirrored import MirroredSupply, facts_of, located
from vmgen_build.bases.states import Answer, State, not_ahead, state_of
from vmgen_build.bases.supply import Ask, Making, Request
from vmgen_build.errors import BuildError, StepFailed
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.host.files import write_private
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.host.regular import read_regular
from vmgen_build.host.run import run, run_lines
from vmgen_build.installers.pacman import OPTIONS, REPOSITORIES, Repo, repositories, running
from vmgen_build.limits import DATABASE, INSTALLING, KEY_FILE
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.context import Facts
from vmgen_build.recipe.openpgp import fingerprints
from vmgen_build.recipe.sections.config import Repository
from vmgen_build.text import LastLines

_FIELD = re.compile(rb"%(NAME|BUILDDATE)%\n([^\n]{1,200})\n")
_DATE = re.compile(r"[0-9]{1,10}")
_PACKAGE = re.compile(rb"%FILENAME%\n([^\n]+)\n(?:(?!%FILENAME%).)*?%SHA256SUM%\n([0-9a-f]{64})\n", re.DOTALL)

_PACSTRAP = Requirement("pacstrap", "arch-install-scripts", "makes a base of Arch Linux")

_NEUTRAL = """\
#!/bin/sh
set -eu
# Keys that pacman trusts: a packed root has them in a package, and not yet in its ring.
if [ ! -s /etc/pacman.d/gnupg/trustdb.gpg ]; then
    pacman-key --init
    pacman-key --populate
    gpgconf --homedir /etc/pacman.d/gnupg --kill all
fi
"""

_UPDATE = """\
#!/bin/sh
set -eu
mkdir -p {downloads}/sync {downloads}/packages
{running}
run_pacman -Sy
"""


@dataclass(frozen=True)
class PacmanSupply(MirroredSupply):
    makers: ClassVar[Mapping[str, Requirement]] = {"pacstrap": _PACSTRAP}
    checking: ClassVar[tuple[Requirement, ...]] = (
        needed("pacman-key", "checks who signed a package"),
        needed("makepkg", "has what pacman-key is made of"),
    )
    index_folders: ClassVar[tuple[str, ...]] = ("sync",)
    neutral: ClassVar[str] = _NEUTRAL

    @classmethod
    def of_this_host(cls, request: Request, cache: Path) -> PacmanSupply:
        return cls(request, own(PROXIES))

    @classmethod
    def of_host(cls, request: Request, ask: Ask) -> PacmanSupply:
        return cls(request, {})

    @classmethod
    def facts(cls, request: Request, own: Mapping[str, Repository], cache: Path, *, offline: bool) -> Facts:
        main = [(repo.name, repo.url) for repo in repositories(request.system, request.mirror)]
        arch = request.system.own_arch
        extra = [(name, place) for name, repo in own.items() for place in located(repo, "server", {"arch": arch})]
        with ThreadPoolExecutor(max_workers=4) as pool:
            every = [*main, *(place for _, place in extra)]
            found = list(pool.map(lambda pair: _state(pair[0], pair[1], cache, offline=offline), every))
        return facts_of(found[: len(main)], zip((name for name, _ in extra), found[len(main) :], strict=True))

    @property
    def repositories(self) -> list[Repo]:
        return repositories(self.request.system, self.request.mirror)

    def environment(self, step_folder: str) -> Mapping[str, str]:
        return {}

    def settings(self, step_folder: str, downloads: str) -> Mapping[str, bytes]:
        conf = [
            "[options]",
            "Architecture = auto",
            f"CacheDir = {downloads}/packages/",
            "SigLevel = Required DatabaseOptional",
            "LocalFileSigLevel = Optional",
        ]
        repos = [line for repo in self.repositories for line in (f"[{repo.name}]", f"Server = {repo.url}")]
        files = {
            OPTIONS: "".join(f"{line}\n" for line in conf).encode(),
            REPOSITORIES: "".join(f"{line}\n" for line in repos).encode(),
        }
        return {**files, **self.proxy_lines()}

    def fetch_indexes(self, downloads: str) -> str:
        return _UPDATE.format(downloads=shlex.quote(downloads), running=running())

    @property
    def urls(self) -> Sequence[str]:
        return [repo.url for repo in self.repositories]

    def keep(self, new: Path, packages: Path, indexes: Path) -> None:
        keep_packages(new, packages, partial(_named, indexes / "sync", [repo.name for repo in self.repositories]))

    def bootstrap(self, base: Bootstrapped, making: Making) -> None:
        """pacstrap(8). The keys are trusted in a ring of the build's own, which goes with it."""
        require_own_architecture(self.request.system)
        keys, ring, conf = keys_for(base, self.request.system), making.scratch / "ring", making.scratch / "pacman.conf"
        making.root.mkdir(parents=True)
        kept = making.scratch / "packages"
        for folder in (ring, kept):
            folder.mkdir(mode=0o700)
        repos = "".join(f"[{repo.name}]\nServer = {repo.url}\n" for repo in self.repositories)
        arch = self.request.system.own_arch
        level = "SigLevel = Required DatabaseOptional\n"
        write_private(conf, f"[options]\nArchitecture = {arch}\nGPGDir = {ring}\nCacheDir = {kept}\n{level}{repos}")
        tail = LastLines(making.output)
        env = {**own(PROXIES), "SOURCE_DATE_EPOCH": str(base.epoch)}
        trust = ["pacman-key", "--config", str(conf), "--gpgdir", str(ring)]
        signed = [["--lsign-key", one] for one in fingerprints(read_regular(keys, KEY_FILE))]
        packages = ["pacstrap", "-C", str(conf), "-G", "-M", "-c", str(making.root), *base.packages]
        commands = [*([*trust, *words] for words in (["--init"], ["--add", str(keys)], *signed)), packages]
        try:
            for command in commands:
                if code := run_lines(command, tail, env=env, timeout=float(INSTALLING.amount)):
                    raise StepFailed("base", code, tail.lines, None)
        finally:
            run(["gpgconf", "--homedir", ring, "--kill", "all"])
        for folder in (ring, kept):
            shutil.rmtree(folder)
        conf.unlink()


def _state(name: str, url: str, cache: Path, *, offline: bool) -> State:
    return state_of(url, ("pacman", name), partial(_ask, f"{url.rstrip('/')}/{name}.db"), cache, offline=offline)


def _ask(address: str) -> Answer:
    data = fetch(address, DATABASE)
    assert data is not None
    built = _built(text_of(data, address))
    state = not_ahead(address, State(hashlib.sha256(data).hexdigest(), max(built.values(), default=0)))
    return Answer(address, state, built)


def _built(text: bytes) -> Mapping[str, int]:
    """Of each package of a database when it was built: name -> epoch seconds. A database has no date of its own, and
    its newest package may go; but a package that stays is never replaced by one that was built earlier."""
    found: dict[str, int] = {}
    name = ""
    for match in _FIELD.finditer(text):
        value = match[2].decode(errors="replace")
        if match[1] == b"NAME":
            name = value
        elif _DATE.fullmatch(value):
            found[name] = int(value)
    return found


def _named(databases: Path, repositories: Collection[str], digests: Collection[str]) -> set[tuple[str, str]]:
    """Those of the digests that databases of these repositories name, each with its package's file."""
    wanted = {digest.encode() for digest in digests}
    found: set[tuple[str, str]] = set()
    for path in (databases / f"{name}.db" for name in repositories):
        with suppress(BuildError):
            matches = _PACKAGE.finditer(text_of_file(path))
            found |= {(m[1].decode(errors="replace"), m[2].decode()) for m in matches if m[2] in wanted}
    return found


SUPPLY = PacmanSupply
