"""Other build hosts: a fresh root of each other Debian, in which both commands of the README are run."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT
from tests.integration.freshroot import FreshRoot, fresh_root
from tests.integration.leftovers import assert_nothing_left
from vmgen_build.catalogue.regions import known_locales
from vmgen_build.host.system import host_system

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Entry = dict[str, Any]

RELEASES = {"12": "bookworm", "13": "trixie"}
OTHERS = [
    suite for version, suite in RELEASES.items() if (host_system().ids[0], host_system().version) != ("debian", version)
]
TARBALL = "lab-lxc-amd64.tar.zst"


@pytest.fixture(scope="module")
def of_this_host(vmgen: Run, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab machine, built here, of what the archive holds now."""
    out = tmp_path_factory.mktemp("here")
    for record in (cache / "facts").glob("*"):
        record.unlink()
    done = vmgen(ROOT / "recipes" / "lab.ini", "-o", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module", params=OTHERS)
def root(request: pytest.FixtureRequest, of_this_host: Path, cache: Path) -> Iterator[FreshRoot]:
    """What it downloads for builds is what the build on this host has downloaded."""
    with fresh_root(request.param, ROOT, cache) as made:
        yield made
    assert_nothing_left(made.folder)
    assert not made.folder.exists()
    assert made.cgroup is None or not made.cgroup.exists()


def test_make_image_gives_the_same_image(root: FreshRoot, of_this_host: Path) -> None:
    done = root.run("make", "image")
    assert done.returncode == 0, done.stdout[-4000:]
    ours, theirs = of_this_host, root.checkout / "output"
    states = {_manifest(folder)["steps"][0]["id"] for folder in (ours, theirs)}
    assert len(states) == 1, "the package archive has changed between the two builds: run this test again"
    assert differences(ours / TARBALL, theirs / TARBALL) == []


def test_doctor_mends_the_host(root: FreshRoot) -> None:
    """It has what the lab machine needs, by then, and nothing for disks."""
    doctor = (".venv/bin/vmgen-build", "doctor", "here", "build", "verify", "kvm", "qcow2")
    before = root.run(*doctor)
    assert before.returncode == 1, before.stdout[-3000:]
    assert "no        build kvm qcow2" in before.stdout and "qemu-img is missing" in before.stdout
    assert root.run(*doctor, "--install").returncode == 2, "there is nobody to ask"
    mended = root.run(*doctor, "--install", "--yes")
    assert mended.returncode == 0, mended.stdout[-3000:]
    assert "qemu-utils" in mended.stdout and " is missing" not in mended.stdout.partition("Setting up")[2]
    assert root.run(*doctor).returncode == 0
    lab = root.run(".venv/bin/vmgen-build", "doctor", "here", "build", "verify", "lxc", "tar")
    assert lab.returncode == 0, lab.stdout[-3000:]


def test_the_unit_tests_pass_there(root: FreshRoot) -> None:
    """Those of the rooms that start the host's programs; the others compute the same on each, and so do style and
    types."""
    folders = [f"tests/unit/{room}" for room in ("artifacts", "bases", "boots", "host", "store")]
    tests = " ".join(["tests/unit/test_plugins.py", "tests/unit/test_package.py", *folders])
    pytest_run = f".venv/bin/pytest -q -n 2 -m 'not integration' {tests}"
    done = root.run("sh", "-euc", f"make setup unit-packages && {pytest_run}", timeout=3600)
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_packages_of_all_tests_can_be_installed_there(root: FreshRoot) -> None:
    """It has those of the unit tests; that the others are to be had is enough."""
    install = "apt-get -q update && apt-get install --simulate --no-install-recommends $(TEST_PACKAGES)"
    done = root.run("make", f"--eval=simulated: ; {install}", "simulated")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Inst golang-go " in done.stdout and "Inst qemu-system-x86 " in done.stdout


def test_the_list_of_locales_holds_those_of_this_release(root: FreshRoot) -> None:
    script = "cd /tmp && apt-get -q update && apt-get download locales && dpkg-deb -x locales_*.deb locales"
    done = root.run("sh", "-euc", script)
    assert done.returncode == 0, done.stdout[-2000:]
    lines = (root.folder / "tmp/locales/usr/share/i18n/SUPPORTED").read_text().splitlines()
    names = {line.split()[0] for line in lines if line and not line.startswith("#")}
    assert len(names) > 400
    assert names <= known_locales()


def _manifest(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "lab-lxc-amd64.tar.zst.manifest.json").read_text())
    return data


def differences(one: Path, other: Path) -> list[str]:
    """At most twenty lines, "name: field: one value, other value". The header's own bytes may differ: tar 1.34 fills in
    the device numbers of what is no device, tar 1.35 leaves them empty. Compressors have versions, too."""
    left, right = entries(one), entries(other)
    found = [f"{name}: only in {one}" for name in left.keys() - right.keys()]
    found += [f"{name}: only in {other}" for name in right.keys() - left.keys()]
    for name in left.keys() & right.keys():
        fields = [field for field in left[name] if left[name][field] != right[name][field]]
        found += [f"{name}: {field}: {left[name][field]!r}, {right[name][field]!r}" for field in fields]
    if list(left) != list(right) and not found:
        found = ["the order of the entries"]
    return sorted(found)[:20]


def entries(tarball: Path) -> dict[str, Entry]:
    """Name -> all that the tar holds of it, in the tar's order."""
    found: dict[str, Entry] = {}
    with (
        subprocess.Popen(["zstd", "-dc", tarball], stdout=subprocess.PIPE) as zstd,
        tarfile.open(fileobj=zstd.stdout, mode="r|") as tar,
    ):
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            content = hashlib.sha256(file.read()).hexdigest() if file else ""
            fields = {name: value for name, value in member.get_info().items() if name != "chksum"}
            found[member.name] = {**fields, "pax": dict(member.pax_headers), "content": content}
        assert zstd.stdout is not None
        zstd.stdout.read()  # the zeros after a tar's end: without a reader zstd is killed
    assert zstd.returncode == 0
    return found
