"""audit: what of an image is older than its archive, and what is a fix of security."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from vmgen_build.bases.apt.current import newer
from vmgen_build.bases.apt.supply import AptSupply
from vmgen_build.bases.shelves import Shelf, Shelves
from vmgen_build.build.audit import OlderPackage, audit
from vmgen_build.cli.main import run
from vmgen_build.errors import BuildError, HostError

MAIN = {"vim": "2:9.0-1", "bash": "5.2-3", "same": "1.0-1", "odd": "1", "fixed": "1.0-1+deb12u2", "newest": "3"}
SECURITY = {"vim": "2:9.0-1+deb12u1", "fixed": "1.0-1+deb12u1", "newest": "2"}
INSTALLED = {
    "vim": "2:9.0-1",
    "bash": "5.2-2",
    "same": "1.0-1",
    "fixed": "1.0-1",
    "newest": "2",
    "odd": "not a version!",
    "local": "1",
}


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive itself is asked by tests/unit/bases/apt/test_current.py; here it stands as what it holds."""
    shelves = (
        Shelf("debian bookworm", False, time.time() - 7200, 1, MAIN),
        Shelf("debian-security bookworm-security", True, time.time(), 1, SECURITY),
    )
    found = Shelves(shelves, frozenset({"amd64", "all"}), newer)
    monkeypatch.setattr(AptSupply, "shelves", classmethod(lambda *_, **__: found))


def manifest(folder: Path, installed: dict[str, str], os: str = "debian-12", **more: object) -> Path:
    path = folder / "lab-lxc-amd64.tar.zst.manifest.json"
    packages = [{"name": name, "version": version, "arch": "amd64"} for name, version in installed.items()]
    data = {"format": 1, "name": "lab", "os": os, "arch": "amd64", "backend": "lxc", "files": [], "probes": []}
    path.write_text(json.dumps({**data, "recipe": {"file": "lab.ini"}, "packages": packages, **more}))
    return path


@pytest.mark.usefixtures("archive")
def test_issue_14_fixes_of_security_are_not_other_versions(tmp_path: Path) -> None:
    found = audit(manifest(tmp_path, INSTALLED), tmp_path)
    assert found.findings == (
        OlderPackage("fixed", "1.0-1", "1.0-1+deb12u2", True, "debian-security bookworm-security"),
        OlderPackage("vim", "2:9.0-1", "2:9.0-1+deb12u1", True, "debian-security bookworm-security"),
        OlderPackage("bash", "5.2-2", "5.2-3", False, "debian bookworm"),
        OlderPackage("newest", "2", "3", False, "debian bookworm"),
    )
    assert (found.known, found.elsewhere) == (5, ("odd", "local"))
    assert found.advice == "build it again, which takes what the archive holds now: vmgen-build lab.ini -b lxc"


@pytest.mark.usefixtures("archive")
def test_issue_14_packages_of_another_architecture_are_not_compared(tmp_path: Path) -> None:
    path = manifest(tmp_path, {"vim": "1"})
    path.write_text(path.read_text().replace('"arch": "amd64"}]', '"arch": "i386"}]'))
    assert audit(path, tmp_path).elsewhere == ("vim",)


@pytest.mark.usefixtures("archive")
def test_issue_14_a_base_of_others_keeps_its_packages(tmp_path: Path) -> None:
    path = manifest(tmp_path, INSTALLED, base={"method": "tar", "source": "base.tar", "sha256": "0" * 64})
    assert "packages of its base (base.tar) stay as that has them" in audit(path, tmp_path).advice


def test_issue_14_what_cannot_be_compared_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not known for the family arch"):
        audit(manifest(tmp_path, INSTALLED, "arch"), tmp_path)
    with pytest.raises(HostError, match="there is no manifest"):
        audit(tmp_path / "no.manifest.json", tmp_path)
    with pytest.raises(HostError, match="a system that this version does not know"):
        audit(manifest(tmp_path, INSTALLED, "plan9"), tmp_path)


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("installed", "options", "code"),
    [
        (INSTALLED, [], 1),
        ({"bash": "5.2-2"}, [], 0),
        ({"bash": "5.2-2"}, ["--all"], 1),
        ({"same": "1.0-1"}, ["--all"], 0),
    ],
)
def test_issue_14_the_exit_code_says_whether_fixes_wait(
    tmp_path: Path, installed: dict[str, str], options: list[str], code: int
) -> None:
    assert run(["audit", str(manifest(tmp_path, installed)), "--cache", str(tmp_path / "c"), *options]) == code


@pytest.mark.usefixtures("archive")
def test_issue_14_it_fits_a_narrow_screen_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = manifest(tmp_path, INSTALLED)
    assert run(["audit", path.name, "--cache", str(tmp_path / "c")]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == [
        "security  fixed  1.0-1 -> 1.0-1+deb12u2",
        "security  vim    2:9.0-1 -> 2:9.0-1+deb12u1",
    ]
    assert any("asked 2 h 00 min ago" in line for line in shown)
    assert shown[-1].endswith("vmgen-build lab.ini -b lxc")
    assert max(len(line) for line in shown[:4]) <= 80


@pytest.mark.usefixtures("archive")
def test_issue_14_json_is_one_object_for_each_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest(tmp_path, INSTALLED)
    assert run(["audit", str(path), str(path), "--json", "--cache", str(tmp_path / "c")]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second and first["findings"][0]["name"] == "fixed" and first["elsewhere"] == ["odd", "local"]
