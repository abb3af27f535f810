"""Builds that die, by fault or by force, and builds side by side: nothing half is left, nothing broken is used."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.imageserver import Tree, serving
from tests.integration.leftovers import assert_nothing_left
from tests.integration.scripted import recipe, start

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def ownerless_cgroups() -> list[Path]:
    """Those whose builder has ended; other builds may run beside the tests."""
    found = [p for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") for p in Path(root).glob("vmgen-build/*/")]
    return [path for path in found if not Path("/proc", path.name.partition("-")[0]).exists()]


@pytest.fixture(scope="module", autouse=True)
def _base(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The base and all but the last steps are there before anything is killed."""
    folder = tmp_path_factory.mktemp("warm")
    assert vmgen(recipe(folder), "-o", folder / "out").returncode == 0


def test_a_failing_step_says_its_name_its_last_lines_and_its_log(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    done = vmgen(recipe(tmp_path, script="echo about to fail; exit 7"), "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "step 'script-one' failed with exit code 7" in done.stderr
    assert "about to fail" in done.stderr
    log = Path(done.stderr.split("the whole log: ")[1].split("\n")[0])
    assert "about to fail" in log.read_text()
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").glob("*.tar*"))
    assert_nothing_left(cache, tmp_path)


def test_on_error_keep_leaves_a_container_that_can_be_entered(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    script = "echo made > /srv/half; exit 7"
    done = vmgen(recipe(tmp_path, name="kept", script=script), "-o", tmp_path / "out", "--on-error", "keep")
    assert done.returncode == 1
    line = next(line for line in done.stderr.splitlines() if "lxc-execute" in line)
    words, command = line.split(), line.replace("/bin/bash", "/bin/cat /srv/half")
    entered = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert entered.stdout == "made\n", entered.stderr
    kept = Path(words[words.index("-P") + 1]) / words[words.index("-n") + 1]
    modes = [path.stat().st_mode & 0o777 for path in (kept.parent, kept, kept / "data")]
    assert modes == [0o700] * 3, "issue 8, item 11: a guest's setuid programs are for nobody else to start"
    shutil.rmtree(kept)
    assert_nothing_left(cache, tmp_path)


def test_issue_14_offline_a_step_asks_nothing_and_its_layer_is_the_same(vmgen: Run, tmp_path: Path) -> None:
    """The first failure is the option's doing: without it the same step asks the server, and leaves what --offline
    takes then."""
    served = tmp_path / "served"
    served.mkdir()
    with serving(Tree(served)) as server:
        talk = f"exec 3<>/dev/tcp/127.0.0.1/{server.port}; echo GET /x HTTP/1.0 >&3; echo >&3; cat <&3"
        path = recipe(tmp_path, name="apart", script=f"bash -ec '{talk}'")
        cut = vmgen(path, "-o", tmp_path / "out", "--offline")
        assert cut.returncode == 1 and server.asked == [], cut.stderr
        assert "step 'script-one' failed" in cut.stderr and "what to do: '--offline' keeps every step off" in cut.stderr
        online = vmgen("shell", path, "--step", "script-one", "--", "true")
        assert online.returncode == 0 and server.asked == ["/x"], online.stderr
        done = vmgen(path, "-o", tmp_path / "out", "--offline")
        assert done.returncode == 0 and server.asked == ["/x"], done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_undone_within_seconds(cache: Path, tmp_path: Path, number: int) -> None:
    path = recipe(tmp_path, name="interrupted", script="echo begun; sleep 600")
    process = start(cache, path, "-o", tmp_path / "out", "-v")
    assert process.stdout is not None
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    began = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert time.monotonic() - began < 30
    assert "Traceback" not in output
    assert_nothing_left(cache, tmp_path)
    assert list((cache / "tmp").iterdir()) == []
    assert not list((tmp_path / "out").glob("*"))


def test_issue_9_5_a_disk_too_small_for_its_packages_is_refused_before_any_step(
    vmgen: Run, cache: Path, tmp_path: Path
) -> None:
    """The thesis's sample with its system changed alone, and then with the size that the message says."""
    path = tmp_path / "sample.ini"
    shutil.copy(Path(__file__).parents[2] / "recipes/samples/thesis-openvz.ini", path)
    words = [path, "-b", "openvz", "-b", "kvm", "-o", tmp_path / "out", "--set", "hardware.os=debian-12", "--json"]
    before = sorted(cache.glob("layers/*"))
    refused = vmgen(*words)
    events = [json.loads(line) for line in refused.stdout.splitlines()]
    assert refused.returncode == 2, refused.stdout[-3000:] + refused.stderr[-3000:]
    assert {event["event"] for event in events} == {"note"} and sorted(cache.glob("layers/*")) == before
    (error,) = [event["text"] for event in events if event["level"] == "error"]
    assert "sample.ini:8: [hardware.hdds.hdd0] size: 1.1 GB is too small: " in error
    advice = error.partition("write size = ")[2].removesuffix(", or none")
    begun = start(cache, *words, "--set", f"hardware.hdds.hdd0.size={advice}")
    assert begun.stdout is not None
    while '"event": "step-' not in (line := begun.stdout.readline()):
        assert begun.poll() is None, line
    begun.send_signal(signal.SIGTERM)
    output, _ = begun.communicate(timeout=60)
    assert begun.returncode == 130, output


def test_kill_9_at_random_moments(vmgen: Run, own_cache: Path, tmp_path: Path) -> None:
    """Each time another user, so that there is work to be killed in; then a whole build, and no trace of the others."""
    seed = int(os.environ.get("VMGEN_TEST_SEED") or time.time())
    print(f"VMGEN_TEST_SEED={seed}")
    chance, before = random.Random(seed), set(ownerless_cgroups())
    out = tmp_path / "out"
    for number in range(12):
        path = recipe(
            tmp_path, user=f"u{seed}x{number}"[-20:].replace("u", "k"), script="head -c 20000000 /dev/urandom > /srv/x"
        )
        process = start(own_cache, path, "-o", out)
        time.sleep(chance.uniform(0.1, 2.5))
        process.kill()
        process.communicate()
        assert_nothing_left(own_cache, tmp_path)
        for made in out.glob("*.tar.zst"):
            listed = out / "SHA256SUMS"
            lines = listed.read_text().splitlines() if listed.exists() else []
            if made.name in (line.split("  ")[1] for line in lines):
                subprocess.run(["zstd", "-tq", made], check=True)
            made.unlink()
    last = vmgen(path, "-o", out, env={"VMGEN_CACHE": str(own_cache)})
    assert last.returncode == 0, last.stderr
    assert list((own_cache / "tmp").iterdir()) == []
    assert set(ownerless_cgroups()) <= before
    names = sorted(p.name for p in out.iterdir())
    assert names == ["SHA256SUMS", "faulty-lxc-amd64.tar.zst", "faulty-lxc-amd64.tar.zst.manifest.json"]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_two_builds_at_once_make_each_layer_once(own_cache: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, name="twice", user=f"t{time.time_ns() % 10**9}", script="sleep 1; echo made >> /srv/x")
    both = [start(own_cache, path, "-o", tmp_path / f"out{n}", "--json") for n in range(2)]
    events = []
    for process in both:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        events += [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    built = [
        e["id"] for e in events if e["event"] == "step-finished" and e["outcome"] == "built" and e["step"] != "pack"
    ]
    assert built and len(built) == len(set(built))
    tarballs = [(tmp_path / f"out{n}" / "twice-lxc-amd64.tar.zst").read_bytes() for n in range(2)]
    assert tarballs[0] == tarballs[1]


def test_a_full_disk_is_a_clear_error_and_the_cache_stays_whole(vmgen: Run, cache: Path, tmp_path: Path) -> None:
    """The output folder is a small file system of its own, in a mount namespace that ends with the command."""
    path = recipe(tmp_path, name="full")
    out = tmp_path / "small"
    out.mkdir()
    command = f'mount -t tmpfs -o size=20M tmpfs "{out}" && exec "{sys.executable}" -m vmgen_build "{path}" -o "{out}"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"VMGEN_CACHE": str(cache)},
    )
    assert done.returncode == 1, done.stderr
    full = (
        rf"error: the disk of {re.escape(str(out))} is full: 21 MB are free, and full-lxc-amd64\.tar\.zst needs up to"
        r" \d+ MB; make room there, or choose another folder with --output\n"
    )
    assert re.search(full, done.stderr), done.stderr
    assert list(out.iterdir()) == []
    assert "Traceback" not in done.stderr
    again = vmgen(path, "-o", tmp_path / "out")
    assert again.returncode == 0, again.stderr


def test_a_full_cache_says_so_and_holds_no_broken_layer(cache: Path, tmp_path: Path) -> None:
    """The cache is a small file system of its own; the script asks for more than is left."""
    path = recipe(tmp_path, name="fullcache", script="dd if=/dev/zero of=/srv/big bs=1M count=3000")
    small = tmp_path / "small"
    small.mkdir()
    tool = f'"{sys.executable}" -m vmgen_build "{path}" -o "{tmp_path}/out" --cache "{small}"'
    lines = f"""
        mount -t tmpfs -o size=2G,mode=0755 tmpfs "{small}"
        mkdir -p "{small}/layers" "{small}/facts"
        cp -a {cache}/CACHEDIR.TAG "{small}/"
        cp -a {cache}/facts/. "{small}/facts/"
        for meta in $(grep -l '"name": "base"' {cache}/layers/*/meta.json); do
            cp -a "$(dirname "$meta")" "{small}/layers/"
        done
        {tool} && exit 90
        test "$(ls "{small}/tmp")" = "" || exit 91
        {tool} --set config.scripts.one.run=true
    """
    done = subprocess.run(["unshare", "--mount", "bash", "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is full" in done.stderr and "cache prune" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mirror_that_is_gone_is_named(vmgen: Run, tmp_path: Path) -> None:
    done = vmgen(recipe(tmp_path), "-o", tmp_path / "out", "--set", "config.mirror=http://127.0.0.1:9/debian")
    assert done.returncode == 1
    assert "http://127.0.0.1:9/debian/dists/bookworm/InRelease" in done.stderr
    assert "Traceback" not in done.stderr
