"""LXD as a second reader of what our reader of image servers reads: one tree, right and wrong sums, the same verdicts.

Its programs are unpacked into a folder, and not installed: its package would start a service, and add users and their
ranges of ids. The daemon runs in a mount namespace of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.foreign import ran
from tests.integration.imageserver import Entry, Tree, item, product, secure, serving, write_lists
from tests.integration.leftovers import assert_nothing_left
from tests.unit.gpgkeys import Keys
from vmgen_build.bases.fetched import WrongFile, fetch
from vmgen_build.bases.imageserver import ImageServer, aliases_of, find_image
from vmgen_build.errors import BuildError
from vmgen_build.events import Event
from vmgen_build.host.files import sha256_of
from vmgen_build.host.system import host_system
from vmgen_build.systems.parse import parse_system

NOBODY = "http://127.0.0.1:9"
"""A proxy that is not there: LXD asks nobody outside for its instance types."""

NEEDED = ("lxd", "lib", "attr")
"""How the names of the packages begin that are unpacked. The others are for containers, which are not started."""

METADATA = "architecture: x86_64\ncreation_date: 1764220800\nproperties:\n  os: debian\n"


def apt(*words: object) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    command = [str(word) for word in words]
    return subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def download(archives: Path) -> None:
    """LXD's package and those it needs that this host has not, into this folder; nothing is installed."""
    (archives / "partial").mkdir(parents=True)
    command = ["apt-get", "install", "-q", "-y", "--reinstall", "--download-only", "--no-install-recommends"]
    command += ["-o", f"Dir::Cache::archives={archives}", "-o", "DPkg::Lock::Timeout=120", "lxd"]
    if apt(*command).returncode == 0:
        return
    updated = apt("apt-get", "update", "-q")
    if apt("apt-cache", "show", "lxd").returncode != 0:
        pytest.skip(f"the package archive of {host_system().name} has no lxd; that of Debian 12 and 13 has")
    done = apt(*command)
    assert done.returncode == 0, updated.stderr + done.stderr


@dataclass(frozen=True, slots=True)
class Lxd:
    """programs: what its packages hold, unpacked. folder: for all that it writes."""

    programs: Path
    folder: Path
    certificate: Path

    def environ(self) -> dict[str, str]:
        libraries = {str(path.parent) for path in self.programs.rglob("lib*.so*")}
        return {
            "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{self.programs}/usr/bin",
            "HOME": str(self.folder),
            "LD_LIBRARY_PATH": ":".join(sorted(libraries)),
            "LXD_CONF": str(self.folder / "client"),
            "LXD_DIR": str(self.folder / "lxd"),
            "LXD_SECURITY_APPARMOR": "false",
            "SSL_CERT_FILE": str(self.certificate),
            "https_proxy": NOBODY,
            "no_proxy": "localhost",
        }

    def program(self, name: str, *words: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / "usr/bin" / name), *map(str, words)]
        return subprocess.run(
            command, env=self.environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )

    def client(self, *words: object) -> str:
        done = self.program("lxc", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def images(self, remote: str) -> dict[str, list[str]]:
        """Fingerprint -> aliases."""
        found = json.loads(self.client("image", "list", f"{remote}:", "--format", "json"))
        return {one["fingerprint"]: [alias["name"] for alias in one["aliases"]] for one in found}

    @contextmanager
    def running(self) -> Iterator[None]:
        (self.folder / "lxd").mkdir()
        log = self.folder / "lxd.log"
        words: list[str | Path] = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation=private"]
        words += [self.programs / "usr/bin/lxd", "--logfile", log]
        with (self.folder / "output").open("wb") as output:
            daemon = subprocess.Popen(
                words, env=self.environ(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            while self.program("lxd", "waitready", "--timeout", 5).returncode != 0:
                assert daemon.poll() is None, (self.folder / "output").read_text()
            yield
        finally:
            daemon.kill()
            daemon.wait()


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the tree. sums: of its two files."""

    listed: Entry
    sums: tuple[str, str]
    fingerprint: str


def put_image(folder: Path, alias: str) -> Image:
    """Its files below the folder, and what the list says of them. The fingerprint is the sum of both, one after the
    other (LXD's documentation, "Image format")."""
    where = folder / "images" / alias
    (where / "root/etc").mkdir(parents=True)
    (where / "root/etc/issue").write_text(f"{alias}\n")
    (where / "metadata.yaml").write_text(METADATA)
    meta, root = where / "lxd.tar.xz", where / "root.tar.xz"
    ran("tar", "-cJf", meta, "-C", where, "metadata.yaml")
    ran("tar", "-cJf", root, "-C", where / "root", ".")
    both = hashlib.sha256(meta.read_bytes() + root.read_bytes()).hexdigest()
    items = {one.name: item(one.name, one.relative_to(folder), one) for one in (meta, root)}
    items["lxd.tar.xz"] |= {"combined_sha256": both, "combined_rootxz_sha256": both}
    return Image(product(alias, items), (sha256_of(meta), sha256_of(root)), both)


@dataclass(frozen=True, slots=True)
class Both:
    """LXD, which knows the server as "tests"; and what our reader needs."""

    lxd: Lxd
    server: ImageServer
    keys: Keys
    right: Image


RIGHT, WRONG_SUM, WRONG_FILE = "debian/12", "debian/11", "debian/10"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Keys, Image]]:
    """A folder with three images in a signed list: one right, one with another sum, one whose file was changed."""
    folder = tmp_path_factory.mktemp("tree")
    images = {alias: put_image(folder, alias) for alias in (RIGHT, WRONG_SUM, WRONG_FILE)}
    versions = images[WRONG_SUM].listed["versions"]
    versions["20261128_05:24"]["items"]["root.tar.xz"]["sha256"] = images[RIGHT].sums[1]
    root = folder / "images" / WRONG_FILE / "root.tar.xz"
    data = bytearray(root.read_bytes())
    data[len(data) // 2] ^= 1
    root.write_bytes(data)
    keys = Keys(tmp_path_factory.mktemp("gpg") / "home")
    try:
        write_lists(folder, {alias: image.listed for alias, image in images.items()}, keys)
        yield folder, keys, images[RIGHT]
    finally:
        keys.end()


@pytest.fixture(scope="module")
def both(tree: tuple[Path, Keys, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    if not host_system().is_debian:
        pytest.skip("LXD is taken from Debian's packages")
    folder = tmp_path_factory.mktemp("lxd")
    root, keys, right = tree
    try:
        download(folder / "archives")
        for package in (folder / "archives").glob("*.deb"):
            if package.name.startswith(NEEDED):
                ran("dpkg-deb", "--extract", package, folder / "programs")
        server = Tree(root)
        lxd = Lxd(folder / "programs", folder, secure(server, folder))
        with serving(server), lxd.running():
            url = f"https://localhost:{server.port}"
            lxd.client("remote", "add", "tests", url, "--protocol", "simplestreams", "--public")
            yield Both(lxd, ImageServer(url), keys, right)
        assert_nothing_left(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _trusted(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our reader believes the server's certificate, as LXD does."""
    monkeypatch.setenv("SSL_CERT_FILE", str(both.lxd.certificate))
    monkeypatch.setenv("no_proxy", "localhost")


def test_both_take_the_same_file(both: Both, tmp_path: Path) -> None:
    lxd, right = both.lxd, both.right
    listed = {alias: fingerprint for fingerprint, aliases in lxd.images("tests").items() for alias in aliases}
    assert listed[RIGHT] == right.fingerprint and len(set(listed.values())) == 3
    lxd.client("image", "copy", f"tests:{RIGHT}", "local:")
    assert list(lxd.images("local")) == [right.fingerprint]
    (tmp_path / "export").mkdir()
    lxd.client("image", "export", f"local:{right.fingerprint}", tmp_path / "export/")
    theirs = {sha256_of(file): file for file in (tmp_path / "export").iterdir()}
    assert set(theirs) == set(right.sums)

    events: list[Event] = []
    wanted = find_image(both.server, aliases_of(parse_system("debian-12-amd64")), "amd64")
    ours, digest = fetch(wanted, tmp_path / "cache", events.append)
    assert digest == right.sums[1] and ours.read_bytes() == theirs[digest].read_bytes()


def test_our_reader_takes_the_tree_by_its_signature_alone(both: Both, tmp_path: Path) -> None:
    """LXD asks for none: it has the server's certificate."""
    signed = ImageServer(both.server.url, both.keys.keyring)
    assert find_image(signed, [RIGHT], "amd64").sha256 == both.right.sums[1]
    other = Keys(tmp_path / "other")
    try:
        with pytest.raises(BuildError, match=r"index\.sjson is not signed by a key of "):
            find_image(ImageServer(both.server.url, other.keyring), [RIGHT], "amd64")
    finally:
        other.end()


@pytest.mark.parametrize("alias", [WRONG_SUM, WRONG_FILE])
def test_both_refuse_a_file_with_another_sum(both: Both, tmp_path: Path, alias: str) -> None:
    before = both.lxd.images("local")
    done = both.lxd.program("lxc", "image", "copy", f"tests:{alias}", "local:")
    assert done.returncode != 0 and f"Hash mismatch for {both.server.url}/images/{alias}/root.tar.xz" in done.stderr
    assert both.lxd.images("local") == before
    wanted = find_image(both.server, [alias], "amd64")
    with pytest.raises(WrongFile, match=f"and {wanted.sha256} is asked for"):
        fetch(wanted, tmp_path / "cache", lambda _event: None)
    assert not list((tmp_path / "cache").rglob("*root.tar.xz*"))
