"""Where the builds of a campaign run: a cache and an output folder in memory, a mirror, a node.

All of it lies in a mount namespace of the campaign's own, and ends with it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.mirror import Mirror
from tests.chaos.process import Run, steps_of
from tests.integration.sshd import Sshd, sshd
from tests.node.node import Node, make_node, template_from

HERE = Path(__file__).resolve().parent
RECIPE = HERE / "recipe.ini"
NODE_RECIPE = HERE.parent / "integration/recipes/onnode.ini"

CACHE_SIZE, OUT_SIZE = 4 << 30, 2 << 30
"""Bytes that the two folders may hold while no disk is full."""

NEIGHBOUR = "192.168.41.103"
"""The address of a neighbour's container on the node."""

LONG = 1000.0
"""Seconds after which a build that goes on counts as one that hangs."""

BROKEN = "broken"
"""In place of the content of what cannot be read to its end."""

SPARED = (
    *("usr/share/locale", "usr/share/perl", "usr/share/doc", "usr/share/man"),
    *("usr/lib/x86_64-linux-gnu/gconv", "usr/lib/x86_64-linux-gnu/perl"),
)
"""What the base goes without where runs must be quick: no step uses it. All other layers are made anew."""

_WARM = ("base", "packages", "repositories", "machine", "tools")
"""How the names of layers begin that are made once."""


def in_memory(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    return folder


@dataclass
class World:
    """warm: a cache on the disk that is filled once, and used by the next campaign too. folder: new, with a short path.

    small: whether the base is made smaller, see SPARED.
    references: backend -> name of an artifact -> its sha256 (or content_of), of a build that nobody disturbed.
    """

    folder: Path
    warm: Path
    backends: tuple[str, ...]
    small: bool = False
    mirror: Mirror = field(default_factory=Mirror)
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    server: Sshd | None = None
    node: Node | None = None
    events: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cache = in_memory(self.folder / "cache", CACHE_SIZE)
        self.out = in_memory(self.folder / "out", OUT_SIZE)
        self.scratch = self.folder / "scratch"
        self.tmp = self.folder / "tmp"
        for made in (self.scratch, self.tmp):
            made.mkdir()
        Path("/var/lib/vmgen-build").mkdir(exist_ok=True)
        for private in ("/var/lib/vmgen-build", "/dev/shm"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", private], check=True)

    def prepare(self) -> None:
        """Fill the warm cache, take its layers, and make the references."""
        for name in self.backends:
            if name != "node":
                self._whole(self.start(name, cache=self.warm))
        self._begin_node()
        self.clear(self.out)
        self._copy_warm()
        for name in self.backends if self.small else ():
            self._whole(self.start(name))
        for name in self.backends:
            self.reset("steps")
            run = self._whole(self.start(name))
            self.references[name] = artifacts(self.out, name)
            assert BROKEN not in self.references[name].values()
            self.events[name] = steps_of(run.events)
        self.reset("steps")
        if self.node is not None:
            self.node.begin()

    def _whole(self, run: Run) -> Run:
        run.end(1200)
        if run.code != 0:
            raise SystemExit(f"a build that nobody disturbs fails:\n{run.errors}")
        return run

    def _begin_node(self) -> None:
        if "node" in self.backends:
            self.node = make_node(self.folder / "n")
            template_from(self.warm, self.node)
            home = self.folder / "sshd"
            self._server = sshd(home, prefix=self.node.inside([]), environment={"HOME": str(home)})
            self.server = self._server.__enter__()

    def _copy_warm(self) -> None:
        """All but what is not used: packages that layers hold already, and the scratch folders."""
        skipped = shutil.ignore_patterns("packages-*", "tmp", "templates", "logs", "locks", "kept")
        for path in self.warm.iterdir():
            if path.name in skipped(str(self.warm), [path.name]):
                continue
            subprocess.run(["cp", "-a", path, self.cache], check=True)
        for path in self.cache.glob("downloads/packages-*"):
            shutil.rmtree(path)
        for layer in (self.cache / "layers").iterdir() if self.small else ():
            if self._name(layer) != "base":
                shutil.rmtree(layer)
        for path in self.cache.glob("layers/*/data/fs") if self.small else ():
            for name in SPARED:
                shutil.rmtree(path / name)

    def start(
        self,
        backend: str,
        *,
        cache: Path | None = None,
        out: Path | None = None,
        environ: Mapping[str, str] | None = None,
        beside: bool = False,
    ) -> Run:
        """beside: another build runs on the same node, where each container needs an address of its own."""
        words: list[object] = ["build", self.recipe(backend), "-o", out or self.out, "--cache", cache or self.cache]
        words += ["-b", "openvz" if backend == "node" else backend]
        extra = dict(environ or {})
        if backend == "node":
            assert self.server is not None
            words += ["--host", self.server.url, *(["--build-address", NEIGHBOUR] if beside else [])]
            extra |= self.server.environ
        base = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TERM", "PYTHONPATH")}
        return Run(words, {**base, "TMPDIR": str(self.tmp), "http_proxy": self.mirror.url, **extra}, self.scratch)

    def recipe(self, backend: str) -> Path:
        return NODE_RECIPE if backend == "node" else RECIPE

    def reset(self, depth: str) -> None:
        """Let the cache lack what this depth says, and the output folder everything."""
        self.mirror.become_honest()
        self.clear(self.out)
        for folder in ("records", "logs"):
            self.clear(self.cache / folder)
        if depth in ("packages", "base"):
            for folder in ("facts", "downloads"):
                self.clear(self.cache / folder)
        if depth != "packing":
            for layer in (self.cache / "layers").iterdir():
                if self._is_lacking(layer, depth):
                    shutil.rmtree(layer)
        for old in self.scratch.iterdir():
            old.unlink()
        self.clear(self.tmp)

    def _is_lacking(self, layer: Path, depth: str) -> bool:
        name = self._name(layer)
        if name == "packages-network":
            return depth == "packages"
        if name == "base":
            return depth == "base"
        return not name.startswith(_WARM)

    @staticmethod
    def _name(layer: Path) -> str:
        return str(json.loads((layer / "meta.json").read_text())["name"])

    @staticmethod
    def clear(folder: Path) -> None:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def resize(self, folder: Path, size: int) -> None:
        """Let this folder, the cache or the output, hold so many bytes and no more."""
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)

    def roomy(self) -> None:
        self.resize(self.cache, CACHE_SIZE)
        self.resize(self.out, OUT_SIZE)

    def end(self) -> None:
        if self.node is not None:
            self._server.__exit__(None, None, None)
            self.node.destroy()
        for mounted in (self.cache, self.out):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        with suppress(OSError):
            shutil.rmtree(self.folder)


def used(folder: Path) -> int:
    """Bytes, of the file system that this folder is the top of."""
    return shutil.disk_usage(folder).used


def artifacts(folder: Path, backend: str) -> dict[str, str]:
    """Name -> what a build must give again, of each file under a final name; manifests and sums aside."""
    return {path.name: (content_of(path) if backend == "node" else sha256_of(path)) for path in finals(folder)}


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def content_of(path: Path) -> str:
    """What is alike in all bundles of a node, whose containers write to their disks while they run: the files of /etc
    and /root, by name. BROKEN where it cannot be read to its end. (tarfile's own "r|gz" reads the first of the gzip
    members alone.)"""
    try:
        with tarfile.open(path) as bundle:
            outer = bundle.getnames()
            (name,) = [each for each in outer if each.endswith(".tar.gz")]
            packed = bundle.extractfile(name)
            assert packed is not None
            with gzip.open(packed) as plain, tarfile.open(fileobj=plain, mode="r|") as root:
                inner = [member.name for member in root]
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error):
        return BROKEN
    kept = [each for each in inner if each.startswith(("./etc/", "./root/", "etc/", "root/"))]
    return hashlib.sha256("\n".join(outer + sorted(kept)).encode()).hexdigest()


def finals(folder: Path) -> Iterable[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and not path.name.endswith((".manifest.json", "SHA256SUMS"))
    ]
