"""Issue 8, item 9: whose questions an artifact is asked, and which of them can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.questions import (
    Questions,
    asks_something,
    manifest_questions,
    own_questions,
    recipe_questions,
    refuse_empty,
)
from vmgen_build.errors import HostError
from vmgen_build.host.bounds import bounded
from vmgen_build.host.files import sha256_of
from vmgen_build.limits import CHECK_MEMORY, Limit
from vmgen_build.plan.model import Probe
from vmgen_build.recipe.load import load

HOST = Probe("hostname", "[config] hostname", "uname -n", "lab")
NAME = "lab-lxc-amd64.tar.zst"
RECIPE = """
[hardware]
    vm_id = lab
    os = debian-12
    [[hdds]]
        [[[sda]]]
            size = 4GB
            [[[[partitions]]]]
                [[[[[p1]]]]]
                    mount = /
        [[[sdb]]]
            size = 1GB
            pos = 0:1
            [[[[partitions]]]]
                [[[[[p1]]]]]
                    mount = /srv
[config]
    hostname = HAL-9000
[users]
    [[users]]
        [[[user0]]]
            name = caesar
            passwd = alesia
"""


def artifact(folder: Path, name: str = NAME, probes: tuple[Probe, ...] | None = (HOST,), **more: Any) -> Path:
    """An artifact of eight bytes; probes: of the manifest beside it, None for no manifest."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(b"an image")
    if probes is not None:
        files = [{"name": name, "size": 8, "sha256": sha256_of(path)}]
        data = {"format": 1, "name": "lab", "os": "debian-12", "arch": "amd64", "backend": "lxc", "files": files}
        asked = {"probes": [probe.as_dict() for probe in probes]}
        manifest_path(path).write_text(json.dumps(data | asked | more))
    return path


@pytest.mark.parametrize(
    "script",
    [
        "",
        "exit 0",
        "exit",
        "#!/bin/sh\nset -eu\n",
        "#!/bin/sh\necho HAL-9000\n",
        "true; exit 0",
        "printf 'x y' && true",
        ":\n\n# [ 1 = 2 ]\n",
    ],
)
def test_issue_8_9_a_script_that_cannot_fail_asks_nothing(script: str) -> None:
    assert not asks_something(Probe("p", "s", script))


@pytest.mark.parametrize(
    "probe",
    [
        HOST,
        Probe("p", "s", "set -eu\n[ -e /etc/x ]"),
        Probe("p", "s", "192.0.2.1 22", "open", "tcp-open"),
        Probe("p", "s", "exit 1"),
        Probe("p", "s", "true; false"),
    ],
)
def test_issue_8_9_what_may_fail_asks(probe: Probe) -> None:
    assert asks_something(probe)


@pytest.mark.parametrize(
    "probes", [(), (Probe("p", "s", "exit 0"),), (Probe("p", "s", "# nothing"), Probe("q", "s", "echo lab"))]
)
def test_issue_8_9_a_manifest_that_asks_nothing_is_refused(tmp_path: Path, probes: tuple[Probe, ...]) -> None:
    with pytest.raises(HostError, match=r"its own manifest asks nothing: .* --recipe or --manifest"):
        refuse_empty(own_questions(artifact(tmp_path, probes=probes)))


def test_issue_8_9_another_manifest_asks_and_describes_the_machine(tmp_path: Path) -> None:
    reference = artifact(tmp_path / "mine", build_recipe={"config": "mine"})
    theirs = artifact(tmp_path / "theirs", probes=(), os="arch-1", build_recipe={"config": "theirs"})
    theirs.write_bytes(b"an other")
    entry = {"name": NAME, "size": 8, "sha256": sha256_of(theirs)}
    manifest = json.loads(manifest_path(theirs).read_text()) | {"files": [entry]}
    manifest_path(theirs).write_text(json.dumps(manifest))
    asked = manifest_questions(manifest_path(reference))(theirs)
    assert (asked.whose, asked.own, asked.probes) == ("lab-lxc-amd64.tar.zst.manifest.json", False, (HOST,))
    assert asked.manifest["os"] == "debian-12" and asked.manifest["build_recipe"] == {"config": "mine"}
    assert asked.manifest["files"] == [entry]
    assert asked.digest.outcome == "holds"


def test_issue_8_9_the_files_digest_is_still_compared(tmp_path: Path) -> None:
    ask = manifest_questions(manifest_path(artifact(tmp_path / "mine")))
    theirs = artifact(tmp_path / "theirs", probes=())
    theirs.write_bytes(b"an imagf")
    with pytest.raises(HostError, match=f"is not the file that {manifest_path(theirs).name} describes"):
        ask(theirs)
    without = artifact(tmp_path / "without", probes=None)
    digest = ask(without).digest
    assert digest.outcome == "skipped" and "no manifest of its own" in digest.found


def ask(folder: Path, path: Path, backend: str = "") -> Questions:
    (folder / "lab.ini").write_text(RECIPE)
    recipe = load(folder / "lab.ini")
    return recipe_questions(recipe, BuildOptions(cache=folder / "cache", offline=True), backend)(path)


def test_issue_8_9_a_recipe_asks(tmp_path: Path) -> None:
    asked = ask(tmp_path, artifact(tmp_path, "ana.tar.zst", probes=()), "lxc")
    assert (asked.whose, asked.own) == ("lab.ini", False)
    found = {probe.name: probe for probe in asked.probes}
    assert found["hostname"].expected == "HAL-9000"
    assert "password-caesar" in found


@pytest.mark.parametrize(
    ("name", "probes", "backend"),
    [
        ("ana.tar.zst", (HOST,), "lxc"),
        ("lab-kvm-amd64.qcow2", None, "kvm"),
        ("ana-openvz-amd64.tar", None, "openvz"),
        ("ana.ova", None, "vmware"),
    ],
)
def test_issue_8_9_the_backend_is_the_artifacts(
    tmp_path: Path, name: str, probes: tuple[Probe, ...] | None, backend: str
) -> None:
    path = artifact(tmp_path, name, probes)
    (tmp_path / "lab-kvm-amd64-sdb.qcow2").write_bytes(b"disk two")
    assert ask(tmp_path, path).format in backend_named(backend).formats


@pytest.mark.parametrize(
    ("name", "backend", "message"),
    [
        ("ana.qcow2", "", r"its name may be of kvm or vmware; say so by --backend"),
        ("ana.tar", "", r"its name may be of lxc or openvz"),
        ("ana.zip", "", r"its name may be of no backend"),
        ("ana.ova", "lxc", r"ana.ova is no artifact of the backend lxc, which lab.ini asks for: .tar"),
    ],
)
def test_issue_8_9_a_backend_that_is_not_known_is_asked_for(
    tmp_path: Path, name: str, backend: str, message: str
) -> None:
    with pytest.raises(HostError, match=message):
        ask(tmp_path, artifact(tmp_path, name, None), backend)


def test_issue_8_9_the_machine_is_the_recipes_and_its_files_are_the_hand_ins(tmp_path: Path) -> None:
    path = artifact(tmp_path, "ana.qcow2", None)
    with pytest.raises(HostError, match=r"cannot read .*ana-sdb.qcow2, a file of the machine"):
        ask(tmp_path, path, "kvm")
    (tmp_path / "ana-sdb.qcow2").write_bytes(b"disk two")
    asked = ask(tmp_path, path, "kvm")
    assert [file["name"] for file in asked.manifest["files"]] == ["ana.qcow2", "ana-sdb.qcow2"]
    assert all(file["sha256"] == sha256_of(tmp_path / file["name"]) for file in asked.manifest["files"])
    assert "machine.json" in asked.manifest["build_recipe"]


def test_issue_8_9_blanks_take_no_long_search() -> None:
    """They took minutes of the processor."""
    with bounded("a probe", Limit("test-time", "processor time that a probe takes", 3, "s"), CHECK_MEMORY):
        assert asks_something(Probe("a", "s", " " * 200_000 + "x", "x"))
    assert not asks_something(Probe("a", "s", " \t\n  : \n # no\n", "x"))
