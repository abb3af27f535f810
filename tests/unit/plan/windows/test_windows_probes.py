"""What a Windows is asked for: a question for each setting, in one script that is sound batch and PowerShell."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plan.windows.conftest import GENERATIONS, MORE, WindowsPlanner
from tests.unit.plan.windows.test_windows_powershell import errors
from tests.unit.plan.windows.test_windows_steps import EVERY_OS, SECRETS
from vmgen_build.artifacts.checked import checked_manifest
from vmgen_build.artifacts.manifest import FORMAT
from vmgen_build.plan import windowsprobe
from vmgen_build.plan.model import Plan, Probe
from vmgen_build.plan.text.batchlint import findings
from vmgen_build.plan.text.batchprobes import answers_in, asking_scripts, can_be_asked, holds
from vmgen_build.plan.windowsprobe import setup_probe
from vmgen_build.resources import templates_dir
from vmgen_build.systems.model import System

NONCE = "0123456789abcdef"

EVERYWHERE = {
    *("volume-E", "hostname", "timezone", "step-folder", "locale", "keyboard", "group-students"),
    *("user-ana", "user-ana-home", "user-ana-students", "user-ana-administrators", "user-bob", "user-Administrator"),
    *("eth0-10.0.0.2", "eth0-gateway-10.0.0.1", "eth0-dns4", "eth1-10.1.0.2", "eth1-10.1.0.3", "eth2-down"),
    *("ip-routing", "firewall-StandardProfile", "firewall-tcp-8000-8001", "firewall-udp-8000-8001"),
    *("registry-fDenyTSConnections", "registry-NoAutoUpdate", "file-motd", "answers-gone"),
}


def probes_of(plan: Plan) -> dict[str, Probe]:
    found = plan.all_probes()
    assert len({probe.name for probe in found}) == len(found)
    return {probe.name: probe for probe in found}


@pytest.mark.parametrize("os", EVERY_OS)
def test_every_setting_of_every_edition_is_asked_for(windows: WindowsPlanner, os: str) -> None:
    plan = windows(os.removesuffix("-amd64") if os.startswith("win11") else os, every=True)
    probes = probes_of(plan)
    assert EVERYWHERE - probes.keys() == set()
    assert {probe.kind for probe in probes.values()} <= {"batch", "powershell"}
    assert all(probe.expected and can_be_asked(probe) for probe in probes.values())
    batch, powershell = asking_scripts([setup_probe(plan.system), *probes.values()], NONCE)
    assert findings(batch.encode("ascii"), stamped=False) == []
    assert not powershell or errors(powershell) == []
    assert bool(powershell) == (plan.system.generation == "nt10")
    assert not [secret for secret in SECRETS for text in (batch, powershell, repr(plan)) if secret in text]


@pytest.mark.parametrize("os", ["win7", "win10-pro"])
def test_what_is_installed_is_asked_for(windows: WindowsPlanner, os: str) -> None:
    text = "[config]\npackages = git=2.40.0, vlc\npackages_remove = foo\npackages_hold = git\n"
    probes = probes_of(windows(os, text))
    assert {"package-git", "package-vlc", "removed-foo", "held-git"} <= probes.keys()
    assert "<version>2.40.0</version>" in probes["package-git"].script


@pytest.mark.parametrize("os", ["win7", "winsrv2008r2", "win10-pro", "winsrv2022"])
def test_so_is_what_stands_beside_that(windows: WindowsPlanner, os: str) -> None:
    probes = probes_of(windows(os, MORE))
    assert {"eth0-fd00::2", "eth0-gateway-fd00::1", "eth0-dns6", "eth1-dhcp"} <= probes.keys()
    batch, powershell = asking_scripts(list(probes.values()), NONCE)
    assert findings(batch.encode("ascii"), stamped=False) == []
    assert not powershell or errors(powershell) == []


LETTERS = """\
[network]
[[open_ports]]
[[[web]]]
proto = tcp
port = 80
description = Größe
[[[range]]]
proto = tcp
port = 90-91
description = Größe
[users]
[[users]]
[[[ana]]]
name = ana
passwd = x
full_name = Ana Müller
home_dir = /home/Größe
"""


@pytest.mark.parametrize("os", ["win7", "win8.1", "winsrv2012", "win10-pro"])
def test_letters_that_batch_does_not_carry_are_asked_for_by_powershell(windows: WindowsPlanner, os: str) -> None:
    probes = probes_of(windows(os, LETTERS))
    asked = [probes[name] for name in ("firewall-tcp-80", "firewall-tcp-90-91", "user-ana", "user-ana-home")]
    assert {probe.kind for probe in asked} == {"powershell"}
    assert "FullName=Ana Müller" in probes["user-ana"].expected
    assert all("Größe" in probe.script for probe in asked[:2])
    batch, powershell = asking_scripts(asked, NONCE)
    assert findings(batch.encode("ascii"), stamped=False) == []
    assert errors(powershell) == []


def test_vista_has_no_dism_to_ask(windows: WindowsPlanner) -> None:
    assert not [name for name in probes_of(windows("winvista", MORE)) if name.startswith("feature-")]


def test_every_template_of_a_question_is_for_something(windows: WindowsPlanner) -> None:
    """Each is the question of a plan, or a part of one."""
    systems = [*GENERATIONS.values(), "winsrv2003", "winsrv2008r2"]
    asked: set[str] = set()
    before = windowsprobe.template_names

    def noted(system: System, name: str) -> tuple[str, ...]:
        found = before(system, name)
        asked.add(next(one for one in found if (templates_dir() / one).exists()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowsprobe, "template_names", noted)
        for os in systems:
            windows(os, every=True)
            windows(os, re.sub(", fd00::.*", "", MORE) if "xp" in os or "2003" in os else MORE)
        windows("win7", LETTERS)
    parts = {f"windows/xp/probes/{name}.bat.j2" for name in ("card", "items")}
    there = {str(path.relative_to(templates_dir())) for path in templates_dir().glob("windows/*/probes/*.j2")}
    assert asked | parts == there


@pytest.mark.parametrize("os", GENERATIONS.values())
def test_a_manifest_carries_the_questions(windows: WindowsPlanner, os: str) -> None:
    found = [probe.as_dict() for probe in windows(os, every=True).all_probes()]
    data = {"format": FORMAT, "name": "lab", "os": "win7", "arch": "amd64", "backend": "vmware", "files": []}
    assert checked_manifest({**data, "probes": found}, FORMAT)["probes"] == found


def answer(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)


def test_answers_stand_between_the_lines_of_the_script() -> None:
    text = answer(
        "noise",
        f"answer {NONCE} 0 begin",
        "  a b ",
        "",
        f"glued answer {NONCE} 0 end",
        "noise",
        f"answer {NONCE} 1 begin",
        f"answer {NONCE} 1 end",
        f"answer {NONCE} 2 begin",
        "cut",
    )
    assert answers_in(text, NONCE) == {0: ("a b", "glued"), 1: ()}


def test_powershell_answers_in_base64() -> None:
    lines = [base64.b64encode(text.encode()).decode() for text in ("Administratör", "x\r\nanswer y", "")]
    text = answer(*(f"answer {NONCE} 3 = {line}" for line in lines), f"answer {NONCE} 3 end")
    assert answers_in(text, NONCE) == {3: ("Administratör", "x", "answer y")}


@pytest.mark.parametrize(
    "line",
    [
        f"answer {NONCE}",
        f"answer {NONCE} 0",
        f"answer {NONCE} -1 end",
        f"answer {NONCE} {'9' * 5000} end",
        f"answer {NONCE} x begin",
        f"answer {NONCE} 0 = ***",
        "answer other 0 end",
        f"answer {NONCE} ٣ end",
    ],
)
def test_what_is_no_line_of_the_script_ends_no_answer(line: str) -> None:
    assert answers_in(answer(line), NONCE) == {}


def test_the_first_end_of_an_answer_counts() -> None:
    text = answer(f"answer {NONCE} 0 begin", "a", *[f"answer {NONCE} 0 end", f"answer {NONCE} 0 begin", "b"] * 2)
    assert answers_in(text, NONCE) == {0: ("a",)}


@given(st.text())
def test_any_output_is_read(text: str) -> None:
    assert answers_in(text, NONCE) == {}
    assert all(
        isinstance(line, str) for lines in answers_in(f"answer {NONCE} 0 begin{text}", NONCE).values() for line in lines
    )


def test_what_is_expected_is_among_the_lines() -> None:
    assert holds("active\nAna B", ("ACTIVE", "ana b", "more"))
    assert not holds("active\nAna B", ("active",))
    assert not holds("0x1", ()) and not holds("0x1", ("0x10",))


@pytest.mark.parametrize("script", ["echo ä", "a\nb", "x" * 9000, "a\x1ab", "a\0"])
def test_a_script_of_others_that_no_batch_file_holds(script: str) -> None:
    assert not can_be_asked(Probe("a", "a", script, "x", "batch"))
