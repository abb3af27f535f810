"""The roots of the test distributions, and the tarballs that recipes take as bases."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

from tests.distros import archlinux, fedora, fedora14, opensuse
from tests.distros.content import Package
from tests.distros.debian import debian_root
from tests.distros.family import Distribution
from tests.distros.inside import Root
from tests.distros.kept import kept
from tests.distros.keys import signing_keys
from tests.distros.pacmans import plain_packages
from tests.distros.rpms import build_rpms
from tests.distros.server import LOOPBACK, port_of
from vmgen_build.host.files import sha256_of

DISTRIBUTIONS = {one.name: one for one in (fedora.DISTRIBUTION, opensuse.DISTRIBUTION, archlinux.DISTRIBUTION)}

HERE = Path(__file__).resolve().parent
MAKERS = ("roots.py", "rpms.py", "pacmans.py")


def old_fedora(cache: Path, address: str = LOOPBACK) -> Distribution:
    """Its own repositories lie on the mirror of this cache (server.port_of) at this address."""
    return fedora14.distribution(port_of(cache), address)


def root_of(cache: Path, distribution: Distribution) -> Root:
    debian, folder = debian_root(cache, distribution.bootstrap), _made(cache, distribution)
    return debian.over(folder / "layer/upper")


def tarball_of(cache: Path, distribution: Distribution) -> tuple[Path, str]:
    """The root as one file, and its sha256 in hex."""
    folder = _made(cache, distribution)
    return folder / _packed(distribution), (folder / "sha256").read_text().strip()


def _made(cache: Path, distribution: Distribution) -> Path:
    debian, tools = debian_root(cache, distribution.bootstrap), debian_root(cache)
    key = signing_keys(cache)["distribution"]
    sources = [(HERE / name).read_text() for name in MAKERS]
    made_of = [sources, asdict(distribution), debian.layers[0].parent.name, key.fingerprint]

    def make(folder: Path) -> None:
        packages = _present(folder / "present", distribution, tools)
        _make(folder, distribution, debian.bound({packages: "/packages"}), key.public)

    return kept(cache, distribution.name, made_of, make)


def _packed(distribution: Distribution) -> str:
    return f"{distribution.name}.tar.{'zst' if distribution.compression == 'zstd' else 'gz'}"


def _present(scratch: Path, distribution: Distribution, tools: Root) -> Path:
    """The folder of the packages that the root holds already."""
    present = [Package(name=name, provides=provides) for name, provides in distribution.present.items()]
    if distribution.format == "rpm":
        return build_rpms(tools, scratch, present, distribution.tag)
    return plain_packages(tools, scratch, present)


def _make(folder: Path, distribution: Distribution, debian: Root, public: Path) -> None:
    layer = folder / "layer"
    for path, text in distribution.files.items():
        file = layer / "upper" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if "bin/" in path else 0o644)
    keys = folder / "keys"
    keys.mkdir()
    shutil.copy(public, keys / "public.asc")
    debian.bound({keys: "/keys"}).sh(distribution.identity, upper=layer)
    for scratch in (folder / "present", keys, layer / "work", layer / "upper/keys", layer / "upper/packages"):
        shutil.rmtree(scratch)
    _pack(debian.over(layer / "upper"), folder / _packed(distribution), distribution.compression)


PACK = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/root
mount -t overlay overlay -o "lowerdir=$1,xino=off" /mnt/root
goal=$2 compress=$3; shift 3
for folder in proc sys dev run tmp; do set -- "$@" "--exclude=./$folder/*"; done
tar --create --file - --directory /mnt/root --numeric-owner --xattrs --acls --sort=name "$@" . |
    $compress -1 >"$goal"
"""


def _pack(root: Root, goal: Path, compression: str) -> None:
    lower = ":".join(map(str, root.layers))
    words = ["unshare", "--mount", "bash", "-euo", "pipefail", "-c", PACK, "sh", lower, str(goal), compression]
    subprocess.run(words, check=True)
    (goal.parent / "sha256").write_text(f"{sha256_of(goal)}\n")
