"""The bundle: written the same each time, and each damage to it found."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from vmgen_build.artifacts.gzipped import gzip_members
from vmgen_build.artifacts.openvz.bundle import (
    conf_findings,
    content_size,
    os_template_findings,
    read_bundle,
    write_bundle,
)
from vmgen_build.artifacts.openvz.config import parse_conf
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.backends.openvz.backend import OpenvzBackend
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.files import Written

CONF = """# a container
VE_ROOT="/vz/root/$VEID"
VE_PRIVATE="/vz/private/$VEID"
OSTEMPLATE="debian-12-x86_64-lab"
PHYSPAGES="0:131072"
SWAPPAGES="0:0"
DISKSPACE="1048576:1048576"
DISKINODES="200000:200000"
NETIF="ifname=eth0,mac=02:00:00:00:00:01"
"""
TEXTS = {"INSTALL": "do this\n", "101.conf": CONF, "101.mount": "#!/bin/sh\n"}
OS_TEMPLATE = "debian-12-x86_64-lab.tar.gz"


def os_template(folder: Path, init: str = "sbin/init", top: str = ".") -> Written:
    root = folder / "root"
    (root / init).parent.mkdir(parents=True, exist_ok=True)
    (root / init).write_bytes(b"init" * 5000)
    return write_tarball(folder / OS_TEMPLATE, TarContent(root, top, 0), gzip_members)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    written = write_bundle(tmp_path / "lab-openvz-amd64.tar", TEXTS, os_template(tmp_path), epoch=1700000000)
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert written.size == written.path.stat().st_size
    return written.path


def outcomes(path: Path) -> dict[str, tuple[str, str]]:
    return {done.probe: (done.outcome, done.found) for done in OpenvzBackend().formats[0].inspect(path, {})}


def test_gnu_tar_and_sha256sum_take_it(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", bundle, "-C", out], check=True)
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=out, check=True, capture_output=True)
    assert sorted(p.name for p in out.iterdir()) == ["101.conf", "101.mount", "INSTALL", "SHA256SUMS", OS_TEMPLATE]
    assert (out / "101.mount").stat().st_mode & 0o777 == 0o755
    assert all(p.stat().st_mtime == 1700000000 for p in out.iterdir())


def test_a_sound_one_is_found_sound(bundle: Path, tmp_path: Path) -> None:
    assert {outcome for outcome, _ in outcomes(bundle).values()} == {"holds"}
    read = read_bundle(bundle, tmp_path / "again.tar.gz")
    assert read.os_template == OS_TEMPLATE and read.texts["101.conf"] == CONF
    assert (tmp_path / "again.tar.gz").read_bytes() == (tmp_path / OS_TEMPLATE).read_bytes()


def changed(bundle: Path, **files: bytes | None) -> Path:
    """Another bundle with other content of some files, or without them; SHA256SUMS stays."""
    out = bundle.parent / "changed"
    out.mkdir()
    subprocess.run(["tar", "-xf", bundle, "-C", out], check=True)
    for name, content in files.items():
        path = next(out.glob(f"*{name}*"))
        path.unlink() if content is None else path.write_bytes(content)
    goal = bundle.parent / "changed.tar"
    subprocess.run(["tar", "-cf", goal, *(p.name for p in out.iterdir())], cwd=out, check=True)
    return goal


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"conf": b"X=1\n"}, "101.conf is not what SHA256SUMS"),
        ({"tar": None}, f"{OS_TEMPLATE} is not what SHA256SUMS"),
        ({"INSTALL": b""}, "INSTALL is not what"),
        ({"SUMS": b""}, "is not what SHA256SUMS"),
    ],
)
def test_a_changed_file_is_named(bundle: Path, files: dict[str, bytes | None], message: str) -> None:
    outcome, found = outcomes(changed(bundle, **files))["bundle"]
    assert outcome == "fails" and message in found


def test_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"none")
    with pytest.raises(BuildError, match="is no bundle for OpenVZ"):
        read_bundle(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "y.tar", "w") as tar:
        tar.add(tmp_path, "folder", recursive=False)
    with pytest.raises(BuildError, match="folder is no file of a bundle"):
        read_bundle(tmp_path / "y.tar")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-lab", "-other", "OSTEMPLATE"),
        ("root/$VEID", "root/7", "VE_ROOT lacks"),
        ("0:131072", "0:512M", "PHYSPAGES is not two integers"),
        ('DISKSPACE="1048576:1048576"\n', "", "DISKSPACE"),
        ("1048576:1048576", "0:0", "grants nothing"),
        ("ifname", "name", "NETIF"),
    ],
)
def test_a_wrong_configuration(old: str, new: str, message: str) -> None:
    assert CONF.count(old) == 1
    findings = conf_findings(parse_conf(CONF.replace(old, new)), OS_TEMPLATE)
    assert len(findings) == 1 and message in findings[0]


def test_a_wrong_os_template(tmp_path: Path) -> None:
    assert os_template_findings(os_template(tmp_path).path, OS_TEMPLATE) == []
    (tmp_path / "other").mkdir()
    assert os_template_findings(os_template(tmp_path / "other", init="bin/sh").path, OS_TEMPLATE) == [
        "no /sbin/init in it"
    ]
    assert "do not begin with ./" in os_template_findings(os_template(tmp_path, top="rootfs").path, OS_TEMPLATE)[0]
    path = os_template(tmp_path).path
    path.write_bytes(path.read_bytes()[:-20])
    assert "is damaged" in os_template_findings(path, OS_TEMPLATE)[0]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot write"):
        write_bundle(tmp_path / "none" / "x.tar", TEXTS, os_template(tmp_path), epoch=0)


def test_content_is_counted_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/one").write_bytes(b"x")
    (tmp_path / "two").write_bytes(bytes(4097))
    assert content_size(tmp_path) == 4096 + 4096 + 8192
