"""Programs from their source, for real: a project of each build system in one recipe, built, verified, built again."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration import sourceprojects as projects

Run = Callable[..., "subprocess.CompletedProcess[str]"]

DIRECT = {"no_proxy": "127.0.0.1"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The recipe, the archives beside it, and one on a server."""
    folder = tmp_path_factory.mktemp("sources")
    served = folder / "served"
    served.mkdir()
    auto = projects.tarball(served / "autohello-1.0.tar.bz2", "autohello-1.0", projects.AUTOTOOLS)
    projects.zipped(folder / "cmakehello-1.0.zip", "cmakehello-1.0", projects.CMAKE)
    projects.tarball(folder / "mesonhello-1.0.tar.xz", "mesonhello-1.0", projects.MESON)
    projects.tarball(folder / "makehello-1.0.tar.gz", "makehello-1.0", projects.MAKE)
    projects.tarball(folder / "pyhello-1.0.tar.gz", "pyhello-1.0", projects.PYTHON)
    (folder / "patched.patch").write_text(projects.MAKE_PATCH)
    text = projects.RECIPE.replace("$AUTOHELLO", hashlib.sha256(auto.read_bytes()).hexdigest())
    with serving(served) as url:
        (folder / "sources.ini").write_text(text.replace("$URL", url))
        yield folder


@pytest.fixture(scope="module")
def built(folder: Path, vmgen: Run) -> Path:
    done = vmgen(folder / "sources.ini", "-o", folder / "out", "-v", env=DIRECT)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "out" / "sources-lxc-amd64.tar.zst"


def listed(artifact: Path) -> list[str]:
    """Paths below the artifact's root."""
    done = subprocess.run(["tar", "--zstd", "-tf", artifact], capture_output=True, text=True, check=True)
    return [path.removeprefix("./").removeprefix("rootfs/") for path in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def manifest(built: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(built.with_name("sources-lxc-amd64.tar.zst.manifest.json").read_text())
    return data


def test_each_program_runs_in_the_booted_machine(built: Path, vmgen: Run) -> None:
    done = vmgen("verify", built, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    probes = [json.loads(line) for line in done.stdout.splitlines() if '"event": "probe"' in line]
    found = {p["setting"]: p["found"] for p in probes if "config.sources" in p["setting"]}
    assert {"[config.sources.makehello] units", "[config.sources.mesonhello]"} <= found.keys()
    assert [found[f"[config.sources.{name}]"] for name in ("mesonhello", "makehello", "pyhello")] == [
        *("meson", "patched", "python")
    ]


def test_what_they_are_built_with_is_gone_and_what_they_need_stays(built: Path, manifest: dict[str, Any]) -> None:
    names = {package["name"] for package in manifest["packages"]}
    built_with = (
        "gcc g++ cpp binutils libc6-dev make cmake meson patch unzip bzip2 libreadline-dev autoconf python3-pip"
    )
    assert names & set(built_with.split()) == set()
    assert {"python3", "libreadline8"} <= names
    paths = set(listed(built))
    left = re.compile("usr/src/.|var/lib/vmgen-sources|usr/lib/gcc/|etc/alternatives/(cc|c89|pkg-config)")
    assert [path for path in paths if left.match(path)] == []
    assert {"usr/local/bin/autohello", "opt/cmakehello/bin/cmakehello", "usr/local/bin/pyhello"} <= paths


def test_the_second_build_does_nothing_and_a_change_builds_its_program_and_those_after(
    folder: Path, built: Path, vmgen: Run
) -> None:
    again = vmgen(folder / "sources.ini", "-o", folder / "out", env=DIRECT)
    assert again.returncode == 0 and "unchanged" in again.stderr + again.stdout
    sets = ["--set", "config.sources.pyhello.check=pyhello", "--set", "config.sources.makehello.strip=no"]
    done = vmgen(folder / "sources.ini", "-o", folder / "other", "--offline", "--json", *sets, env=DIRECT)
    assert done.returncode == 0, done.stderr[-3000:]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    made = [e["step"] for e in events if e["event"] == "step-finished" and e["outcome"] == "built"]
    assert made[:3] == ["source-makehello", "source-pyhello", "sources-end"]


FAULTS = {
    "a changed download": (
        ["config.sources.autohello.sha256=" + "0" * 64],
        r"--set config.sources.autohello.sha256: \[config.sources.autohello\] sha256: (?s:.*)asked for  0{64}\n  down",
    ),
    "no such download": (
        ["config.sources.autohello.url=http://127.0.0.1:1/x.tar.gz", "config.sources.autohello.sha256=" + "1" * 64],
        r"\[config.sources.autohello\] url: cannot download http://127.0.0.1:1/x.tar.gz",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_download_that_is_not_what_it_should_be(name: str, folder: Path, built: Path, vmgen: Run) -> None:
    sets, message = FAULTS[name]
    words = [word for setting in sets for word in ("--set", setting)]
    done = vmgen(folder / "sources.ini", "-o", folder / "faults", *words, env=DIRECT)
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr[-3000:]


def test_builds_that_fail_say_what_failed_and_where_the_log_is(folder: Path, built: Path, vmgen: Run) -> None:
    """All on the layers that are there, each with the tools of the recipe above: the last source alone is another."""
    broken = {
        "broken.c": ({"Makefile": "all:\n\techo 'about to fail'; exit 3\n"}, "make", "source broken: make failed"),
        "patch": (
            projects.MAKE | {"main.c": "int main(void) {}\n"},
            "make",
            "the patch 'patched.patch' does not apply",
        ),
        "other": ({"README": "x"}, "cmake", "there is no CMakeLists.txt at its top"),
        "nothing": ({"Makefile": "all:\ninstall:\n"}, "make", "its build ended well and installed nothing"),
    }
    for name, (files, build, message) in broken.items():
        projects.tarball(folder / "broken-1.0.tar.gz", "broken", files)
        sources = [f"[[[broken]]]\nfile = broken-1.0.tar.gz\nbuild = {build}\ncommands = x\n"]
        sources += ["patches = patched.patch\n"] if name == "patch" else []
        text = (folder / "sources.ini").read_text() + "".join(sources)
        (folder / "broken.ini").write_text(text)
        done = vmgen(folder / "broken.ini", "-o", folder / "faults", "--offline", env=DIRECT)
        assert done.returncode == 1
        assert "step 'source-broken' failed" in done.stderr and "the whole log: " in done.stderr
        assert message in done.stderr, done.stderr[-3000:]
