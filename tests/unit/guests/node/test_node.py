"""Builds on a node: the guardian as a real process, the scripts that run there, names and states."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest.mock import Mock

import pytest

from vmgen_build.bases.apt import supply
from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.node import driver, guardian, guest, homecoming, lxcnode, vzctl, vzremoval, workshop
from vmgen_build.guests.node.clearing import FUNCTIONS
from vmgen_build.guests.node.driver import Driver, Setup
from vmgen_build.guests.node.guardian import guarded, reap
from vmgen_build.guests.node.guest import NodeGuest
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.runners import Done, LocalRunner
from vmgen_build.guests.runners.ssh import SshRunner
from vmgen_build.host.names import NAMELESS
from vmgen_build.host.undo import failures
from vmgen_build.plan.bases import Bootstrapped, OsTemplate
from vmgen_build.plan.model import Plan, Step

SCRIPTS = {
    "nameless": ("sh", f"set -eu\n{NAMELESS}"),
    "store": ("bash", driver.STORE),
    "guard of OpenVZ": ("sh", FUNCTIONS + vzctl.VzDriver.removal + guardian.CLEAR + guardian.GUARD),
    "guard of lxc": ("sh", FUNCTIONS + lxcnode.LxcDriver.removal + guardian.CLEAR + guardian.GUARD),
    "reap": ("sh", FUNCTIONS + vzctl.VzDriver.removal + guardian.CLEAR + guardian.REAP),
    "free": ("sh", FUNCTIONS + vzremoval.LOCATE + vzremoval.FREE),
    "loader": ("sh", f"nonce=x\ndir=/run/x\n{guest.LOADER}"),
    "up": ("sh", vzctl._IS_UP),
    "create": ("sh", lxcnode._CREATE),
    "neutral": ("sh", supply.NEUTRAL),
    "update": ("sh", supply.UPDATE.replace("DOWNLOADS", "/var/x")),
    "home": ("bash", workshop._PACK.replace("| $2", "| cat")),
    "unpack": ("bash", homecoming.UNPACK),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_runs_on_a_node_passes_shellcheck(name: str) -> None:
    """SC1090, SC1091: files of the node; SC2016: what the shell within expands; SC2062: files, not a pattern;
    SC2086: $options is words; SC2154, SC2034: names of vzctl's configuration."""
    shell, script = SCRIPTS[name]
    check = ["shellcheck", "-s", shell, "-e", "SC1090,SC1091,SC2016,SC2062,SC2086,SC2034,SC2154", "-"]
    done = subprocess.run(check, input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class Notebook(Driver):
    """Containers are lines in a file: what the guardian is to remove is written down."""

    kind: ClassVar[str] = "notebook"
    removal: ClassVar[str] = ""

    def __init__(self, folder: Path, tag: str, fails: bool = False) -> None:
        super().__init__(LocalRunner(), tag)
        self.log = folder / "log"
        remove = f"remove() {{ echo \"$1 $2\" >>'{self.log}'; {'false' if fails else 'true'}; }}\n"
        self.removal = f"{remove}cache_folder() {{ echo /c; }}\n"  # type: ignore[misc]

    @property
    def removed(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    cache = ""

    def free_id(self, wanted: str, taken: Collection[str]) -> str:
        return wanted

    def create(self, ct: str, os_template: str, setup: Setup) -> None: ...

    def start(self, ct: str) -> None: ...

    def stop(self, ct: str) -> None: ...

    def exec_argv(self, ct: str, command: str, *, network: bool = False) -> list[str]:
        return []

    def mounted(self, ct: str) -> AbstractContextManager[str]:
        raise NotImplementedError

    def explain(self, ct: str, done: Done) -> str:
        return ""

    def no_way_out(self, ct: str, os_template: str) -> str:
        return ""

    def how_to_enter(self, ct: str) -> str:
        return ""


@pytest.fixture()
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "builds"
    monkeypatch.setattr(guardian, "RECORDS", str(folder))
    return folder


def test_the_guardian_removes_what_is_owned_and_its_record(records: Path, tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, "t1")
    with guarded(notebook) as guard:
        assert guard.own("101") and guard.own("102")
        assert (records / "t1").read_text().splitlines() == ["cache /c", "own 101", "own 102"]
    assert notebook.removed == ["101 t1", "102 t1"] and list(records.iterdir()) == []


def test_two_builds_do_not_take_one_identifier(records: Path, tmp_path: Path) -> None:
    one, two = Notebook(tmp_path, "t1"), Notebook(tmp_path, "t2")
    with guarded(one) as first, guarded(two) as second:
        assert first.own("101") and not second.own("101") and second.own("102")
    assert sorted(one.removed) == ["101 t1", "102 t2"]


def test_after_a_failure_too(records: Path, tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, "t1")
    with pytest.raises(KeyboardInterrupt), guarded(notebook) as guard:
        guard.own("101")
        raise KeyboardInterrupt
    assert notebook.removed == ["101 t1"]


def test_keep_leaves_the_container_and_no_record(records: Path, tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, "t1")
    with guarded(notebook) as guard:
        guard.own("101")
        guard.keep()
    assert notebook.removed == [] and list(records.iterdir()) == []


def test_what_cannot_be_removed_is_named_beside_the_first_error(records: Path, tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, "t1", fails=True)
    with pytest.raises(BuildError, match=r"^the first\nand what .*not removed: 101"), guarded(notebook) as guard:
        guard.own("101")
        raise BuildError("the first")
    assert (records / "t1").exists()


@pytest.mark.parametrize("first", [KeyboardInterrupt, HostError])
def test_issue_8_16_what_cannot_be_removed_hides_no_first_error(
    first: type[BaseException], records: Path, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path, "t1", fails=True)
    with pytest.raises(first) as caught, guarded(notebook) as guard:
        guard.own("101")
        raise first
    assert "not removed: 101" in "".join(failures(caught.value))


def test_issue_8_15_a_node_that_calls_each_identifier_taken_stalls_no_build(tmp_path: Path) -> None:
    def never(_ct: str) -> bool:
        return False

    for kind in (LxcDriver(LocalRunner(), "t1"), Notebook(tmp_path, "t1")):
        made = object.__new__(NodeGuest)
        made.driver, made.guardian = kind, SimpleNamespace(own=never)  # type: ignore[assignment]
        with pytest.raises(BuildError, match=r"another build|was taken meanwhile"):
            made.create("template", "101", Setup(), ())


def test_issue_8_16_an_unmounting_that_fails_hides_no_first_error() -> None:
    class Busy(LocalRunner):
        def run(self, argv: Sequence[str], **_: object) -> Done:  # type: ignore[override]
            return Done(40, "", "busy") if argv[:2] == ["vzctl", "umount"] else Done(0, "/vz/root/101\n", "")

    with pytest.raises(HostError, match=r"^the first\nand what .*vzctl umount"), VzDriver(Busy(), "t").mounted("101"):
        raise HostError("the first")


def test_a_builder_that_is_killed(records: Path, tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.unit.guests.node.test_node import Notebook
from vmgen_build.guests.node import guardian
guardian.RECORDS = sys.argv[1]
with guardian.guarded(Notebook(Path(sys.argv[2]), "t1")) as guard:
    guard.own("101")
    print("owned", flush=True)
    time.sleep(60)
"""
    words = [sys.executable, "-c", program, str(records), str(tmp_path), str(Path(__file__).parents[4])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "owned\n"
        process.kill()
    end = time.monotonic() + 20
    while list(records.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert Notebook(tmp_path, "t1").removed == ["101 t1"]


def test_a_record_without_a_guardian_is_reaped_and_one_with_its_own_is_not(records: Path, tmp_path: Path) -> None:
    records.mkdir()
    (records / "dead").write_text("own 103\n")
    living, other = Notebook(tmp_path, "living"), Notebook(tmp_path, "other")
    with guarded(living) as guard:
        guard.own("104")
        assert reap(other) == ["dead"]
        assert other.removed == ["103 dead"] and (records / "living").exists()
    assert reap(other) == []


def test_a_record_of_another_drivers_container_stays_for_that_driver(records: Path) -> None:
    records.mkdir()
    (records / "of-vzctl").write_text("own 103\n")
    (records / "of-lxc").write_text("own vmgen-of-lxc\n")
    assert reap(lxcnode.LxcDriver(LocalRunner(), "look")) == ["of-lxc"]
    assert [path.name for path in records.iterdir()] == ["of-vzctl"]
    (records / "of-lxc").write_text("own vmgen-of-lxc\n")
    (records / "of-vzctl").unlink()
    assert reap(vzctl.VzDriver(LocalRunner(), "look")) == []
    assert [path.name for path in records.iterdir()] == ["of-lxc"]


def run(step_output: bytes, tmp_path: Path) -> tuple[list[str], guest._Listener]:
    lines: list[str] = []
    listener = guest._Listener("n0", lines.append, "ssh://root@node")
    text = b"n0 loaded 0\n" + step_output + b"\nn0 ended 3\n"
    for line in text.decode().splitlines():
        listener(line)
    return lines, listener


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        (b"", []),
        (b"one\n", ["one"]),
        (b"one", ["one"]),
        (b"one\n\ntwo\n\n", ["one", "", "two", ""]),
        (b"\n\none\n", ["", "", "one"]),
    ],
)
def test_the_loaders_own_lines_are_taken_out(written: bytes, seen: list[str], tmp_path: Path) -> None:
    lines, listener = run(written, tmp_path)
    assert lines == seen and (listener.loaded, listener.ended) == (0, 3)


@pytest.fixture()
def plan() -> Plan:
    base = Bootstrapped("mmdebstrap", "debian", "bookworm", "amd64", (), "r", 0)
    parent, steps = base.id, []
    for name, installs in (
        ("repositories", False),
        ("packages-devel", True),
        ("system", False),
        ("script-x", False),
        ("generalise", False),
    ):
        steps.append(Step(name=name, title="", script=name, network=True, installs=installs).chained(parent))
        parent = steps[-1].id
    return Plan("lab", "lab.ini", "0", "openvz", "debian-12", "amd64", 0, base, tuple(steps), {})


def test_the_os_template_after_the_packages_is_what_is_kept(plan: Plan) -> None:
    assert workshop._last_of_packages(plan.steps) == plan.steps[1].id
    assert workshop._last_of_packages(plan.steps[2:]) == ""


def test_an_os_template_holds_all_stages_up_to_its_own(plan: Plan) -> None:
    name = workshop.layer_name(plan, plan.steps[1].id)
    assert name == f"debian-12-x86_64-vmgen-{plan.steps[1].id[:16]}"
    assert workshop.last_kept_stage(plan, {name}) == 2
    assert workshop.last_kept_stage(plan, set()) == -1
    base = OsTemplate("debian-12-x86_64", "0" * 64, "debian", "bookworm", "amd64", (), 0)
    foreign = replace(plan, base=base)
    assert workshop.last_kept_stage(foreign, {"debian-12-x86_64"}) == 0


@pytest.fixture()
def stored(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[bytes]]:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("x")

    def store(name: str) -> subprocess.CompletedProcess[bytes]:
        words = ["bash", "-c", driver.STORE, "bash", str(tmp_path / "cache"), name, ".part", str(root)]
        return subprocess.run(words, capture_output=True)

    return store


def test_of_our_os_templates_the_oldest_go(
    stored: Callable[[str], subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert stored("debian-12-x86_64.tar.gz").returncode == 0
    for number in range(driver.KEPT + 2):
        assert stored(f"debian-12-x86_64-vmgen-{number:016x}.tar.gz").returncode == 0
    names = {path.name for path in cache.iterdir()}
    assert len(names) == driver.KEPT + 1 and "debian-12-x86_64.tar.gz" in names
    assert "debian-12-x86_64-vmgen-0000000000000000.tar.gz" not in names


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("way", ["stored as an OS template", "brought home"])
def test_acls_of_a_packed_root_hold_numbers(way: str, tmp_path: Path) -> None:
    """The ACL, as linux/posix_acl_xattr.h has it, names the group 4, which is adm on every Debian."""
    acl = "0200000001000700ffffffff04000500ffffffff080005000400000010000500ffffffff20000500ffffffff"
    root, goal = tmp_path / "root", tmp_path / "x.tar.gz"
    (root / "journal").mkdir(parents=True)
    os.setxattr(root / "journal", "system.posix_acl_access", bytes.fromhex(acl))
    if way == "brought home":
        with goal.open("wb") as file:
            subprocess.run(["bash", "-c", workshop._PACK, "bash", root, "gzip"], stdout=file, check=True)
    else:
        subprocess.run(["bash", "-c", driver.STORE, "bash", tmp_path, goal.name, ".part", root], check=True)
    with tarfile.open(goal) as tar:
        header = tar.getmember("./journal").pax_headers
    assert header["SCHILY.acl.access"].split() == ["user::rwx", "group::r-x", "group:4:r-x", "mask::r-x", "other::r-x"]


def test_an_os_template_cut_short_is_not_stored(tmp_path: Path) -> None:
    words = ["bash", "-c", driver.STORE, "bash", str(tmp_path / "cache"), "t.tar.gz", ".part", ""]
    done = subprocess.run(words, input=b"\x1f\x8b\x08 cut", capture_output=True)
    assert done.returncode != 0 and list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("kind", [lxcnode.LxcDriver, vzctl.VzDriver])
def test_what_a_node_lacks_is_named_at_once(kind: type[Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    node = kind(LocalRunner(), "tag")
    monkeypatch.setattr(node, "has", lambda program: program not in (kind.programs[0], "flock"))
    with pytest.raises(HostError, match=f"this host lacks {kind.programs[0]}, flock; install that there"):
        node.check()
    monkeypatch.setattr(node, "has", lambda program: True)
    node.check()


@pytest.mark.parametrize(
    ("there", "here", "packer"), [(True, True, "zstd"), (True, False, "gzip"), (False, True, "gzip")]
)
def test_a_root_comes_home_by_what_both_hosts_have(
    there: bool, here: bool, packer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Notebook(tmp_path, "tag")
    node.runner = Mock(spec=SshRunner)
    monkeypatch.setattr(node, "has", lambda program: there)
    monkeypatch.setattr(workshop, "find_program", lambda program: f"/usr/bin/{program}" if here else None)
    assert workshop._packer(node) == packer
