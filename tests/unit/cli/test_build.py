"""What build does before anything runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from vmgen_build.backends.registry import backend_named
from vmgen_build.build import doctor
from vmgen_build.build.requirements import RUNNING, all_base_requirements
from vmgen_build.cli import main
from vmgen_build.cli.build import build_command

ROOT = Path(__file__).resolve().parents[3]

GOOD = "[hardware]\nvm_id = {}\nos = debian-12\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two good recipes, a.ini and b.ini, in the current folder; the user is not root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("a", "b"):
        (tmp_path / f"{name}.ini").write_text(GOOD.format(name))
    return tmp_path


def test_not_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["a.ini"]) == 1
    reported = capsys.readouterr()
    assert "root" in reported.err
    assert "sudo" in reported.err
    assert reported.out == ""
    assert sorted(p.name for p in folder.iterdir()) == ["a.ini", "b.ini"]


def test_verify_needs_root_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["verify", "lab.tar.zst"]) == 1
    assert "verifying boots the image, which needs root: run it with sudo; --no-boot" in capsys.readouterr().err


def test_a_wrong_recipe_comes_before_all_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.ini").write_text("[hardware]\nos = debian-12\nnum_cpu = many\n")
    assert main.run(["bad.ini", "-o", "out"]) == 2
    reported = capsys.readouterr().err
    assert "bad.ini:3:11: [hardware] num_cpu: " in reported
    assert "vm_id" in reported
    assert not Path("out").exists()


def test_mistakes_of_all_recipes_are_reported_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x", "y"):
        Path(f"{name}.ini").write_text(GOOD.format(name) + "ram = much\n")
    assert main.run(["x.ini", "a.ini", "y.ini"]) == 2
    assert re.findall(r"^(\w\.ini:\d+):7: \[hardware\] ram", capsys.readouterr().err, re.MULTILINE) == [
        "x.ini:4",
        "y.ini:4",
    ]


def test_two_recipes_of_one_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.ini").write_text(GOOD.format("a"))
    assert main.run(["a.ini", "b.ini", "c.ini"]) == 2
    assert "a.ini and c.ini both make 'a'" in capsys.readouterr().err


def test_what_the_host_lacks_is_reported_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["a.ini", "b.ini"]) == 1
    reported = capsys.readouterr()
    assert reported.err.count("needs root") == 1
    assert reported.out.splitlines() == ["0 of 2 recipes built", "  failed: a.ini", "  not tried: b.ini"]


def test_errors_are_events_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main.run(["a.ini", "--json"]) == 1
    reported = capsys.readouterr()
    events = [json.loads(line) for line in reported.out.splitlines()]
    assert events[-1]["event"] == "note"
    assert events[-1]["level"] == "error"
    assert reported.err.startswith("error: ")


def test_the_makefile_installs_all_that_backends_need() -> None:
    """The lab machine's for both commands, the others' for the tests."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    lists = {name: set(words.split()) for name, words in re.findall(r"^(\w*PACKAGES) := (.*)$", text, re.MULTILINE)}
    lab = backend_named("lxc").formats[0]
    needs = text.split("define NEEDS\n")[1].split("endef")[0]
    packages = {line.split()[1] for line in needs.splitlines()}
    needed = (*RUNNING, *all_base_requirements(), *lab.requirements, *lab.boot_requirements)
    assert {"mmdebstrap"} <= {r.package for r in needed} <= packages
    assert {r.package for r in doctor.requirements()} <= packages | lists["UNIT_PACKAGES"] | lists["TEST_PACKAGES"]


@pytest.mark.parametrize(
    ("words", "formats", "recipes"),
    [
        (("--sbom", "lab.ini"), ("cyclonedx", "spdx"), ("lab.ini",)),
        (("lab.ini", "--sbom"), ("cyclonedx", "spdx"), ("lab.ini",)),
        (("--sbom", "spdx", "lab.ini"), ("spdx",), ("lab.ini",)),
        (("--sbom=cyclonedx", "--sbom=spdx", "lab.ini"), ("cyclonedx", "spdx"), ("lab.ini",)),
        (("lab.ini",), (), ("lab.ini",)),
    ],
)
def test_issue_14_a_bare_sbom_means_both_formats(
    words: tuple[str, ...], formats: tuple[str, ...], recipes: tuple[str, ...]
) -> None:
    context = build_command.make_context("build", list(words))
    assert context.params["sbom"] == formats
    assert tuple(map(str, context.params["recipes"])) == recipes
