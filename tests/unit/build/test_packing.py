"""Several formats of one build: what each of them is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmgen_build.artifacts.result import Disk, Disks, Tree
from vmgen_build.backends.format import PackOptions
from vmgen_build.backends.formats.cloud import Cloud
from vmgen_build.backends.formats.iso import LiveIso
from vmgen_build.backends.kvm.backend import KvmBackend, Qcow2
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.steps import _each_packed
from vmgen_build.host.files import write_whole


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Each format with what it got, in order; and when the disks were made."""
    seen: list[tuple[str, str]] = []
    (tmp_path / "disk.raw").touch()

    def pack(form: Any, plan: object, result: Tree | Disks, *_: object) -> tuple[()]:
        what = "root" if isinstance(result, Tree) else result.scratch.name
        seen.append((form.name, what))
        return ()

    def prepared(*_: object) -> Disks:
        seen.append(("", "disks"))
        return Disks((Disk("hdd0", tmp_path / "disk.raw"),))

    for form in (Cloud, LiveIso, Qcow2):
        monkeypatch.setattr(form, "pack", pack)
    monkeypatch.setattr(KvmBackend, "prepared", prepared)
    return seen


def packed(root: Path, *names: str) -> list[str]:
    packings = tuple(PackOptions("zstd", name) for name in names)
    build: Any = SimpleNamespace(
        plan=None, backend=backend_named("kvm"), packings=packings, options=SimpleNamespace(output=root), bus=None
    )
    return [one.format for one in _each_packed(build, Tree(root / "root"))]


def test_disks_are_made_for_those_that_are_made_of_them(tmp_path: Path, given: list[tuple[str, str]]) -> None:
    assert set(packed(tmp_path, "qcow2", "iso", "cloud")) == {"qcow2", "iso", "cloud"}
    assert given == [("iso", "root"), ("", "disks"), ("qcow2", "packed-1"), ("cloud", tmp_path.name)]


def test_a_live_image_alone_needs_no_disks(tmp_path: Path, given: list[tuple[str, str]]) -> None:
    packed(tmp_path, "iso")
    assert given == [("iso", "root")]


def test_nothing_of_a_format_stays_that_fails_amid_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it made elsewhere stays: that folder goes with the build."""

    def pack(form: Any, plan: object, result: object, out: Path, *_: object) -> tuple[()]:
        write_whole(out / "root/scratch", "scratch")
        for name in ("lab.qcow2", "lab.xml"):
            write_whole(out / name, name)
        raise KeyboardInterrupt

    (tmp_path / "root").mkdir()
    (tmp_path / "other.qcow2").touch()
    monkeypatch.setattr(LiveIso, "pack", pack)
    with pytest.raises(KeyboardInterrupt):
        packed(tmp_path, "iso")
    assert {one.name for one in tmp_path.iterdir()} == {"root", "other.qcow2"} and (tmp_path / "root/scratch").exists()
