"""What the test distributions' mirrors serve, made once and kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tests.distros import pacmans, rpms
from tests.distros.content import DEVELOPMENT, LOCAL, MAIN, OTHER, SIGNED_BY, UPDATES, Package
from tests.distros.debian import debian_root
from tests.distros.family import Distribution
from tests.distros.inside import Root
from tests.distros.kept import kept
from tests.distros.keys import SigningKey, signing_keys

CONTENT = {"main": MAIN, "updates": UPDATES, "other": OTHER, "nothing": ()}
"""Folder -> packages. "other" is signed by the stranger; LOCAL lies in the folder "local", in no repository."""

PACMAN = {"main": "core", "updates": "core", "other": "other", "nothing": "extra"}
"""Folder -> name of pacman's repository."""

HERE = Path(__file__).resolve().parent
ROOTS_OWN = ("files", "identity", "bootstrap", "compression", "layout")
MAKERS = ("repositories.py", "rpms.py", "pacmans.py", "content.py")


def repositories(cache: Path, distribution: Distribution) -> Path:
    """A folder with the repositories main, updates, other and nothing, and packages in local.

    Of pacman's, updates is another state of main, with newer versions of some packages.
    """
    debian, keys = debian_root(cache), signing_keys(cache)
    sources = [(HERE / name).read_text() for name in MAKERS]
    own = {name: value for name, value in asdict(distribution).items() if name not in ROOTS_OWN}
    made_of = [sources, own, debian.layers[0].parent.name, keys["distribution"].fingerprint]

    def make(folder: Path) -> None:
        maker = _Rpms if distribution.format == "rpm" else _Pacman
        maker(folder, distribution, debian, keys).make()

    return kept(cache, f"{distribution.name}-repositories", made_of, make)


class _Rpms:
    def __init__(self, folder: Path, distribution: Distribution, tools: Root, keys: dict[str, SigningKey]) -> None:
        self.folder, self.distribution, self.tools, self.keys = folder, distribution, tools, keys
        self.scratch = folder / "scratch"

    def make(self) -> None:
        for name, packages in CONTENT.items():
            own = self.distribution.own if name == "main" else ()
            files = self.build(name, (*named(packages, self.distribution), *own))
            key = self.keys["stranger" if name == "other" else "distribution"]
            self.sign(files, key)
            self.index(name, key)
        self.build("local", LOCAL)
        shutil.rmtree(self.scratch)

    def build(self, name: str, packages: Sequence[Package]) -> list[Path]:
        if not packages:
            (self.folder / name).mkdir()
            return []
        made = rpms.build_rpms(self.tools, self.scratch / name, packages, self.distribution.tag)
        return sorted(made.rename(self.folder / name).iterdir())

    def sign(self, files: Sequence[Path], usual: SigningKey) -> None:
        for name in ("", *self.keys):
            signed = [file for file in files if _signer(file.name) == name]
            rpms.sign_rpms(self.tools, self.keys[name] if name else usual, signed)

    def index(self, name: str, key: SigningKey) -> None:
        groups = {}
        if name == "main":
            members = [p.name for p in MAIN if DEVELOPMENT in p.groups]
            members += [p.name for p in self.distribution.own if p.name.endswith(self.distribution.group)]
            groups = {self.distribution.group: members}
        rpms.index_rpms(self.tools, self.scratch / f"{name}-index", self.folder / name, key, groups)


class _Pacman(_Rpms):
    def make(self) -> None:
        """pacman installs nothing of a name that no repository has, though it is there: what the root holds already is
        served, too."""
        present = tuple(Package(name=name, provides=words) for name, words in self.distribution.present.items())
        for name, packages in CONTENT.items():
            own = (*self.distribution.own, *present) if name == "main" else ()
            files = self.build(name, (*named(packages, self.distribution), *own))
            key = self.keys["stranger" if name == "other" else "distribution"]
            self.sign(files, key)
            if name == "updates":
                self.beside_main()
            pacmans.index_packages(self.tools, self.folder / name, PACMAN[name], key)
        self.build("local", LOCAL)
        shutil.rmtree(self.scratch)

    def build(self, name: str, packages: Sequence[Package]) -> list[Path]:
        """Those that have more than files by makepkg, which takes a second for each."""
        more = [p for p in packages if p.unit or p.config or p.pre or p.post]
        plain = [p for p in packages if p not in more]
        goal = self.folder / name
        goal.mkdir()
        folders = [pacmans.build_packages(self.tools, self.scratch / name, more)] if more else []
        folders += [pacmans.plain_packages(self.tools, self.scratch / f"{name}-plain", plain)] if plain else []
        return sorted(file.rename(goal / file.name) for folder in folders for file in folder.iterdir())

    def sign(self, files: Sequence[Path], usual: SigningKey) -> None:
        for name in ("", *self.keys):
            signed = [file for file in files if _signer(file.name) == name]
            pacmans.sign_packages(self.tools, self.keys[name] if name else usual, signed)

    def beside_main(self) -> None:
        newer = {package.name for package in UPDATES}
        for file in (self.folder / "main").glob("*.pkg.tar.*"):
            if file.name.split("-1.0-")[0] not in newer:
                shutil.copy(file, self.folder / "updates")


def routes(cache: Path, *distributions: Distribution) -> dict[str, Path]:
    """What a mirror of the distributions serves: below /NAME/ each as its own mirrors do (Distribution.layout), and all
    its repositories in /NAME/all/."""
    found: dict[str, Path] = {}
    for one in distributions:
        folder = repositories(cache, one)
        found |= {f"/{one.name}/{path}/": folder / name for path, name in one.layout.items()}
        found[f"/{one.name}/all/"] = folder
    return found


def named(packages: Sequence[Package], distribution: Distribution) -> tuple[Package, ...]:
    """With the family's names."""
    names, group = distribution.names, distribution.group
    return tuple(replace(p, name=names.get(p.name, p.name), groups=tuple(group for _ in p.groups)) for p in packages)


def _signer(file: str) -> str:
    """Who signs a file: a key's name, "" for the usual one, "nobody"."""
    for package, signer in SIGNED_BY.items():
        if file.startswith(f"{package}-"):
            return signer or "nobody"
    return ""
