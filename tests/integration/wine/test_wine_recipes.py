"""Whole recipes for Windows: each step's batch runs under Wine, and its programs get what the recipe means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT
from tests.unit.plan.windows.conftest import GENERATIONS, WindowsPlanner, windows  # noqa: F401 - a fixture
from tests.wine.prefix import Call, Ran, Rule, Windows
from vmgen_build.backends.registry import backend_named
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Plan, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

OTHERS = ("control", "expand", "format", "ping", "pkgmgr", "rundll32", "servermanagercmd", "wevtutil", "wusa")
"""Programs that a step starts, beside those that are always stubs."""

POWERSHELL: dict[str, tuple[str, ...]] = {
    GENERATIONS["xp"]: (),
    GENERATIONS["nt6"]: ("users", "clean"),
    GENERATIONS["nt10"]: ("system", "region", "users", "network", "nat", "firewall", "clean"),
}
"""Steps that are scripts of it."""

LINK = "Local Area Connection"

RULES = (
    Rule("wmic", "get NetConnectionID", output=f"\nNetConnectionID={LINK}\n"),
    Rule("reg", "ComputerName\\ComputerName", output="\n    ComputerName    REG_SZ    lab-pc\n"),
    Rule("wmic", "get NumberOfRecords", output="\nNumberOfRecords=1\n"),
    Rule("wevtutil", "get-loginfo", output="creationTime: 2026\nnumberOfLogRecords: 2\noldestRecordNumber: 1\n"),
)


def run(wine: Windows, step: Step, rules: tuple[Rule, ...] = RULES) -> Ran:
    """A step as the tool will run it. reg is a stub for the computer's name alone, which no stub of wmic's changes."""
    files = {f.name: f.source.read_bytes() if f.source else f.content or b"" for f in step.files}
    secrets = {name: secret.reveal().encode() for name, secret in step.secrets.items()}
    more = (*OTHERS, "reg") if step.name == "system" else OTHERS
    return wine.run_step(step.script.encode("ascii"), files, secrets, rules, more)


def named(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)


def words(ran: Ran) -> list[tuple[str, ...]]:
    return [(call.program, *call.argv) for call in ran.calls]


@pytest.fixture(scope="module")
def thesis() -> Plan:
    """The thesis's listing B.2 as it stands."""
    recipe = load(ROOT / "recipes" / "samples" / "thesis-windows-xp.ini")
    return make_plan(recipe, "vmware", backend_named("vmware").part(recipe, None), Facts("release", 1700000000), None)


THESIS: dict[str, list[tuple[str, ...]]] = {
    "drives": [
        ("diskpart", "/s", r"files\drives.txt"),
        ("format", "E:", "/fs:ntfs", "/q", "/y"),
        ("format", "F:", "/fs:ntfs", "/q", "/y"),
    ],
    "system": [
        ("wmic", "computersystem", "where", "name='{name}'", "call", "rename", "name=xp-gen"),
        ("reg", "query", r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName", "/v", "ComputerName"),
    ],
    "users": [
        ("net", "localgroup", "julius", "/add"),
        ("net", "localgroup", "vmg", "/add"),
        ("net", "user", "caesar", "alesia", "/add", "/y"),
        ("net", "user", "caesar", "/expires:never"),
        ("net", "user", "caesar", r"/profilepath:C:\home\caesar"),
        ("net", "localgroup", "julius", "caesar", "/add"),
        ("net", "user", "vv", "P4ssw0rd", "/add", "/y"),
        ("net", "user", "vv", "/expires:never"),
        ("net", "localgroup", "vmg", "vv", "/add"),
        ("net", "user", "Administrator", "pass2", "/y"),
    ],
    "network": [
        ("wmic", "nic", "where", "MACAddress='02:F9:8D:24:34:A3'", "get", "NetConnectionID", "/value"),
        *[
            ("netsh", "interface", "ip", "set", *rest)
            for rest in (
                ("address", LINK, "static", "192.168.1.2", "255.255.255.0", "192.168.1.1", "1"),
                ("dns", LINK, "static", "192.168.1.254"),
            )
        ],
        ("wmic", "nic", "where", "MACAddress='02:0D:68:DE:5E:E7'", "get", "NetConnectionID", "/value"),
        *[
            ("netsh", "interface", "ip", "set", *rest)
            for rest in (
                ("address", LINK, "static", "10.0.0.2", "255.255.255.0", "10.0.0.1", "1"),
                ("dns", LINK, "static", "10.0.0.254"),
            )
        ],
    ],
    "firewall": [
        ("netsh", "firewall", "set", "opmode", "mode=ENABLE"),
        *[
            (
                "netsh",
                "firewall",
                "add",
                "portopening",
                f"protocol={protocol}",
                f"port={port}",
                f"name={name}",
                "mode=ENABLE",
            )
            for protocol, port, name in (("TCP", 22, "ssh"), ("TCP", 65000, "myport"), ("UDP", 65000, "myport"))
        ],
    ],
    "clean": [
        ("fsutil", "file", "createnew", r"C:\vmgen-zero\1", "536870912"),
    ],
    "generalise": [
        *[
            ("wmic", "nteventlog", "where", f"LogfileName='{log}'", *rest)
            for log in ("Application", "Security", "System")
            for rest in (("call", "ClearEventLog"), ("get", "NumberOfRecords", "/value"))
        ],
        ("expand", r"D:\SUPPORT\TOOLS\DEPLOY.CAB", "-F:*", r"C:\sysprep"),
        ("sysprep", "-quiet", "-reseal", "-mini", "-noreboot"),
    ],
}


def test_each_step_of_the_thesis_sample(wine: Windows, thesis: Plan) -> None:
    """IP routing is read back from the registry, which is real."""
    assert [step.name for step in thesis.steps] == list(THESIS)
    for step in thesis.steps:
        rules = (Rule("reg", "ComputerName\\ComputerName", output="\n    ComputerName    REG_SZ    xp-gen\n"), *RULES)
        if step.name == "generalise":
            _give_sysprep(wine)
        ran = run(wine, step, rules)
        assert ran.succeeded, (step.name, ran)
        found = [tuple(word.replace(_own_name(ran), "{name}") for word in line) for line in words(ran)]
        wanted = THESIS[step.name]
        assert found == [line for line in wanted if line[0] != "expand"]
    assert _registry(wine, r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters", "IPEnableRouter") == "0x1"


def test_a_command_that_fails_stops_the_thesis_sample(wine: Windows, thesis: Plan) -> None:
    users = next(step for step in thesis.steps if step.name == "users")
    ran = run(wine, users, (Rule("net", "localgroup julius caesar", code=2),))
    assert (ran.code, ran.stamp) == (2, None)
    assert "vmgen-build: step users: command 7 (net localgroup) ended with code 2" in ran.output
    assert words(ran)[-1] == ("net", "localgroup", "julius", "caesar", "/add")
    assert "alesia" not in ran.output


@pytest.mark.parametrize("os", GENERATIONS.values())
def test_every_option_of_a_generation(wine: Windows, windows: WindowsPlanner, os: str) -> None:  # noqa: F811
    plan = windows(os, every=True)
    _give_sysprep(wine)
    _sysprepped(wine)
    calls: dict[str, tuple[Call, ...]] = {}
    for step in plan.steps:
        ran = run(wine, step)
        assert ran.succeeded or ran.code == 3010, (step.name, ran)
        calls[step.name] = ran.calls
    for name in POWERSHELL[os]:
        [call] = calls[name]
        assert call.program == "powershell" and call.argv[-1].endswith(rf"files\{name}.ps1")
    if os == GENERATIONS["xp"]:
        _accounts(calls["users"])
    assert [call.program for call in calls["files"]] == []
    assert [call.program for call in calls["settings"]] == ["netsh", *["powercfg"] * 8]
    assert calls["settings"][-1].argv == ("/hibernate", "off")
    assert _registry(wine, r"HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server", "fDenyTSConnections") == "0x0"
    assert _registry(wine, r"HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU", "NoAutoUpdate") == "0x1"
    copied = wine.path(r"C:\Program Files\lab %PATH%\motd.txt")
    assert copied.read_bytes() == b"welcome\r\n"
    assert wine.path(r"C:\lab").is_dir()


MEMORY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"
RUN_ONCE = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce"


def test_a_clean_up_by_batch(wine: Windows, windows: WindowsPlanner) -> None:  # noqa: F811
    """Temporary files go, but for the build's own; the command that comes back to the page file is one that works."""
    temp = wine.path(r"C:\Windows\Temp")
    shutil.rmtree(temp / "vmgen-setup", ignore_errors=True)
    kept = {"vmgen-setup/next.txt", "vmgen.log"}
    for name in (*kept, "other/deep/file.txt", "a file.tmp", "vmgen-zero.txt"):
        (temp / name).parent.mkdir(parents=True, exist_ok=True)
        (temp / name).write_bytes(b"x")
    answers = wine.path(r"C:\Windows\System32\$winnt$.inf")
    answers.write_bytes(b"[GuiUnattended]\r\n")
    ran = run(wine, named(windows("winxppro"), "clean"))
    assert ran.succeeded, ran
    left = {str(path.relative_to(temp)) for path in temp.rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith("vmgen/")} == kept
    assert not answers.exists() and not wine.path(r"C:\vmgen-zero").exists()
    assert _registry(wine, MEMORY, "ClearPageFileAtShutdown") == "0x1"
    assert wine.run_step(b"@echo off\r\n" + _run_once(wine) + b"\r\n").code == 0
    assert _registry(wine, MEMORY, "ClearPageFileAtShutdown") == "0x0"


def _run_once(wine: Windows) -> bytes:
    """The command that Windows runs once, at the first logon of an administrator."""
    script = f"@reg query {RUN_ONCE} /v vmgen-build >C:\\value.txt\r\n"
    assert wine.run_step(script.encode()).code == 0
    [line] = [line for line in wine.path(r"C:\value.txt").read_bytes().splitlines() if b"REG_SZ" in line]
    return line.partition(b"REG_SZ")[2].strip()


def test_zeros_are_written_until_no_file_of_them_fits(wine: Windows, windows: WindowsPlanner) -> None:  # noqa: F811
    """The stub makes two files, small ones, and the step is one that takes them for whole."""
    step = named(windows("winvista"), "clean")
    script = step.script.replace("536870912", "4")
    rules = [Rule("fsutil", rf"createnew C:\vmgen-zero\{n} ", path=rf"C:\vmgen-zero\{n}", text="full") for n in (1, 2)]
    ran = wine.run_step(script.encode(), rules=(*rules, Rule("fsutil", "createnew", code=1)), stubs=OTHERS)
    assert ran.succeeded, ran
    lines = [" ".join(call.argv) for call in ran.calls if call.program == "fsutil"]
    assert lines == [
        r"file createnew C:\vmgen-zero\1 4",
        r"file setvaliddata C:\vmgen-zero\1 4",
        r"file setzerodata offset=0 length=4 C:\vmgen-zero\1",
        r"file createnew C:\vmgen-zero\2 4",
        r"file setvaliddata C:\vmgen-zero\2 4",
        r"file setzerodata offset=0 length=4 C:\vmgen-zero\2",
        r"file createnew C:\vmgen-zero\3 4",
    ]
    assert ran.calls[-1].argv == ("-n", "60", "127.0.0.1")
    assert not wine.path(r"C:\vmgen-zero").exists()
    assert _registry(wine, MEMORY, "PagingFiles") == r"?:\pagefile.sys"


@pytest.mark.parametrize(("os", "program"), [("winxppro", "wmic"), ("win7", "wevtutil")])
def test_an_event_log_that_is_full_is_named(wine: Windows, windows: WindowsPlanner, os: str, program: str) -> None:  # noqa: F811
    _give_sysprep(wine)
    output = "\nNumberOfRecords=21\n" if program == "wmic" else "numberOfLogRecords: 21\n"
    part = "'Security'\" get" if program == "wmic" else "get-loginfo Security"
    ran = run(wine, named(windows(os), "generalise"), (Rule(program, part, output=output), *RULES))
    assert (ran.code, ran.stamp) == (1, None)
    assert "the event log Security is not as it should be" in ran.output
    assert "sysprep" not in [call.program for call in ran.calls]


def test_a_sysprep_that_failed_without_a_code_is_seen(wine: Windows, windows: WindowsPlanner) -> None:  # noqa: F811
    step = named(windows("win10"), "generalise")
    _sysprepped(wine, "IMAGE_STATE_COMPLETE")
    ran = run(wine, step)
    assert (ran.code, ran.stamp) == (1, None)
    assert "the state of sysprep" in ran.output
    _sysprepped(wine)
    kept, copy = (wine.path(rf"C:\Windows\{name}\unattend.xml") for name in ("Panther", r"System32\Sysprep"))
    kept.parent.mkdir(exist_ok=True)
    for there in (False, True):
        kept.unlink(missing_ok=True)
        if there:
            kept.write_bytes(b"<unattend/>")
        assert run(wine, step).succeeded
        assert copy.exists() == (not there)


def _accounts(calls: tuple[Call, ...]) -> None:
    argv = [call.argv for call in calls]
    assert ("user", "ana", "p ^&|<>!'`$x\\", "/add", "/y") in argv
    assert ("user", "ana", "/fullname:Ana %PATH% & Co. (x)^!") in argv
    assert ("user", "Administrator", "s3cret &", "/y") in argv


def _give_sysprep(wine: Windows) -> None:
    """Where XP has it once it is unpacked; later ones bring it."""
    folder = wine.drive / "sysprep"
    folder.mkdir(exist_ok=True)
    stub: Path = wine.folder / "stub.exe"
    (folder / "sysprep.exe").write_bytes(stub.read_bytes())


def _sysprepped(wine: Windows, state: str = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE") -> None:
    """What a sysprep that succeeded leaves in the registry."""
    key = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"
    assert wine.run_step(f"@reg add {key} /v ImageState /d {state} /f\r\n".encode()).code == 0


def _own_name(ran: Ran) -> str:
    """The computer's, as Wine has it."""
    found = [word.split("'")[1] for call in ran.calls for word in call.argv if word.startswith("name='")]
    return found[0] if found else "\0"


def _registry(wine: Windows, key: str, name: str) -> str:
    ran = wine.run_step(f'@echo off\r\nreg query "{key}" /v {name} >C:\\value.txt\r\nexit /b %errorlevel%\r\n'.encode())
    assert ran.code == 0
    return wine.path(r"C:\value.txt").read_text().split()[-1]


def test_parts_of_windows_are_added(wine: Windows, windows: WindowsPlanner) -> None:  # noqa: F811
    """Vista's in one word, and an FTP server's site, whose program lies where its feature puts it."""
    vista = named(windows("winvista", "[services]\nhttpd = 1\n"), "packages-services")
    first, second = run(wine, vista, (Rule("pkgmgr", code=3010),)).calls
    assert first.argv[0].startswith("/iu:IIS-WebServerRole;IIS-WebServer;") and first.argv[1:] == (
        "/quiet",
        "/norestart",
    )
    assert second.argv == ("config", "W3SVC", "start=", "auto")
    folder = wine.path(r"C:\Windows\System32\inetsrv")
    folder.mkdir(exist_ok=True)
    (folder / "appcmd.exe").write_bytes((wine.folder / "stub.exe").read_bytes())
    ftp = named(windows("win10", "[services]\nftp_server = 1\n"), "packages-services")
    ran = run(wine, ftp, (Rule("appcmd", "add site", code=183),))
    assert ran.succeeded and wine.path(r"C:\inetpub\ftproot").is_dir()
    assert [call.program for call in ran.calls] == ["dism", "sc", *["appcmd"] * 3]
    assert ran.calls[-1].argv[4:] == (
        "/+[accessType='Allow',permissions='Read,Write',users='*']",
        "/commit:apphost",
    )


@pytest.mark.parametrize(("code", "end"), [(0, 0), (3010, 3010), (1, 1)])
def test_updates_may_ask_for_a_restart(wine: Windows, windows: WindowsPlanner, code: int, end: int) -> None:  # noqa: F811
    step = named(windows("win10", "[config]\nupdates = now\n"), "updates-1")
    ran = run(wine, step, (Rule("powershell", code=code),))
    assert (ran.code, ran.succeeded) == (end, end in step.success)


def test_an_installer_that_asks_for_a_restart(wine: Windows, windows: WindowsPlanner) -> None:  # noqa: F811
    """It is a program beside the step: the stub, with the mark of NSIS behind it."""
    plan = windows("winxppro", "[config]\npackages = ./a-setup.exe\n")
    step = next(one for one in plan.steps if one.name == "packages-config")
    stub = (wine.folder / "stub.exe").read_bytes() + b"\xef\xbe\xad\xdeNullsoftInst"
    ran = wine.run_step(step.script.encode(), {"a-setup.exe": stub}, rules=(Rule("a-setup", code=1641),))
    assert (ran.succeeded, ran.code) == (True, 3010)
    assert words(ran) == [("a-setup", "/S")]
    ran = wine.run_step(step.script.encode(), {"a-setup.exe": stub}, rules=(Rule("a-setup", code=5),))
    assert (ran.stamp, ran.code) == (None, 5)
