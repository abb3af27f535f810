"""Scripts of steps whose programs fail: dash has no pipefail, and no failure may stand before a pipe."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vmgen_build.plan.model import Plan
from vmgen_build.systems.model import STEP_FOLDER

Planner = Callable[..., Plan]

ZEROS = "0" * 64
SOURCE = (
    "[config]\n[[sources]]\n[[[hello]]]\nurl = https://example.org/hello.{}\nsha256 = "
    + ZEROS
    + "\nbuild = make\ncommands = hello\n"
)
STATE = "/var/lib/vmgen-sources"


def script_of(plan: Plan, step: str) -> str:
    return next(one.script for one in plan.steps if one.name == step)


def run(script: str, folder: Path, programs: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The script with these programs, each a line of sh, before the host's own. Paths of a guest lie in the folder."""
    for path in (STATE, STEP_FOLDER, "/usr/src/vmgen-build", "/etc/pacman.d"):
        script = script.replace(path, str(folder / path.replace("/", "_")))
    (folder / "bin").mkdir()
    for name, line in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / "bin" / name).chmod(0o755)
    return subprocess.run(
        ["dash", "-c", script],
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        cwd=folder,
    )


def calls(folder: Path) -> str:
    return (folder / "calls").read_text() if (folder / "calls").exists() else ""


@pytest.mark.parametrize(
    ("ending", "listing", "reason"),
    [
        ("tar.gz", "exit 2", "the archive cannot be read"),
        ("zip", "exit 9", "the archive cannot be read"),
        ("tar.gz", "echo '-rw-r--r-- 0/0 9223372036854775807000 2026-11-29 00:00 x'", "more than the limit 'source-un"),
        ("zip", "echo '2 files, 99999999999999999999 bytes uncompressed'", "more than the limit 'source-unpacked'"),
    ],
)
def test_an_archive_that_cannot_be_listed_is_not_unpacked(
    planned: Planner, tmp_path: Path, ending: str, listing: str, reason: str
) -> None:
    script, _, _ = script_of(planned(SOURCE.format(ending)), "source-hello").partition('cd -- "$work/tree"')
    stub = f'case $* in *-tvf* | -Zt*) {listing} ;; *) echo unpacked >>"$CALLS" ;; esac'
    done = run(script, tmp_path, {"tar": stub, "unzip": stub})
    assert done.returncode == 1 and reason in done.stderr
    assert calls(tmp_path) == ""


@pytest.mark.parametrize("query", ["exit 2", "exit 0"])
def test_packages_that_cannot_be_listed_are_not_taken_for_none(planned: Planner, tmp_path: Path, query: str) -> None:
    plan = planned(SOURCE.format("tar.xz") + "build_needs = zlib\n")
    state = tmp_path / STATE.replace("/", "_")
    state.mkdir()
    (state / "before").write_text("dash\n")
    (state / "keep").touch()
    done = run(script_of(plan, "sources-end"), tmp_path, {"dpkg-query": query})
    assert done.returncode == 1 and "packages cannot be listed" in done.stderr
    assert state.exists()
    script = script_of(plan, "sources-tools")
    listing = script[script.index("installed() {") : script.index('>"$state/before"') + len('>"$state/before"')]
    (state / "before").unlink()
    (tmp_path / "again").mkdir()
    done = run(f"set -eu\nstate={state}\n{listing}", tmp_path / "again", {"dpkg-query": query})
    assert done.returncode == 1 and not (state / "before").exists()


def test_what_is_listed_and_not_kept_goes(planned: Planner, tmp_path: Path) -> None:
    plan = planned(SOURCE.format("tar.xz") + "build_needs = zlib\n")
    state = tmp_path / STATE.replace("/", "_")
    state.mkdir()
    (state / "before").write_text("dash\n")
    (state / "keep").write_text("zlib1g\n")
    listed = "printf 'ii \\tdash\\t1\\tall\\nii \\tgcc\\t1\\tall\\nii \\tzlib1g\\t1\\tall\\n'"
    marks = {"dpkg-query": listed, "apt-mark": 'for word; do :; done; echo "$1 $word" >>"$CALLS"', "apt-get": ""}
    done = run(script_of(plan, "sources-end"), tmp_path, marks)
    assert (done.returncode, done.stderr) == (0, "") and not state.exists()
    assert calls(tmp_path).splitlines() == ["manual zlib1g", "-o gcc"]


@pytest.mark.parametrize(
    ("gpg", "right"),
    [("printf 'pub:-:255:22:AAAA:1:\\npub:-:255:22:BBBB:1:\\n'", True), ("exit 2", False), ("echo uid:", False)],
)
def test_pacmans_keys_are_not_made_before_the_recipes_are_signed(
    planned: Planner, tmp_path: Path, gpg: str, right: bool
) -> None:
    plan = planned(head="[hardware]\nvm_id = lab\nos = arch\n")
    (file,) = (file for step in plan.steps for file in step.files if file.name == "pacman-keys")
    folder = tmp_path / "_etc_pacman.d"
    (folder / "keys").mkdir(parents=True)
    (folder / "gnupg").mkdir()
    (folder / "keys/own.asc").touch()
    done = run((file.content or b"").decode(), tmp_path, {"gpg": gpg, "pacman-key": 'echo "$1 ${2-}" >>"$CALLS"'})
    assert (done.returncode == 0) == right == (folder / "gnupg/vmgen-made").exists()
    assert ("--lsign-key AAAA\n--lsign-key BBBB\n" in calls(tmp_path)) == right
