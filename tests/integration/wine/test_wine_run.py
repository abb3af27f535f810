"""The medium that makes a Windows by hand, under Wine: run.bat begins as the answer file starts it, stops at what
fails, goes on as the task starts it, and leaves nothing of ours. No Windows was ever started with one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.wine.prefix import Call, Rule, Windows, is_wines_fault
from vmgen_build.backends.registry import backend_named
from vmgen_build.build.media import media_of, write_media
from vmgen_build.plan.context import Facts
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

RECIPE = """
[hardware]
    vm_id = lab
    os = OS
    base = iso:setup.iso
    tools = tools.msi
[users]
    [[groups]]
        [[[students]]]
            name = students
    [[users]]
        [[[ana]]]
            name = ana
            passwd = canary-ana
            groups = students
[config]
    hostname = lab-pc
    root_passwd = canary-root
    [[scripts]]
        [[[one]]]
            run = net start one
        [[[two]]]
            run = net start two
"""

OTHERS = ("expand", "format", "reg", "rundll32", "wevtutil")
RULES = (
    Rule("wmic", "get NetConnectionID", output="\nNetConnectionID=Local Area Connection\n"),
    Rule("reg", "ComputerName\\ComputerName", output="\n    ComputerName    REG_SZ    lab-pc\n"),
    Rule("reg", "/v ImageState", output="\n    ImageState    REG_SZ    IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE\n"),
    Rule("wmic", "get NumberOfRecords", output="\nNumberOfRecords=0\n"),
    Rule("wevtutil", "get-loginfo", output="numberOfLogRecords: 1\n"),
)
TEMP = r"C:\Windows\Temp"
OURS = ("vmgen", "vmgen-setup", "vmgen.log")
FIRST = {"winvista": "/r /f /t 0", "winxppro": "-r -f -t 0"}
LAST = {"winvista": "/s /f /t 0", "winxppro": "-s -f -t 0"}


class Machine:
    """A Windows with the media in its drives, as they are behind Setup."""

    def __init__(self, wine: Windows, os: str, cd: Path, floppy: Path | None) -> None:
        self.wine, self.os, self.cd, self.floppy = wine, os, cd, floppy
        self.calls: list[Call] = []
        self.task = ""

    @property
    def first_logon(self) -> str:
        if self.floppy is not None:
            text = (self.floppy / "winnt.sif").read_text()
            return re.findall(r'^Command0 = "(.*)"\s*$', text, re.MULTILINE)[0]
        found = ElementTree.parse(self.cd / "autounattend.xml").iter("{urn:schemas-microsoft-com:unattend}CommandLine")
        return next(found).text or ""

    def run(self, line: str, *rules: Rule) -> int:
        code, calls = self.wine.run(line, (*rules, *RULES), OTHERS)
        self.calls = list(calls)
        print(code, self.words, self.log if self.file("vmgen.log").exists() else "")
        for call in calls:
            if call.program == "schtasks" and call.argv[0] == "/create":
                self.task = call.argv[call.argv.index("/tr") + 1]
        return code

    @property
    def words(self) -> list[str]:
        return [" ".join((call.program, *call.argv)) for call in self.calls]

    def file(self, name: str) -> Path:
        return self.wine.path(f"{TEMP}\\{name}")

    @property
    def log(self) -> str:
        return self.file("vmgen.log").read_bytes().decode("cp437").replace("\r\n", "\n")


@pytest.fixture(params=["winvista", "winxppro"])
def machine(request: pytest.FixtureRequest, wine: Windows, tmp_path: Path) -> Iterator[Machine]:
    """Its CD, and floppy, as other programs read them."""
    os: str = request.param
    (tmp_path / "setup.iso").write_bytes(bytes(32769) + b"CD001\1\0" + bytes(4096))
    (tmp_path / "tools.msi").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "lab.ini").write_text(RECIPE.replace("OS", os))
    recipe = load(tmp_path / "lab.ini")
    plan = make_plan(recipe, "vmware", backend_named("vmware").part(recipe, None), Facts("release", 1700000000), None)
    written = write_media(media_of(recipe, plan, None), plan, tmp_path)
    cd, floppy = tmp_path / "cd", tmp_path / "floppy" if os == "winxppro" else None
    assert len(written.paths) == (2 if floppy else 1), written
    subprocess.run(["7z", "x", f"-o{cd}", written.paths[0]], check=True, capture_output=True)
    if floppy is not None:
        floppy.mkdir()
        subprocess.run(["mcopy", "-s", "-i", written.paths[1], "::/", floppy], check=True, capture_output=True)
    for name in OURS:
        shutil.rmtree(wine.path(f"{TEMP}\\{name}"), ignore_errors=True)
        wine.path(f"{TEMP}\\{name}").unlink(missing_ok=True)
    for folder in (wine.drive / "sysprep", wine.path(r"C:\Windows\System32\Sysprep")):
        folder.mkdir(exist_ok=True)
        shutil.copy(wine.folder / "stub.exe", folder / "sysprep.exe")
    with wine.drive_letter("e", cd), wine.drive_letter("a", floppy or cd):
        yield Machine(wine, os, cd, floppy)


def test_all_steps_run_in_their_order_and_nothing_of_ours_is_left(machine: Machine) -> None:
    assert machine.run(machine.first_logon) == 0
    assert machine.words[-2:] == [r"msiexec /i files\tools.msi /qn /norestart", f"shutdown {FIRST[machine.os]}"]
    assert machine.task.startswith("cmd /d /c for %v in (D E F G") and machine.task.endswith("run.bat task")
    assert machine.run(machine.task) == 0
    assert machine.words[-1] == f"shutdown {FIRST[machine.os]}"
    assert any(word.startswith("wmic computersystem") for word in machine.words)
    assert not any(word.startswith("schtasks") for word in machine.words)
    assert machine.run(machine.task) == 0
    found = [word for word in machine.words if not word.startswith(("wevtutil", "netsh", "wmic", "reg"))]
    assert found[:2] == ["net localgroup students /add", "net user ana canary-ana /add /y"]
    steps = [word for word in found if word.startswith(("net start", "sysprep", "schtasks", "shutdown"))]
    assert steps[:2] == ["net start one", "net start two"]
    assert steps[2].startswith("sysprep ")
    assert steps[3:] == ["schtasks /delete /tn vmgen-build /f", f"shutdown {LAST[machine.os]}"]
    assert [name for name in OURS if machine.file(name).exists()] == []


def behind_the_restarts(machine: Machine, *rules: Rule) -> int:
    for line in (machine.first_logon, machine.task):
        assert machine.run(line or machine.task) == 0
    return machine.run(machine.task, *rules)


def test_a_step_that_fails_stops_it_and_is_where_it_goes_on(machine: Machine) -> None:
    assert behind_the_restarts(machine, Rule("net", "localgroup students ana", code=2)) != 0
    assert machine.words[-2:] == ["net localgroup students ana /add", "schtasks /delete /tn vmgen-build /f"]
    assert "vmgen-build: step 02-users ended with code 2 (command " in machine.log
    assert r'Start "E:\vmgen\run.bat" to go on' in machine.log
    assert "canary" not in machine.log
    assert not machine.file("vmgen").exists()
    machine.task = ""
    assert machine.run(r"cmd /d /c E:\vmgen\run.bat") == 0
    assert machine.task and "net start two" in machine.words
    assert [name for name in OURS if machine.file(name).exists()] == []


@pytest.mark.parametrize("script", ["@exit /b 0\r\n", r"@echo 1 done>C:\Windows\Temp\vmgen\done" + "\r\n"])
def test_a_step_without_this_runs_stamp_has_failed(machine: Machine, script: str) -> None:
    path = machine.cd / "vmgen" / "03-network" / "script.bat"
    path.chmod(0o600)
    path.write_bytes(script.encode())
    assert behind_the_restarts(machine) != 0
    assert "vmgen-build: step 03-network ended with code 1 " in machine.log
    assert not any(word.startswith("net start") for word in machine.words)


def test_a_restart_that_a_script_asks_for(machine: Machine) -> None:
    assert behind_the_restarts(machine, Rule("net", "start one", code=3010)) == 0
    assert machine.words[-2:] == ["net start one", f"shutdown {FIRST[machine.os]}"]
    assert machine.run(machine.task) == 0
    assert [word for word in machine.words if word.startswith("net ")] == ["net start two"]


def test_a_step_that_was_cut_off_runs_again_anew(machine: Machine) -> None:
    assert behind_the_restarts(machine, Rule("net", "start one", code=3010)) == 0
    machine.file("vmgen-setup\\next.txt").write_bytes(b"next 3 \r\n")
    (machine.file("vmgen") / "secrets").mkdir(parents=True)
    (machine.file("vmgen") / "secrets" / "left").write_bytes(b"canary")
    assert machine.run(machine.task, Rule("net", "user ana", code=7)) != 0
    assert machine.words[:1] == ["net localgroup students /add"]
    assert not machine.file("vmgen").exists()


def test_restarts_are_bounded(machine: Machine) -> None:
    assert machine.run(machine.first_logon) == 0
    machine.file("vmgen-setup\\starts.txt").write_bytes(b"starts 13 \r\n")
    assert machine.run(machine.task) != 0
    assert machine.words == ["schtasks /delete /tn vmgen-build /f"]
    assert "vmgen-build: more than 13 restarts" in machine.log


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("reg add HKLM\\Software /f", True),
        ('"reg.exe" query HKLM', True),
        ("cmd /d /c exit 0", True),
        ("netsh firewall", True),
        ("nosuchprogram /x", False),
        ("regnosuch add", False),
    ],
)
def test_a_program_that_is_there_and_not_started_is_a_fault_of_wines(line: str, found: bool) -> None:
    text = f"Can't recognize '{line}' as an internal or external command, or batch script."
    assert is_wines_fault(f"begun\n{text}\n") is found
    assert is_wines_fault(json.dumps({"line": text})) is found
    assert not is_wines_fault(line)
