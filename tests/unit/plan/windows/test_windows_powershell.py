"""The PowerShell of every generation, read by tree-sitter's grammar of it."""

from __future__ import annotations

import base64
import re

import pytest
import tree_sitter
import tree_sitter_powershell

from tests.unit.plan.windows.conftest import GENERATIONS, WindowsPlanner
from vmgen_build.plan.model import Plan

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
ENCODED = re.compile(r"powershell .*-EncodedCommand (\S+)")


def scripts(plan: Plan) -> dict[str, str]:
    """All of a plan, by the step and the file or the number of the command."""
    found = {}
    for step in plan.steps:
        for number, data in enumerate(ENCODED.findall(step.script)):
            found[f"{step.name} {number}"] = base64.b64decode(data, validate=True).decode("utf-16-le")
        for file in step.files:
            if file.name.endswith(".ps1") and file.content is not None:
                found[f"{step.name} {file.name}"] = file.content.decode("utf-8-sig")
    return found


def errors(script: str) -> list[str]:
    """The texts that the grammar has no place for."""
    left = [PARSER.parse(script.replace("\r\n", "\n").encode()).root_node]
    found = []
    while left:
        node = left.pop()
        left += node.children
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {(node.text or b'').decode()[:200]}")
    return found


@pytest.mark.parametrize(("generation", "os"), GENERATIONS.items())
def test_every_script_is_powershell(windows: WindowsPlanner, generation: str, os: str) -> None:
    found = scripts(windows(os, every=True))
    assert bool(found) == (generation != "xp")
    assert {name: wrong for name, script in found.items() if (wrong := errors(script))} == {}


@pytest.mark.parametrize("os", ["win10-pro", "winsrv2022"])
def test_so_are_those_that_a_recipe_has_to_ask_for(windows: WindowsPlanner, os: str) -> None:
    found = scripts(windows(os, "[config]\nupdates = now\npackages = ./chocolatey.2.4.1.nupkg\n"))
    assert {"chocolatey chocolatey.ps1", "updates-1 updates.ps1"} <= set(found)
    assert {name: wrong for name, script in found.items() if (wrong := errors(script))} == {}


LATER = re.compile(
    r"-(?:not)?in\b|-Raw\b|\[ordered\]|\[pscustomobject\]|\$PSItem\b|\w+-(?:Cim|Local|Net)\w+|@\w+", re.I
)
"""What PowerShell 2.0, of Windows 7 and Server 2008 R2, does not have, and splatting, which no script for it needs."""


def test_windows_7_gets_what_its_powershell_has(windows: WindowsPlanner) -> None:
    found = scripts(windows("win7", every=True))
    found |= scripts(windows("win7", "[config]\nupdates = now\npackages = ./chocolatey.2.4.1.nupkg\n"))
    assert {"users users.ps1", "clean clean.ps1", "updates-1 updates.ps1", "chocolatey chocolatey.ps1"} <= set(found)
    assert {name: LATER.findall(script) for name, script in found.items() if LATER.search(script)} == {}
    assert LATER.search("if (1 -notin 2, 3) {") and LATER.search("Get-LocalUser")


def test_so_is_a_line_of_batch(windows: WindowsPlanner) -> None:
    found = scripts(windows("win7", "[network]\n[[open_ports]]\n[[[a]]]\nport = 22\ndescription = ș\n"))
    assert errors(found["firewall 0"]) == []


def test_so_is_that_of_winget(windows: WindowsPlanner) -> None:
    base = "base = vm:golden\nlogin = Administrator\nlogin_password = x\n"
    found = scripts(windows("win11", f"{base}[config]\npackages = winget:A.B=1.0, winget:C\n"))
    assert errors(found["packages-winget winget.ps1"]) == []


def test_what_is_no_powershell_is_found() -> None:
    assert errors("if ($x) {\nGet-Item 'a\n") != []
    assert errors("Get-Item 'a'\n") == []
