"""doctor, on a host that lacks things."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vmgen_build.cli import doctor, main


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without rights, on a host where no program is found."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    return tmp_path


def test_one_command_mends_it(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--cache", str(bare)]) == 1
    lines = capsys.readouterr().out.splitlines()
    commands = [line.strip() for line in lines if "apt-get install" in line]
    assert len(commands) == 1
    assert commands[0].startswith("sudo apt-get update && sudo apt-get install -y ")
    assert {"lxc", "mmdebstrap", "zstd"} <= set(commands[0].split())
    assert any(line.startswith("MISSING  lxc-") for line in lines)
    assert any(line.startswith("MISSING  root") for line in lines)


def test_a_host_that_has_everything(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "unshare" else f"/usr/bin/{name}")
    main.run(["doctor", "--cache", str(bare), "--json"])
    told = {f["what"]: f for f in map(json.loads, capsys.readouterr().out.splitlines())}
    assert told["lxc-start"] == {
        "what": "lxc-start",
        "good": True,
        "said": "/usr/bin/lxc-start",
        "package": "lxc",
        "advice": "",
    }
    assert not told["root"]["good"]


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    cache, temporary = doctor.room(tmp_path / "not" / "there" / "yet")
    assert not cache.good
    assert "1.0 MB free" in cache.said
    assert "4.0 GB are needed" in cache.advice
    assert not temporary.good
