"""vmgen-build systems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.build import systems
from vmgen_build.cli import main
from vmgen_build.systems import families
from vmgen_build.systems.parse import parse_system


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has every program and every key, and runs i386 and arm64."""
    monkeypatch.setattr(systems, "find_program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(systems, "why_not", lambda arch: "")
    monkeypatch.setattr(systems, "requirements_of", lambda arch: ())
    monkeypatch.setattr(Path, "exists", lambda self: True)


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    assert main.run(["systems", "--json", *words]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {one["system"]: one for one in found}


def names(ways: list[dict[str, str]]) -> list[str]:
    return [way["name"] for way in ways]


@pytest.mark.usefixtures("able")
def test_all_systems_stand_there_with_what_can_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    for family in families():
        for row in family.distributions:
            assert {f"{row.name}-{version}" for version in (*row.known, *row.bases)} <= set(found)
        assert {edition.name for edition in family.editions} <= set(found)
    for name, one in found.items():
        system = parse_system(name)
        assert (one["installer"], one["version"], one["family"]) == (
            system.installer,
            system.version,
            system.family.name,
        )
        assert one["can"] in ("build", "compile", "check")
        assert bool(one["bases"]) == (one["can"] == "build") == bool(one["architectures"])
        assert not [way for way in one["bases"] if way["lacks"]]
        if one["can"] != "build":
            assert one["why"]
    assert {one["can"] for name, one in found.items() if name.startswith("win")} == {"compile"}
    debian = found["debian-12"]
    assert (debian["can"], debian["why"], debian["codename"]) == ("build", "", "bookworm")
    assert names(debian["bases"]) == ["mmdebstrap", "images", "template", "file"]
    assert names(debian["architectures"]) == ["amd64", "i386", "arm64"]
    assert names(found["debian-8"]["bases"]) == ["images", "template", "file"]


@pytest.mark.usefixtures("able")
def test_what_was_tried_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys)
    assert found["debian-13"]["tried"] == ["real 2026-11: amd64"]
    assert found["ubuntu-24.04"]["tried"][-1].startswith("rendered 2026-11: amd64")
    assert found["debian-10"]["tried"] == []


@pytest.mark.usefixtures("able")
def test_ubuntu_is_made_for_no_i386_since_it_has_no_whole_archive(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "ubuntu")
    i386 = {name: one["architectures"][1]["lacks"] for name, one in found.items()}
    assert "only some libraries for i386" in i386["ubuntu-24.04"] and i386["ubuntu-18.04"] == ""


def test_a_host_without_the_tool_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(systems, "find_program", lambda name: None if name == "mmdebstrap" else name)
    assert main.run(["systems", "debian-1"]) == 0
    out = capsys.readouterr().out
    assert "debian-12 (bookworm)  build  (mmdebstrap) images template file" in out
    (reason,) = [line for line in out.splitlines() if line.startswith("mmdebstrap: ")]
    assert "apt-get install" in reason and reason.endswith("(debian-11, debian-12, debian-13)")


def test_without_lxc_nothing_is_built(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(systems, "find_program", lambda name: None if name == "lxc-execute" else name)
    assert main.run(["systems", "bookworm"]) == 0
    out = capsys.readouterr().out
    assert "(build)" in out and "build: this host lacks lxc-execute" in out


def test_a_name_of_none_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["systems", "plan9"]) == 2
    assert "no system is like 'plan9'; 'vmgen-build systems' lists all" in capsys.readouterr().err
