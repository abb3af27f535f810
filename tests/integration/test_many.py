"""Several recipes at a time: what they share is made once, one's failure is its own, and a stop reaches all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.leftovers import assert_nothing_left
from tests.integration.scripted import recipe, start

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def recipes(folder: Path, **scripts: str) -> list[Path]:
    return [recipe(folder, name=name, user=name, script=script) for name, script in scripts.items()]


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def warm(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The base is in the shared cache, so that these tests count what comes after it."""
    folder = tmp_path_factory.mktemp("first")
    assert vmgen(*recipes(folder, first="true"), "-o", folder / "out").returncode == 0


def own_package(folder: Path) -> Path:
    """A .deb that no build before has seen."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {"Package": "new", "Version": f"1.{time.time_ns()}", "Architecture": "all"}
    fields |= {"Maintainer": "Tests <tests@example.org>", "Description": "nothing"}
    (tree / "DEBIAN/control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    built = folder / "new.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, built], check=True, stdout=subprocess.DEVNULL)
    return built


def test_steps_that_recipes_share_are_run_once(vmgen: Run, warm: None, tmp_path: Path) -> None:
    """The package is new, and wanted by all three at the same time."""
    package = own_package(tmp_path)
    paths = recipes(tmp_path, ana="true", bea="true", cyd="true")
    for path in paths:
        path.write_text(path.read_text().replace("[config]\n", f"[config]\npackages = {package}\n"))
    done = vmgen(*paths, "-j", "3", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    events = events_of(done.stdout)
    ended = [e for e in events if e["event"] == "step-finished"]
    assert {e["recipe"] for e in ended} == set(map(str, paths))
    built = Counter(e["id"] for e in ended if e["outcome"] == "built" and e["step"] != "pack")
    assert set(built.values()) == {1}
    assert Counter((e["step"], e["outcome"]) for e in ended if e["step"] == "packages-config") == {
        ("packages-config", "built"): 1,
        ("packages-config", "cached"): 2,
    }
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tar.zst")) == [
        f"{n}-lxc-amd64.tar.zst" for n in ("ana", "bea", "cyd")
    ]
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.count("OK") == 6, checked


def test_one_that_fails_leaves_the_others_be(vmgen: Run, warm: None, tmp_path: Path) -> None:
    paths = recipes(tmp_path, good="true", bad="echo no such thing; exit 3", fine="true")
    done = vmgen(*paths, "-j", "2", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert f"{paths[1]}: error: step 'script-one' failed with exit code 3" in done.stderr
    assert f"{paths[0]}: [1/" in done.stderr
    assert done.stdout.splitlines()[-2:] == ["2 of 3 recipes built", f"  failed: {paths[1]}"]
    assert len(list((tmp_path / "out").glob("*.tar.zst"))) == 2


def test_what_the_host_lacks_ends_the_row(vmgen: Run, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    paths = recipes(tmp_path, ana="true", bea="true", cyd="true")
    done = vmgen(*paths, "-j", "2", "-o", tmp_path / "out/below")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"  not tried: {paths[2]}"


def test_a_shell_after_an_error_is_for_one_build_alone(vmgen: Run, tmp_path: Path) -> None:
    done = vmgen(*recipes(tmp_path, ana="true", bea="true"), "-j", "2", "--on-error", "shell")
    assert done.returncode == 2
    assert "leave --jobs out" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_reaches_all(cache: Path, warm: None, tmp_path: Path, number: signal.Signals) -> None:
    paths = recipes(tmp_path, ana="echo begun; sleep 600", bea="echo begun; sleep 600", cyd="true")
    words = [*paths, "-j", "2", "-o", tmp_path / "out", "-v"]
    process = start(cache, *words, own_session=True)
    assert process.stdout is not None
    begun: set[str] = set()
    while len(begun) < 2:
        line = process.stdout.readline()
        assert line, begun
        if "| begun" in line:
            begun.add(line)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), output
    assert "Traceback" not in output
    assert "cyd" not in output
    assert_nothing_left(cache, tmp_path)
    assert not list((tmp_path / "out").glob("*"))
