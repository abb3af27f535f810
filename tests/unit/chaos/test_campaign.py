"""Issue 8, the chaos campaign: its scenarios depend on the seed alone, and what it looks for is found where it is."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.faults import FAULTS, Blow
from tests.chaos.mirror import Answer, Mirror, Mood
from tests.chaos.oracle import Before, broken, unfinished, wrongly_ended
from tests.chaos.process import state_of, tree
from tests.chaos.scenario import BACKENDS, Scenario, draw
from tests.chaos.scenario import FAULTS as WEIGHTS
from tests.chaos.world import BROKEN, content_of


def scenario(fault: str = "kill") -> Scenario:
    return Scenario(1, "lxc", fault, "steps", "time", 0.5, 0.0, 3)


@pytest.fixture()
def world(tmp_path: Path) -> Any:
    for name in ("cache/tmp", "cache/locks", "out", "tmp", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "out/a.tar").write_text("a")
    sums = {"a.tar": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    (tmp_path / "out/SHA256SUMS").write_text(f"{sums['a.tar']}  a.tar\n")
    folders = {name: tmp_path / name for name in ("cache", "out", "tmp", "scratch")}
    return SimpleNamespace(folder=tmp_path, references={"lxc": sums}, node=None, **folders)


def test_a_scenario_depends_on_its_seed_and_number_alone() -> None:
    assert draw(7, 12, quick=False) == draw(7, 12, quick=False)
    assert len({draw(7, number, quick=False) for number in range(50)}) == 50
    assert draw(7, 12, quick=False) != draw(8, 12, quick=False)


def test_every_fault_and_every_backend_is_drawn() -> None:
    drawn = [draw(1, number, quick=False) for number in range(500)]
    assert {each.fault for each in drawn} == set(WEIGHTS) == set(FAULTS)
    assert {each.backend for each in drawn} == set(BACKENDS)
    assert all(each.backend == "node" for each in drawn if each.fault == "cable")


def test_nothing_is_found_where_all_is_right(world: Any) -> None:
    assert unfinished(world, [1]) == []
    assert broken(world, "lxc", whole=True) == []


@pytest.mark.parametrize("name", ["cache/tmp/1-ab", "out/.a.tar.part-1", "tmp/x", "cache/facts/x.part-9"])
def test_what_a_build_left_is_found(world: Any, name: str) -> None:
    path = world.folder / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert len(unfinished(world, [1])) == 1


@pytest.mark.parametrize(
    ("name", "text", "found"), [("9_z30brc", "blat", 0), ("9_z30brc", "a", 1), ("tmpz30brc", "", 1)]
)
def test_what_python_tries_a_folder_by_is_none_of_it(world: Any, name: str, text: str, found: int) -> None:
    world.tmp.mkdir(exist_ok=True)
    (world.tmp / name).write_text(text)
    assert len(unfinished(world, [1])) == found


def test_a_lock_that_is_kept_is_found(world: Any) -> None:
    import fcntl

    with (world.cache / "locks/x.use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert unfinished(world, []) == ["a lock: x.use"]


@pytest.mark.parametrize(
    ("name", "text"), [("a.tar", "b"), ("b.tar", "b"), ("a.manifest.json", "{"), ("SHA256SUMS", "")]
)
def test_a_broken_output_is_found(world: Any, name: str, text: str) -> None:
    (world.out / name).write_text(text)
    assert broken(world, "lxc", whole=True)


def test_a_process_that_outlives_its_build_is_found(world: Any) -> None:
    before = Before(os.getpid())
    child = subprocess.Popen(["sleep", "600"])
    try:
        assert child.pid in tree(os.getpid())
        assert any("sleep 600" in line for line in before.left(world))
        os.kill(child.pid, signal.SIGSTOP)
        while state_of(child.pid) != "T":
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
    assert not any("sleep 600" in line for line in before.left(world))


@pytest.mark.parametrize(
    ("code", "errors", "fault", "right"),
    [
        (0, "", "neighbour", True),
        (1, "error: x\n", "neighbour", False),
        (1, "error: the disk of /x is full\n", "full-cache", True),
        (1, "error: cannot write\n", "full-cache", False),
        (1, "error: unexpected: x\nThis is a bug in vmgen-build\n", "kill", False),
        (-signal.SIGKILL, "", "kill", True),
        (-signal.SIGKILL, "", "interrupt", False),
        (-signal.SIGINT, "", "interrupt", False),
    ],
)
def test_a_wrong_end_is_found(world: Any, code: int, errors: str, fault: str, right: bool) -> None:
    blow = Blow(world, scenario(fault), hit=True)
    run: Any = SimpleNamespace(code=code, errors=errors, events=[1])
    assert (wrongly_ended(FAULTS[fault], blow, run) == []) == right


def asked(mirror: Mirror) -> bytes | str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": mirror.url}))
    try:
        with opener.open("http://archive.test/x", timeout=10) as got:
            return bytes(got.read())
    except Exception as error:
        return type(error).__name__


def test_the_mirror_lies_as_often_as_it_is_asked_to() -> None:
    mirror, body = Mirror(), bytes(range(256)) * 40
    mirror._kept["http://archive.test/x"] = Answer(200, body)
    assert asked(mirror) == body
    for name in ("gone", "cut", "garbage", "short", "long", "empty", "page", "error"):
        mirror.become(Mood(name, after=1, times=1))
        answers = [asked(mirror) for _ in range(3)]
        assert answers[0] == answers[2] == body
        assert answers[1] != body, name
    assert sys.getsizeof(body) and mirror.lies == 1


def test_the_clock_jumps_and_sleeping_goes_on(world: Any) -> None:
    blow = Blow(world, scenario("clock"))
    environ = FAULTS["clock"].before(blow)
    code = (
        "import os, time; from pathlib import Path; file = Path(os.environ['VMGEN_CHAOS_CLOCK'])\n"
        "began, then = time.monotonic(), time.time(); file.write_text('-90000')\n"
        "time.sleep(0.01); print(then - time.time() > 80000, time.localtime() < time.localtime(then),"
        " 0 < time.monotonic() - began < 1000)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True)
    assert ran.stdout == "True True True\n", ran.stderr


def packed(*names: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return data.getvalue()


def bundle(path: Path, root: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("t.tar.gz")
        member.size = len(root)
        tar.addfile(member, io.BytesIO(root))
    return path


def test_the_content_of_a_bundle_is_that_of_all_gzip_members(tmp_path: Path) -> None:
    """An OS template has one for each MiB."""
    one, other = packed("./etc/a", "./etc/b"), packed("./etc/a", "./etc/c")
    halves = [gzip.compress(root[:600]) + gzip.compress(root[600:]) for root in (one, other)]
    first, second, cut = (
        content_of(bundle(tmp_path / str(number), root)) for number, root in enumerate((*halves, halves[0][:60]))
    )
    assert BROKEN not in (first, second)
    assert first != second
    assert cut == BROKEN
