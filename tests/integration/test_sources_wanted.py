"""Programs of the catalogue that are built from source: one that wants another first, and one that a script unpacks.

The archives are stand-ins, as nothing that tests run may depend on their publishers; all else is the catalogue's own.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration import sourceprojects as projects
from tests.integration.test_sources import DIRECT, listed, serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The recipe, its catalogue, and the archives on a server."""
    folder = tmp_path_factory.mktemp("wanted")
    served = folder / "served"
    served.mkdir()
    catalogue = projects.WANTED_CATALOGUE
    contents = {"eclipse": projects.eclipse(), "libdaq": projects.LIBDAQ, "snort": projects.SNORT}
    for name, files in contents.items():
        archive = projects.tarball(served / f"{name}.tar.gz", name, files)
        catalogue = catalogue.replace(f"${name.upper()}", hashlib.sha256(archive.read_bytes()).hexdigest())
    (folder / "wanted.ini").write_text(projects.WANTED_RECIPE)
    with serving(served) as url:
        (folder / "own.ini").write_text(catalogue.replace("$URL", url))
        yield folder


@pytest.fixture(scope="module")
def built(folder: Path, vmgen: Run) -> tuple[Path, list[dict[str, object]]]:
    """The artifact, and the events of its build."""
    done = vmgen(folder / "wanted.ini", "-o", folder / "out", "--json", env=DIRECT)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "out" / "wanted-lxc-amd64.tar.zst", [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_wanted_is_built_first_and_all_of_it_runs(
    built: tuple[Path, list[dict[str, object]]], vmgen: Run
) -> None:
    artifact, events = built
    made = [str(event["step"]) for event in events if event["event"] == "step-finished"]
    assert [step for step in made if step.startswith("source")] == [
        *("sources-tools", "source-eclipse", "source-libdaq", "source-snort", "source-own", "source-finder"),
        "sources-end",
    ]
    done = vmgen("verify", artifact, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    probes = [json.loads(line) for line in done.stdout.splitlines() if '"event": "probe"' in line]
    found = {probe["setting"]: probe["found"] for probe in probes}
    assert (found["[devel] eclipse"], found["[services] snort"]) == ("installed", "installed")
    assert found["[config.sources.finder]"] == "1"


def content(artifact: Path, path: str) -> bytes:
    """Of a file below the artifact's root."""
    words = ["tar", "--zstd", "--wildcards", "-xOf", artifact, f"*{path}"]
    return subprocess.run(words, capture_output=True, check=True).stdout


def test_what_they_need_stays_and_what_they_are_built_with_goes(
    built: tuple[Path, list[dict[str, object]]],
) -> None:
    artifact, _ = built
    manifest = json.loads(artifact.with_name("wanted-lxc-amd64.tar.zst.manifest.json").read_text())
    names = {package["name"] for package in manifest["packages"]}
    assert {"libgtk-3-0", "libxtst6", "libpcap0.8", "libhwloc15", "libdumbnet1"} <= names
    assert not names & {"cmake", "gcc", "libtool", "flex", "libpcap-dev", "libhwloc-dev", "libdumbnet-dev", "libfl-dev"}
    assert {"usr/local/lib/libdaq.so.3", "usr/local/bin/snort", "usr/local/bin/eclipse"} <= set(listed(artifact))
    assert content(artifact, "/usr/local/lib/eclipse/eclipse") == projects.eclipse()["eclipse"]
    entry = content(artifact, "/usr/local/share/applications/eclipse.desktop").decode().splitlines()
    assert {"Exec=/usr/local/bin/eclipse", "Icon=/usr/local/lib/eclipse/icon.xpm"} <= set(entry)


def test_a_program_with_windows_says_that_it_wants_a_desktop(folder: Path, vmgen: Run) -> None:
    done = vmgen("check", folder / "wanted.ini")
    assert done.returncode == 0
    assert "wanted.ini:5:5: warning: [devel] eclipse: wants 'desktop' beside it" in done.stderr + done.stdout


def test_a_changed_download_of_what_is_wanted_is_an_error_at_the_line_that_wants_it(folder: Path, vmgen: Run) -> None:
    own = folder / "own.ini"
    whole = own.read_text()
    own.write_text(re.sub(r"(libdaq.tar.gz\n.* = )[0-9a-f]+", rf"\g<1>{'0' * 64}", whole))
    try:
        done = vmgen(folder / "wanted.ini", "-o", folder / "faults", env=DIRECT)
    finally:
        own.write_text(whole)
    assert done.returncode == 1
    assert re.search(r"wanted.ini:7: \[services\] snort: (?s:.*)libdaq(?s:.*)asked for  0{64}\n", done.stderr), (
        done.stderr
    )
