"""Debian 11, 12 and 13, i386 and arm64, and an Ubuntu of the tests' own: built, booted and asked, with a program of
each kind; arm64, which is emulated, with one alone. All are built at once, two at a time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.ubuntulike import KEYRING, Archive, ubuntu_like
from vmgen_build.bases.apt.archive import AptSource, sources_here
from vmgen_build.host.architectures import why_not
from vmgen_build.systems.parse import parse_system

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"PYTHONPATH": f"{ROOT / 'tests/plaindeb'}:{ROOT}"}
"""With it, os = plaindeb-12 is Debian 12 from its main archive alone."""

RECIPE = """
[hardware]
    vm_id = {name}
    os = {system}
    [[eths]]
        [[[eth0]]]
            type = nat
[network]
    netcat = 1
    [[eths]]
        [[[eth0]]]
            type = dhcp
    [[open_ports]]
        [[[ftp]]]
            proto = tcp
            port = 21
            description = files
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = "Amiens 1802"
[config]
    hostname = arches
    timezone = Europe/Bucharest
    packages = dhcpcd-base
    {more}
[devel]
    make = 1
"""
MORE = """\
[services]
    ftp_server = 1
[gui]
    xterm = 1
"""
"""Some sixty packages of processor-independent work: what emulates a processor learns nothing by them."""

PROGRAMS = ("[services] ftp_server", "[gui] xterm")

SYSTEMS = {
    "arm64": "debian-12-arm64",
    "twelve": "debian-12-amd64",
    "eleven": "debian-11-amd64",
    "thirteen": "debian-13-amd64",
    "i386": "debian-12-i386",
}

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="speaks of a host of amd64")


@dataclass(frozen=True)
class Image:
    """An artifact, what its build and its verification said, and the probes' answers by their setting."""

    artifact: Path
    built: Ran
    verified: Ran

    @property
    def manifest(self) -> dict[str, object]:
        path = self.artifact.with_name(f"{self.artifact.name}.manifest.json")
        data: dict[str, object] = json.loads(path.read_text())
        return data

    def answers(self, outcome: str) -> dict[str, str]:
        events = [json.loads(line) for line in self.verified.stdout.splitlines()]
        return {e["setting"]: e["found"] for e in events if e["event"] == "probe" and e["outcome"] == outcome}


@dataclass(frozen=True)
class Lab:
    folder: Path
    vmgen: Run

    def image(self, name: str, system: str, more: str = "", **options: object) -> Image:
        recipe = self.folder / f"{name}.ini"
        text = RECIPE.format(name=name, system=system, more=more) + (MORE if not system.endswith("-arm64") else "")
        recipe.write_text(text.replace("    packages = dhcpcd-base\n", "") if "-11-" in system else text)
        built = self.vmgen(recipe, "-o", self.folder / "out", **options)
        artifact = self.folder / "out" / f"{name}-lxc-{system.rpartition('-')[2]}.tar.zst"
        return Image(artifact, built, self.vmgen("verify", artifact, "--json", **options))


@pytest.fixture(scope="module")
def lab(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("arches"), vmgen)


@pytest.fixture(scope="module")
def images(lab: Lab, cache: Path) -> Iterator[dict[str, Future[Image]]]:
    with ThreadPoolExecutor(2) as pool:
        found = {}
        for name, system in SYSTEMS.items():
            if why_not(system.rpartition("-")[2]):
                continue
            plain = name == "i386" and not all(whole(source, "i386") for source in sources_of(system, cache))
            system = system.replace("debian", "plaindeb") if plain else system
            found[name] = pool.submit(lab.image, name, system, env=PLAIN if plain else {})
        yield found


def sources_of(system: str, cache: Path) -> tuple[AptSource, ...]:
    return sources_here(parse_system(system), None, cache)


def whole(source: AptSource, arch: str) -> bool:
    """Whether the index of an architecture is the one that the mirror's Release file names: not all mirrors have all
    of them up to date."""
    release = urllib.request.urlopen(source.release_url(), timeout=30).read().decode()
    path = f"main/binary-{arch}/Packages.xz"
    digest = next(line.split()[0] for line in release.splitlines() if line.endswith(f" {path}") and len(line) > 100)
    index = urllib.request.urlopen(source.release_url().replace("InRelease", path), timeout=60).read()
    return hashlib.sha256(index).hexdigest() == digest


def check_whole(image: Image, *more: str) -> None:
    """more: the settings of MORE."""
    assert image.built.returncode == 0, image.built.stderr[-4000:]
    assert image.answers("fails") == {} and image.verified.returncode == 0, image.verified.stderr[-3000:]
    answered = image.answers("holds")
    for setting in ("[network] netcat", "[devel] make", "[users] ana: passwd", *more):
        assert answered[setting], setting


@pytest.mark.parametrize(("name", "codename"), [("eleven", "bullseye"), ("twelve", "bookworm"), ("thirteen", "trixie")])
def test_each_debian_is_built_and_holds_what_was_asked(
    images: dict[str, Future[Image]], name: str, codename: str
) -> None:
    image = images[name].result()
    check_whole(image, *PROGRAMS)
    assert image.answers("skipped") == {}
    assert image.answers("holds")["[network] open_ports"]
    listing = subprocess.run(["tar", "--zstd", "-tvf", image.artifact], capture_output=True, text=True, check=True)
    assert " rootfs/bin -> usr/bin\n" in listing.stdout, "/usr is merged in every version"
    release = subprocess.run(
        ["tar", "--zstd", "-xOf", image.artifact, "rootfs/usr/lib/os-release"], capture_output=True, text=True
    )
    assert f"VERSION_CODENAME={codename}\n" in release.stdout


def test_i386_says_its_own_name(images: dict[str, Future[Image]]) -> None:
    if "i386" not in images:
        pytest.skip(why_not("i386"))
    image = images["i386"].result()
    check_whole(image, *PROGRAMS)
    config = subprocess.run(["tar", "--zstd", "-xOf", image.artifact, "config"], capture_output=True, text=True)
    assert "lxc.arch = i686\n" in config.stdout
    packages = image.manifest["packages"]
    assert isinstance(packages, list)
    assert {p["arch"] for p in packages} == {"i386", "all"}


def test_arm64_is_built_and_booted_by_qemu_user(images: dict[str, Future[Image]]) -> None:
    if "arm64" not in images:
        pytest.skip(why_not("arm64"))
    image = images["arm64"].result()
    check_whole(image)
    notes = [json.loads(line) for line in image.verified.stdout.splitlines()]
    assert [e for e in notes if "no machine of arm64: its programs run by" in e.get("text", "")]
    skipped = image.answers("skipped")
    assert skipped and all(setting.startswith("[network] ") for setting in skipped)
    assert all("qemu-user" in found for found in skipped.values())
    assert not list(Path("/proc/sys/fs/binfmt_misc").glob("vmgen-*")), "this host knows nothing of it"


@pytest.fixture(scope="module")
def archive(
    images: dict[str, Future[Image]], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """Made of the packages that the build of Debian 12 has downloaded."""
    images["twelve"].result()
    downloads = cache / "downloads"
    with ubuntu_like(downloads / "packages-debian", downloads, tmp_path_factory.mktemp("ubuntu")) as made:
        yield made


def test_an_ubuntu_is_built_from_its_own_archive(lab: Lab, cache: Path, archive: Archive) -> None:
    def seeing(*words: object, **_: object) -> Ran:
        command = archive.seeing([sys.executable, "-m", "vmgen_build", *map(str, words)])
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"VMGEN_CACHE": str(cache)})

    image = Lab(lab.folder, seeing).image("noble", "ubuntu-24.04-amd64", f"mirror = {archive.url}")
    check_whole(image, *PROGRAMS)
    assert image.answers("skipped") == {}
    sources = image.answers("holds")["the distribution's own package sources"]
    assert sources == "as written"
    text = subprocess.run(
        ["tar", "--zstd", "-xOf", image.artifact, "rootfs/etc/apt/sources.list.d/ubuntu.sources"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "URIs: http://archive.ubuntu.com/ubuntu\nSuites: noble noble-updates noble-security\n" in text
    assert f"Signed-By: {KEYRING}\n" in text and "127.0.0.1" not in text
    packages = image.manifest["packages"]
    assert isinstance(packages, list)
    assert {"ubuntu-keyring", "dhcpcd-base"} <= {p["name"] for p in packages}
    assert "isc-dhcp-client" not in {p["name"] for p in packages}


def test_an_ubuntu_without_its_keys_is_refused_before_anything_is_built(lab: Lab, archive: Archive) -> None:
    if Path(KEYRING).exists():
        pytest.skip("this host has Ubuntu's keys")
    recipe = lab.folder / "keyless.ini"
    recipe.write_text(f"[hardware]\nvm_id = keyless\nos = ubuntu-24.04-amd64\n[config]\nmirror = {archive.url}\n")
    done = lab.vmgen(recipe, "-o", lab.folder / "out")
    assert done.returncode == 1
    assert f"this host lacks {KEYRING}, the keys that" in done.stderr and "docs" not in done.stdout
