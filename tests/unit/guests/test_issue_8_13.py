"""Issue 8, item 13: the indexes that builds share are written by the step that fetches them, and by no recipe's."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmgen_build.bases.apt.supply import AptSupply, Request
from vmgen_build.guests.lxc import guest as module
from vmgen_build.guests.lxc.guest import RootExecutor
from vmgen_build.host import syscalls as sc
from vmgen_build.plan.model import Step
from vmgen_build.store.layers import Store
from vmgen_build.systems.parse import parse_system


class Executor(RootExecutor):
    """Its container runs nothing; what would be mounted is noted."""

    def __init__(self, cache: Path) -> None:
        supply = AptSupply(Request(parse_system("debian-12"), None, 0), (), (), b"")
        self.indexes = supply.indexes(cache, "state")
        self.site = SimpleNamespace(
            trusted=True,
            supply=supply,
            store=Store(cache),
            plan=SimpleNamespace(epoch=0, reaches=lambda step: step.network),
            indexes=lambda _: self.indexes,
        )  # type: ignore[assignment]
        self.after, self.folder = (), cache / "tmp" / "guest"
        self.folder.mkdir(parents=True)
        self._container = SimpleNamespace(inside=self.folder / "run", step_folder="/vmgen", run=lambda *_, **__: 0)  # type: ignore[assignment]


def test_issue_8_13_a_recipes_step_does_not_write_the_shared_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[str] = []
    covered: list[str] = []

    def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
        if flags & sc.MS_BIND:
            bound.append(source)
        covered.extend(word for word in options.split(",") if word.startswith("lowerdir="))

    def unmount(target: Path, *_: int) -> None:
        if target.parent.name == "run":
            shutil.rmtree(target)

    monkeypatch.setattr(module.sc, "mount", mount)
    monkeypatch.setattr(module.sc, "unmount", unmount)
    monkeypatch.setattr(module, "write_items", lambda *_: None)
    executor = Executor(tmp_path / "cache")
    executor.run_step(Step(name="script-mine", title="", script="", network=True), lambda _: None)
    assert bound == []
    assert f"lowerdir={executor.indexes / 'lists'}" in covered
    executor._fetch_indexes(lambda _: None)
    assert bound == [str(executor.indexes / "lists"), str(executor.indexes / "cache")]
    (executor.indexes / "complete").unlink()
    executor.run_step(Step(name="script-mine", title="", script="", network=True), lambda _: None)
    assert len(bound) == 2
