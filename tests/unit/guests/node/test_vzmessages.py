"""What is shown of a vzctl that fails: the lines with the cause, and what its exit code means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmgen_build.errors import TIMED_OUT, BuildError, StepFailed
from vmgen_build.guests.model import StepResult
from vmgen_build.guests.node import vzctl
from vmgen_build.guests.node.driver import Setup
from vmgen_build.guests.node.guest import NodeGuest
from vmgen_build.guests.node.lxcnode import LxcDriver
from vmgen_build.guests.node.vzctl import VzDriver
from vmgen_build.guests.node.vzmessages import MEANS, causes
from vmgen_build.guests.runners import Done, LocalRunner
from vmgen_build.plan.model import Step

NO_PROC_VZ = "Directory /proc/vz not found, assuming non-OpenVZ kernel\n"
FAILED = "Creation of container private area failed\n"


class Answering(LocalRunner):
    """A node on which each call of vzctl ends as `answers` says of its verb; all else ends well."""

    def __init__(self, **answers: Done) -> None:
        super().__init__()
        self.answers = answers

    def run(self, argv: Sequence[str], **_: Any) -> Done:
        verb = next((word for word in argv[1:] if not word.startswith("-")), "")
        return self.answers.get(verb, Done(0, "", "")) if argv[0] == "vzctl" else Done(0, "", "")


@pytest.mark.parametrize(
    ("out", "err", "shown"),
    [
        (NO_PROC_VZ, f"Unable to create directory /vz/private/101.tmp: Read-only file system\n{FAILED}", None),
        ("", "Locked by: pid 812, cmdline vzctl start 101\nContainer already locked\n", "Locked by: pid 812, cmdline"),
        ("Container is currently mounted (umount first)\n", "", "Container is currently mounted (umount first)"),
        (f"{NO_PROC_VZ}User create script /etc/vz/conf/vps.create exited with error\n", FAILED, "User create script"),
        (NO_PROC_VZ, FAILED, "Creation of container private area failed"),
        (NO_PROC_VZ, "", "exit code 50"),
        ("", "one\n\n two\nthree\nfour\n", "two; three; four"),
        ("", "\x1b[31mred\x1b[0m\u202e\n", "red"),
    ],
)
def test_the_lines_with_the_cause_are_shown(out: str, err: str, shown: str | None) -> None:
    found = causes(Done(50, out, err))
    assert found.startswith(shown or "Unable to create directory /vz/private/101.tmp: Read-only file system")
    assert "proc/vz" not in found and found.isprintable()


def test_what_is_shown_is_bounded_and_gives_no_password_away() -> None:
    assert len(causes(Done(3, "", "x" * 500_000 + "\n" + "y\n" * 100_000 + "z" * 500_000))) < 1000
    locked = "Locked by: pid 9, cmdline vzctl set 101 --userpasswd root:se cret --save\nContainer already locked\n"
    assert causes(Done(9, "", locked)) == "Locked by: pid 9, cmdline vzctl set 101 --userpasswd root:***"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (28, "CONFIGFILE) lacks limits that a container must have: name a whole one"),
        (34, "the node's kernel does not take its address: load its module vznetdev"),
        (50, "cannot be mounted: is something mounted on its root"),
        (51, "cannot be unmounted: end what still uses its root"),
    ],
)
def test_the_message_names_the_cause_and_what_to_do(code: int, meaning: str) -> None:
    node = VzDriver(Answering(create=Done(code, NO_PROC_VZ, f"Can't do: it\n{FAILED}")), "t")
    with pytest.raises(BuildError) as caught:
        node.create("101", "debian-12-x86_64", Setup())
    assert f"this host: vzctl create 101 ended with {code}: " in str(caught.value) and meaning in str(caught.value)
    assert str(caught.value).endswith("; it says: Can't do: it")
    assert meaning in MEANS[code]


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        ("exist mounted running", 3, "shell in the container was killed"),
        ("exist mounted running", 128 + 9, "shell in the container was killed"),
        ("exist unmounted down", 3, "the node's kernel or vzctl refused it"),
        ("exist unmounted down", 31, "the container does not run"),
        ("exist mounted running", 9, "another vzctl holds the container's lock"),
        ("deleted unmounted down", 14, "the container is gone"),
    ],
)
def test_a_killed_shell_is_no_refusal_of_the_node(status: str, code: int, meaning: str) -> None:
    node = VzDriver(Answering(status=Done(0, f"CTID 101 {status}\n", "")), "t")
    text = node.explain("101", Done(code, "", ""))
    assert meaning in text and f"(CTID 101 {status}; vzctl exec2 ended with {code})" in text
    assert ("[hardware] ram" in text) is ("killed" in meaning)


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        ("ifconfig\nroute\n", "the OS template debian-12-x86_64 lacks ifconfig and route, by which vzctl sets"),
        ("route\nand more\n", "the OS template debian-12-x86_64 lacks route, by"),
        ("", "the node must forward it"),
        ("\x1b]0;title\x07", "the node must forward it"),
    ],
)
def test_a_container_that_lacks_the_tools_for_its_route(answer: str, meaning: str) -> None:
    node = VzDriver(Answering(exec2=Done(0, answer, "")), "t")
    text = node.no_way_out("101", "debian-12-x86_64")
    assert meaning in text and ("net-tools" in text) is ("lacks" in text)
    assert "venet" not in LxcDriver(LocalRunner(), "t").no_way_out("vmgen-t", "x")


def test_what_is_asked_of_a_container_without_a_way_out(tmp_path: Path) -> None:
    """In this host's own namespace, whatever its route is: tools are looked for where there is none."""
    (tmp_path / "route").write_text("#!/bin/sh\n")
    (tmp_path / "route").chmod(0o755)
    for table, lacking in (("Iface Destination Gateway\nvenet0 00000000 0\n", []), ("Iface\n", ["ifconfig"])):
        (tmp_path / "table").write_text(table)
        script = vzctl._LACKING.replace("/proc/net/route", str(tmp_path / "table"))
        done = LocalRunner().run(["/bin/sh", "-c", f"PATH={tmp_path}\n{script}"])
        assert (done.code in (0, 1), done.out.split()) == (True, lacking)


class Cut(NodeGuest):
    """A guest in which no index can be fetched."""

    def __init__(self, driver: VzDriver, timed_out: bool) -> None:
        self.driver, self.ct, self._os_template, self._timed_out = driver, "101", "debian-12-x86_64", timed_out
        self.after, self._indexes, self.plan = (), None, SimpleNamespace(steps=())  # type: ignore[assignment]
        self.supply = SimpleNamespace(fetch_indexes=lambda _folder: "")  # type: ignore[assignment]

    def run_step(self, step: Step, output: Any) -> StepResult:
        return StepResult(step, TIMED_OUT if self._timed_out else 100, ("E: no route",), self._timed_out)


@pytest.mark.parametrize("timed_out", [False, True])
def test_the_advice_names_what_the_container_lacks(timed_out: bool) -> None:
    driver = VzDriver(Answering(exec2=Done(0, "ifconfig\nroute\n", "")), "t")
    with pytest.raises(StepFailed) as caught:
        Cut(driver, timed_out)._fetch_indexes(lambda _line: None)
    assert "lacks ifconfig and route" in caught.value.hint and "must forward" not in str(caught.value)
    assert ("took longer" in str(caught.value)) is timed_out
