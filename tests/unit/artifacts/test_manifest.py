"""The manifest: written beside its artifact, read again only when it truly describes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import (
    Package,
    StepRecord,
    manifest_of,
    manifest_path,
    manifest_there,
    parse_manifest,
    probes_of,
    put_manifest,
    read_manifest,
    withdraw,
)
from vmgen_build.artifacts.sums import read_sums
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.model import Plan, Probe, Step
from vmgen_build.secret import Secret

BASE = Bootstrapped("mmdebstrap", "debian", "bookworm", "amd64", ("dbus",), "release", 5)
PROBE = Probe("hostname", "[config] hostname", "#!/bin/sh\nhostname\n", "lab\u00e9", retry=2.5)
STEP = Step("users", "users", "#!/bin/sh\n", secrets={"shadow": Secret("$6$canary")}, probes=(PROBE,)).chained(BASE.id)
PLAN = Plan(
    name="lab",
    recipe_path="/home/somebody/lab.ini",
    recipe_digest="d" * 64,
    backend="lxc",
    os="debian-12",
    arch="amd64",
    epoch=5,
    base=BASE,
    steps=(STEP,),
    build_recipe={"config": "lxc.uts.name = lab\n"},
    skipped=(("gui", "chrome", "not in Debian"),),
    probes=(Probe("port-22", "[network] open_ports", "192.0.2.1 22", "open", "tcp-open"),),
)


HEAD = {"format": 1, "name": "lab", "os": "debian-12", "arch": "amd64", "backend": "lxc"}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "lab-lxc-amd64.tar.zst"
    path.write_bytes(b"an image")
    return path


def write(artifact: Path, plan: Plan = PLAN, seconds: float = 1.23456) -> Path:
    file = Written(artifact, artifact.stat().st_size, sha256_of(artifact))
    steps = [StepRecord("users", "users", STEP.id, seconds, "built")]
    packages = [Package("vim", "2:9", "amd64"), Package("adduser", "3", "all")]
    path = manifest_path(artifact)
    put_manifest(path, manifest_of(plan, [file], steps, packages, ["lab.ini:3: warning: odd"], "tar"))
    return path


@pytest.mark.parametrize(
    ("artifact", "manifest"),
    [
        ("lab-lxc-amd64.tar.zst", "lab-lxc-amd64.tar.zst.manifest.json"),
        ("a.b.tar-lxc-amd64.tar", "a.b.tar-lxc-amd64.tar.manifest.json"),
        ("lab.ova", "lab.ova.manifest.json"),
        ("plain", "plain.manifest.json"),
    ],
)
def test_its_name(artifact: str, manifest: str) -> None:
    assert manifest_path(Path("out") / artifact) == Path("out") / manifest


def test_what_it_says(artifact: Path) -> None:
    path = write(artifact)
    data = json.loads(path.read_text())
    assert data["files"] == [{"name": artifact.name, "size": 8, "sha256": sha256_of(artifact)}]
    assert data["recipe"] == {"file": "lab.ini", "sha256": "d" * 64}
    assert [p["name"] for p in data["packages"]] == ["adduser", "vim"]
    assert data["skipped"] == [{"section": "gui", "program": "chrome", "reason": "not in Debian"}]
    assert data["steps"] == [{"name": "users", "title": "users", "id": STEP.id, "seconds": 1.235, "outcome": "built"}]
    assert data["warnings"] == ["lab.ini:3: warning: odd"]
    assert data["packed_as"] == parse_manifest(path.read_bytes())["packed_as"] == "tar"
    assert "canary" not in path.read_text() and "somebody" not in path.read_text()
    assert read_sums(path.parent) == {artifact.name: sha256_of(artifact), path.name: sha256_of(path)}


def test_what_an_earlier_one_lists_and_is_gone_has_no_sum_any_more(artifact: Path) -> None:
    path, files = write(artifact), [artifact]
    for name in ("lab.nvram", "lab-b.raw"):
        (artifact.parent / name).write_text(name)
        files.append(artifact.parent / name)
    put_manifest(path, manifest_of(PLAN, [Written.of(file) for file in files], [], [], [], "tar"))
    assert read_sums(path.parent).keys() == {path.name, *(file.name for file in files)}
    (artifact.parent / "lab.nvram").unlink()
    write(artifact)
    assert read_sums(path.parent).keys() == {path.name, artifact.name, "lab-b.raw"}


def test_only_durations_differ_between_builds(artifact: Path) -> None:
    texts = [write(artifact, seconds=seconds).read_text() for seconds in (1.0, 2.0)]
    assert texts[0] != texts[1]
    assert texts[0].replace('"seconds": 1.0', '"seconds": 2.0') == texts[1]


def test_it_is_written_where_it_differs_alone(artifact: Path) -> None:
    path = write(artifact)
    sums = path.with_name("SHA256SUMS")
    before = [(p.stat().st_ino, p.stat().st_mtime_ns) for p in (path, sums)]
    assert write(artifact) == path
    assert [(p.stat().st_ino, p.stat().st_mtime_ns) for p in (path, sums)] == before
    write(artifact, replace(PLAN, recipe_digest="e" * 64))
    assert manifest_there(artifact)["recipe"]["sha256"] == "e" * 64
    assert read_sums(path.parent)[path.name] == sha256_of(path)


@pytest.mark.parametrize("name", ["lab-lxc-amd64.tar.zst", "lab-lxc-amd64.tar.zst.manifest.json"])
def test_a_line_that_the_checksums_lack_is_written_again(artifact: Path, name: str) -> None:
    sums = write(artifact).with_name("SHA256SUMS")
    whole = sums.read_text()
    sums.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.endswith(f" {name}\n")))
    assert sums.read_text() != whole
    write(artifact)
    assert sums.read_text() == whole


@pytest.mark.parametrize("text", ["{", "[]", "\ud800"])
def test_what_is_no_manifest_says_nothing(artifact: Path, text: str) -> None:
    manifest_path(artifact).write_bytes(text.encode(errors="surrogatepass"))
    assert manifest_there(artifact) == {}


def test_probes_come_back_as_they_were(artifact: Path) -> None:
    write(artifact)
    assert probes_of(read_manifest(artifact)) == PLAN.all_probes()


def damage(artifact: Path) -> None:
    artifact.write_bytes(b"an imagf")


def cut(artifact: Path) -> None:
    artifact.write_bytes(b"an ima")


def remove_artifact(artifact: Path) -> None:
    artifact.unlink()


def remove_manifest(artifact: Path) -> None:
    manifest_path(artifact).unlink()


def rewrite(text: str) -> Callable[[Path], None]:
    def act(artifact: Path) -> None:
        manifest_path(artifact).write_text(text)

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (damage, "is not the file that lab-lxc-amd64.tar.zst.manifest.json describes"),
        (cut, "is not the file that"),
        (remove_artifact, "there is no file"),
        (remove_manifest, "there is no lab-lxc-amd64.tar.zst.manifest.json beside it"),
        (rewrite("{"), "is not a manifest to verify by"),
        (rewrite("[]"), "its format is none, and this version reads 1"),
        (rewrite('{"format": 2}'), "its format is 2, and this version reads 1"),
        (rewrite('{"format": 1}'), "it lacks name"),
        (rewrite(json.dumps(HEAD | {"files": [], "probes": []})), "it does not describe lab-lxc-amd64.tar.zst"),
        (rewrite(json.dumps(HEAD | {"files": [], "probes": [{}]})), "it lacks probes[0].script"),
    ],
)
def test_what_it_refuses(artifact: Path, act: Callable[[Path], None], message: str) -> None:
    write(artifact)
    act(artifact)
    with pytest.raises(HostError) as caught:
        read_manifest(artifact)
    assert message in str(caught.value)


def test_another_compression_beside_it_is_not_described(artifact: Path) -> None:
    write(artifact, replace(PLAN, skipped=()))
    other = artifact.with_name("lab-lxc-amd64.tar.gz")
    other.write_bytes(b"an image")
    with pytest.raises(HostError, match=r"there is no lab-lxc-amd64\.tar\.gz\.manifest\.json beside it"):
        read_manifest(other)
    manifest_path(other).write_bytes(manifest_path(artifact).read_bytes())
    with pytest.raises(HostError, match=r"does not describe lab-lxc-amd64\.tar\.gz"):
        read_manifest(other)


def test_an_artifact_without_its_manifest_goes(artifact: Path) -> None:
    """With what an earlier manifest says of a file by this name; other lines of SHA256SUMS stay."""
    other = artifact.with_name("other.tar")
    other.write_bytes(b"another")
    write(other)
    manifest = write(artifact)
    withdraw([Written.of(artifact)])
    assert artifact.exists() and manifest.exists(), "it is as its manifest says"
    artifact.write_bytes(b"a new image")
    withdraw([Written.of(artifact)])
    assert not artifact.exists() and not manifest.exists()
    assert read_sums(artifact.parent).keys() == {"other.tar", "other.tar.manifest.json"}
