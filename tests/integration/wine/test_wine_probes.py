"""Questions to a Windows under Wine: each holds for the right answer, and for each wrong one it fails.

The registry and files are Wine's own. What Wine lacks is a stub, whose output is that of the documented program.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.unit.plan.windows.conftest import GENERATIONS, MORE, WindowsPlanner, windows  # noqa: F401 - a fixture
from tests.wine.prefix import NONCE, Rule, Windows
from vmgen_build.guests.communicators.windows import batch_arguments, console_text
from vmgen_build.plan.model import Probe
from vmgen_build.plan.text.batchprobes import answers_in, asking_scripts, holds
from vmgen_build.plan.text.reg import Value, reg_file
from vmgen_build.plan.windowsprobe import setup_probe
from vmgen_build.systems.parse import parse_system

FOLDER = r"C:\Windows\Temp\vmgen-asked"
STUBS = ("certutil", "route")

OF_WINE = ("timezone", "keyboard")
"""Wine itself writes what these are asked of, whenever a program starts: reg is a stub for them."""

ZONE_KEY, ZONE_WORDS, ZONE_STD = "/v TimeZoneKeyName", "/v StandardName", "Time Zones\\GTB Standard Time"

MACHINE = r"HKEY_LOCAL_MACHINE"
CONTROL = rf"{MACHINE}\SYSTEM\CurrentControlSet\Control"
SERVICES = rf"{MACHINE}\SYSTEM\CurrentControlSet\Services"
POLICY = rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy"
OPEN = rf"{POLICY}\StandardProfile\GloballyOpenPorts\List"
ALLOWED = rf"{POLICY}\FirewallRules"
CARDS = rf"{SERVICES}\Tcpip\Parameters\Interfaces"
CARDS6 = rf"{SERVICES}\Tcpip6\Parameters\Interfaces"
UPDATES = rf"{MACHINE}\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU"
STATE = rf"{MACHINE}\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"
ONE, TWO = "{11111111-2222-3333-4444-555555555555}", "{22222222-2222-3333-4444-555555555555}"

MOTD = r"C:\Program Files\lab %PATH%\motd.txt"
OWN = r"C:\lab\own.txt"
NUSPEC = r"C:\ProgramData\chocolatey\lib\{0}\{0}.nuspec"
NAME = "100% web & (more) ^!"

Keys = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Ground:
    """What a Windows is like, or how it differs. rules: the first that fits counts. files: None for no file."""

    rules: tuple[Rule, ...] = ()
    keys: Keys = field(default_factory=dict)
    files: Mapping[str, bytes | None] = field(default_factory=dict)


def rule(ports: str, protocol: int, name: str = NAME, rest: str = "Active=TRUE|Dir=In|") -> str:
    return f"v2.10|Action=Allow|{rest}Protocol={protocol}|LPort{ports}|Name={name}|"


def account(disabled: bool, name: str = "") -> str:
    """As wmic has it, with two CRs at the end of a line: a stub writes the second. Wine's parser, unlike that of
    Windows, keeps them in a variable: where a value becomes one, there is one CR here."""
    return f"\n\r\nDisabled={str(disabled).upper()}\r\nFullName={name}\r\n\r\n"


def printed(name: str, value: str) -> str:
    """As of `reg query` on XP, which has tabs between."""
    return f"\n! REG.EXE VERSION 3.0\n\nHKEY_CURRENT_USER\\x\n    {name}\tREG_SZ\t{value}\n\n"


def members(*names: str) -> str:
    """As of a German Windows."""
    lines = "".join(f"{name}\n" for name in names)
    return f"Aliasname     x\nBeschreibung     ana ist da\n\nMitglieder\n\n{'-' * 79}\n{lines}Befehl ausgef\n\n"


RULES = (
    Rule("wmic", "DeviceID='E:'", output="\nFileSystem=NTFS\r\nVolumeName=\r\n"),
    Rule("wmic", "DeviceID='G:'", output="\nFileSystem=NTFS\r\nVolumeName=more & data\r\n"),
    Rule("wmic", "Name='ana'", output=account(False, "Ana %PATH% & Co. (x)^!")),
    Rule("wmic", "Name='bob'", output=account(True)),
    Rule("wmic", "S-1-5-21-%-500", output=account(False)),
    Rule("wmic", "S-1-5-32-544", output="\nName=Administratoren\n"),
    Rule("net", 'localgroup "Administratoren"', output=members("Administrator", "ana")),
    Rule("net", "localgroup students", output=members("ana", "Ben")),
    Rule("net", "user ana", output="Benutzername      ana\nBenutzerprofil        C:\\home\\ana\nAnmeldeskript\n"),
    Rule("wmic", "MACAddress='00:16:3E:12:34:58' and NetConnectionID", output="ConfigManagerErrorCode=22\n"),
    Rule("wmic", "MACAddress='00:16:3E:12:34:56' and NetConnectionID", output="\nIndex=7\n"),
    Rule("wmic", "MACAddress='00:16:3E:12:34:57' and NetConnectionID", output="\nIndex=8\n"),
    Rule("wmic", "Index=7", output=f"\nSettingID={ONE}\n"),
    Rule("wmic", "Index=8", output=f"\nSettingID={TWO}\n"),
    Rule(
        "route",
        "print -4",
        output="====\nRouten:\n  Adresse   Maske   Gateway  Metrik\n   0.0.0.0    0.0.0.0   10.0.0.1   Standard\n=\n",
    ),
    Rule("netsh", "ipv6 show addresses", output="Manuell  Bevorzugt  infinite infinite fd00::2\n"),
    Rule(
        "netsh", "ipv6 show route", output="Nein  Manuell  256  ::/0  7  fd00::1\nNo  System 256 ff00::/8 1 Loopback\n"
    ),
    Rule("wmic", "service where", output="\r\nStarted=TRUE\r\n"),
    Rule("dism", "/get-featureinfo", output="Feature Name : TelnetClient\nState : Enabled\n"),
    Rule("dism", "/get-capabilityinfo", output="Capability Identity : OpenSSH\nState : Installed\n"),
    Rule("choco", "pin list", output="git|2.40.0\nzip|1\n"),
    Rule("reg", ZONE_KEY, output=printed("TimeZoneKeyName", "GTB Standard Time")),
    Rule("reg", ZONE_WORDS, output=printed("StandardName", "GTB Normalzeit")),
    Rule("reg", ZONE_STD, output=printed("Std", "GTB Normalzeit")),
    Rule("reg", "Preload", output=printed("1", "00000418")),
    Rule("reg", "Substitutes", output=printed("00000418", "00020418")),
)

DIGEST = "c8 4f 49 66 c5 b7 ac 2e eb ec b0 e7 b9 72 64 f8 01 a1 b6 89 61 69 a5 50 c9 40 1a 43 bb 2a a8 fe"

KEYS: Keys = {
    rf"{MACHINE}\SYSTEM\Setup": {"SystemSetupInProgress": 0},
    rf"{CONTROL}\ComputerName\ActiveComputerName": {"ComputerName": "LAB-PC"},
    rf"{CONTROL}\Nls\Language": {"Default": "0418"},
    rf"{SERVICES}\Tcpip\Parameters": {"IPEnableRouter": 1},
    rf"{CARDS}\{ONE}": {
        "EnableDHCP": 0,
        "IPAddress": ["10.0.0.2"],
        "SubnetMask": ["255.255.255.0"],
        "DefaultGateway": ["10.0.0.1"],
        "NameServer": "10.0.0.9,10.0.0.10",
    },
    rf"{CARDS}\{TWO}": {
        "EnableDHCP": 1,
        "IPAddress": ["10.1.0.2", "10.1.0.3"],
        "SubnetMask": ["255.255.255.0", "255.255.255.0"],
    },
    rf"{CARDS6}\{ONE}": {"NameServer": "fd00::9"},
    **{rf"{POLICY}\{name}Profile": {"EnableFirewall": 1} for name in ("Standard", "Public", "Domain")},
    OPEN: {
        **{f"{port}:{proto}": f"{port}:{proto}:*:Enabled:{NAME}" for port in (8000, 8001) for proto in ("TCP", "UDP")},
        "22:TCP": "22:TCP:*:Enabled:sshd",
    },
    ALLOWED: {
        "a": rule("2_10=8000-8001", 6),
        "b": rule("2_10=8000-8001", 17),
        "c": rule("=22", 6, "sshd"),
        "d": rule("=80|RPort=22", 6, "other"),
    },
    rf"{SERVICES}\sshd": {"Start": 2},
    rf"{CONTROL}\Terminal Server": {"fDenyTSConnections": 0},
    UPDATES: {"NoAutoUpdate": 1},
    STATE: {"ImageState": "IMAGE_STATE_COMPLETE"},
}

FILES: Mapping[str, bytes | None] = {
    MOTD: b"welcome\r\n",
    OWN: b"more\r\n",
    r"C:\Windows\Panther\unattend.xml": b"<Password>*SENSITIVE*DATA*DELETED*</Password>\r\n",
    r"C:\sysprep\sysprep.inf": None,
    NUSPEC.format("git"): b"<package>\r\n<version>2.40.0</version>\r\n</package>\r\n",
    NUSPEC.format("vlc"): b"<version>3.0</version>\r\n",
    NUSPEC.format("openssh"): b"<version>9.5</version>\r\n",
    NUSPEC.format("foo"): None,
}


def of_rule(program: str, part: str, output: str, code: int = 0) -> Ground:
    return Ground(rules=(Rule(program, part, code, output),))


def of_key(key: str, name: str, value: Value) -> Ground:
    return Ground(keys={key: {name: value}})


def of_file(path: str, content: bytes | None) -> Ground:
    return Ground(files={path: content})


def of_rules(name: str, values: Sequence[str]) -> list[Ground]:
    """A rule that differs."""
    return [of_key(ALLOWED, name, value) for value in values] + [of_key(ALLOWED, name, None)]


IDLE = "Active=FALSE|Dir=In|"

WRONG: dict[str, list[Ground]] = {
    "system": [of_key(rf"{MACHINE}\SYSTEM\Setup", "SystemSetupInProgress", 1)],
    "volume-E": [
        of_rule("wmic", "DeviceID='E:'", "\nFileSystem=FAT32\r\nVolumeName=NTFS2\r\n"),
        of_rule("wmic", "DeviceID='E:'", ""),
    ],
    "volume-G": [of_rule("wmic", "DeviceID='G:'", "\nFileSystem=NTFS\r\nVolumeName=other\r\n")],
    "hostname": [of_key(rf"{CONTROL}\ComputerName\ActiveComputerName", "ComputerName", "WIN-1234")],
    "timezone": [
        Ground((Rule("reg", ZONE_KEY, output=printed("TimeZoneKeyName", "UTC")), Rule("reg", ZONE_WORDS))),
        Ground((Rule("reg", ZONE_KEY, code=1), Rule("reg", ZONE_WORDS, output=printed("StandardName", "GTB Sommer")))),
    ],
    "step-folder": [of_file(r"C:\Windows\Temp\vmgen\script.bat", b"")],
    "locale": [of_key(rf"{CONTROL}\Nls\Language", "Default", "0409")],
    "keyboard": [
        Ground((Rule("reg", "Preload", output=printed("1", "00000409")), Rule("reg", "Substitutes", code=1))),
        Ground((Rule("reg", "Preload", code=1),)),
    ],
    "group-students": [of_rule("net", "localgroup students", "System error 1376\n", 2)],
    "user-ana": [
        of_rule("wmic", "Name='ana'", account(True, "Ana %PATH% & Co. (x)^!")),
        of_rule("wmic", "Name='ana'", account(False, "Ana")),
        of_rule("wmic", "Name='ana'", ""),
    ],
    "user-ana-home": [of_rule("net", "user ana", f"Profil  {path}\n") for path in (r"C:\home\anais", r"C:\home", "")],
    "user-ana-students": [
        of_rule("net", "localgroup students", members("Ben", "anais")),
        of_rule("net", "localgroup students", "", 2),
    ],
    "user-ana-administrators": [
        of_rule("net", 'localgroup "Administratoren"', members("Administrator")),
        of_rule("wmic", "S-1-5-32-544", ""),
    ],
    "user-bob": [of_rule("wmic", "Name='bob'", account(False))],
    "user-Administrator": [of_rule("wmic", "S-1-5-21-%-500", account(True))],
    "eth0-10.0.0.2": [
        of_key(rf"{CARDS}\{ONE}", "IPAddress", ["10.0.0.20"]),
        of_key(rf"{CARDS}\{ONE}", "SubnetMask", ["255.255.0.0"]),
        of_key(rf"{CARDS}\{ONE}", "IPAddress", None),
        of_rule("wmic", "MACAddress='00:16:3E:12:34:56'", ""),
        of_rule("wmic", "MACAddress='00:16:3E:12:34:56'", "Index=8\n"),
    ],
    "eth1-10.1.0.2": [
        of_key(rf"{CARDS}\{TWO}", "IPAddress", ["10.1.0.3"]),
        of_key(rf"{CARDS}\{TWO}", "SubnetMask", ["255.255.0.0", "255.255.255.0"]),
    ],
    "eth1-10.1.0.3": [
        of_key(rf"{CARDS}\{TWO}", "IPAddress", ["10.1.0.2"]),
        of_key(rf"{CARDS}\{TWO}", "SubnetMask", ["255.255.255.0", "255.255.0.0"]),
        of_key(rf"{CARDS}\{TWO}", "SubnetMask", ["255.255.255.0"]),
    ],
    "eth0-gateway-10.0.0.1": [
        Ground((Rule("route", output="0.0.0.0 0.0.0.0 10.0.0.254\n"),), {rf"{CARDS}\{ONE}": {"DefaultGateway": None}}),
        Ground((Rule("route", code=1),), {rf"{CARDS}\{ONE}": {"DefaultGateway": ["10.0.0.254"]}}),
    ],
    "eth0-dns4": [of_key(rf"{CARDS}\{ONE}", "NameServer", text) for text in ("8.8.8.8,10.0.0.10", "", None)],
    "eth0-dns6": [of_key(rf"{CARDS6}\{ONE}", "NameServer", text) for text in ("fd00::8", None)],
    "eth0-fd00::2": [of_rule("netsh", "ipv6 show addresses", "Manuell  Bevorzugt  infinite infinite fd00::22\n")],
    "eth0-gateway-fd00::1": [of_rule("netsh", "ipv6 show route", "Nein Manuell 256 fd00::/64 7 fd00::1\n")],
    "eth1-dhcp": [of_key(rf"{CARDS}\{TWO}", "EnableDHCP", 0)],
    "eth2-down": [of_rule("wmic", "MACAddress='00:16:3E:12:34:58'", "ConfigManagerErrorCode=0\n")],
    "ip-routing": [of_key(rf"{SERVICES}\Tcpip\Parameters", "IPEnableRouter", value) for value in (0, 0x10, None)],
    "nat": [of_rule("wmic", "service where", text) for text in ("\r\nStarted=FALSE\r\n", "")],
    **{
        f"firewall-{name}Profile": [of_key(rf"{POLICY}\{name}Profile", "EnableFirewall", value) for value in (0, None)]
        for name in ("Standard", "Public", "Domain")
    },
    "firewall-tcp-22": [
        Ground(keys={OPEN: {"22:TCP": f"22:TCP:{rest}:sshd"}, ALLOWED: {"c": text}})
        for rest, text in {
            "*:Disabled": rule("=22", 6, "sshd", IDLE),
            "LocalSubNet:Enabled": rule("=222", 6, "sshd"),
            "*:Enabled:x": rule("=80|RPort=22", 6, "sshd"),
        }.items()
    ],
    "file-motd": [
        Ground((Rule("certutil", output=f"SHA256 hash of file x:\n{'0' * 64}\nok\n"),), files={MOTD: b"welcome"}),
        Ground((Rule("certutil", output="error\n", code=1),), files={MOTD: None}),
    ],
    "file-own": [of_file(OWN, None)],
    "registry-fDenyTSConnections": [of_key(rf"{CONTROL}\Terminal Server", "fDenyTSConnections", 1)],
    "registry-NoAutoUpdate": [of_key(UPDATES, "NoAutoUpdate", value) for value in (0, None)],
    "answers-gone": [Ground(files={r"C:\sysprep\sysprep.inf": b"", r"C:\Windows\System32\Sysprep\unattend.xml": b""})],
    "answers-kept": [of_file(r"C:\Windows\Panther\unattend.xml", b"<PlainText>true</PlainText>\r\n")],
    "image-state": [of_key(STATE, "ImageState", value) for value in ("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", None)],
    "package-git": [
        of_file(NUSPEC.format("git"), b"<version>2.40.01</version>\r\n"),
        of_file(NUSPEC.format("git"), None),
    ],
    "package-vlc": [of_file(NUSPEC.format("vlc"), None)],
    "package-openssh": [of_file(NUSPEC.format("openssh"), None)],
    "service-sshd": [of_key(rf"{SERVICES}\sshd", "Start", value) for value in (3, None)],
    "removed-foo": [of_file(NUSPEC.format("foo"), b"")],
    "held-git": [of_rule("choco", "pin list", text) for text in ("gitty|1\n", "")],
    "feature-TelnetClient": [
        of_rule("dism", "/get-featureinfo", "State : Disabled\n"),
        of_rule("dism", "/get-featureinfo", "", 87),
    ],
    "capability-OpenSSH.Server~~~~0.0.1.0": [
        of_rule("dism", "/get-capabilityinfo", text) for text in ("State : Not Present\n", "State : Install Pending\n")
    ],
}
for number, name in ((6, "firewall-tcp-8000-8001"), (17, "firewall-udp-8000-8001")):
    own, proto = ("a", "TCP") if number == 6 else ("b", "UDP")
    WRONG[name] = [
        Ground(keys={OPEN: {f"8001:{proto}": None}, ALLOWED: {own: text}})
        for text in (
            *(rule("2_10=8000-8002", number), rule("2_10=8000-8001", 1), rule("2_10=8000-8001", number, "web")),
            rule("2_10=8000-8001", number, rest="Active=TRUE|Dir=Out|"),
            None,
        )
    ]


class Asked:
    """A Windows of Wine that is as a recipe wants it."""

    def __init__(self, wine: Windows) -> None:
        self.wine = wine
        self._put(FILES)
        self.ask([], Ground(keys=KEYS))

    def ask(self, probes: Sequence[Probe], ground: Ground = Ground()) -> Mapping[int, tuple[str, ...]]:
        """The answers of a Windows that differs, which it does no more at the end."""
        batch, _powershell = asking_scripts(probes, NONCE)
        folder = self.wine.path(FOLDER)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "script.bat").write_bytes(batch.encode("ascii"))
        line = batch_arguments(rf"{FOLDER}\script.bat", "", rf"{FOLDER}\out.txt")
        lines = ["@echo off", rf"C:\Windows\System32\cmd.exe {line}", "exit /b %errorlevel%"]
        if ground.keys:
            (folder / "before.reg").write_bytes(reg_file(ground.keys))
            (folder / "after.reg").write_bytes(reg_file({key: KEYS[key] for key in ground.keys}))
            lines[1:2] = [rf"reg import {FOLDER}\before.reg", lines[1], rf"reg import {FOLDER}\after.reg"]
        (folder / "go.bat").write_text("".join(f"{text}\r\n" for text in lines), newline="")
        self._put(ground.files)
        digest = Rule("certutil", "-hashfile", output=f"SHA256-Hash der Datei x:\n{DIGEST}\nCertUtil: ok\n")
        stubs = (*STUBS, "reg") if probes and {probe.name for probe in probes} <= {*OF_WINE} else STUBS
        go = rf"C:\Windows\System32\cmd.exe /d /c {FOLDER}\go.bat"
        code, _calls = self.wine.run(go, (*ground.rules, *RULES, digest), stubs)
        self._put({path: FILES.get(path) for path in ground.files})
        output = console_text((folder / "out.txt").read_bytes()).decode("cp437")
        print(output)
        assert code == 0
        return answers_in(output, NONCE)

    def _put(self, files: Mapping[str, bytes | None]) -> None:
        for windows_path, content in files.items():
            path = self.wine.path(windows_path)
            path.unlink(missing_ok=True)
            if content is None:
                with suppress(OSError):
                    path.parent.rmdir()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


@pytest.fixture(scope="module")
def asked(wine: Windows) -> Asked:
    shutil.rmtree(wine.step, ignore_errors=True)
    return Asked(wine)


SERVERS = {"xp": "winsrv2003", "nt6": "winsrv2008r2", "nt10": "win10-pro"}


def probes_of(windows: WindowsPlanner, generation: str) -> list[Probe]:  # noqa: F811
    """All of a recipe that uses every option, and of what it cannot use beside them."""
    system, server = GENERATIONS[generation], SERVERS[generation]
    more = (
        MORE
        if generation != "xp"
        else MORE.replace(", fd00::2/64", "").replace(", fd00::1", "").replace(", fd00::9", "")
    )
    every = [setup_probe(parse_system(system)), *windows(system, every=True).all_probes()]
    return list({probe.name: probe for probe in (*windows(server, more).all_probes(), *every)}.values())


def in_batch(probes: Sequence[Probe]) -> list[Probe]:
    return [probe for probe in probes if probe.kind == "batch" and probe.name not in OF_WINE]


def failing(asked: Asked, probes: Sequence[Probe], ground: Ground = Ground()) -> list[str]:
    answers = asked.ask(probes, ground)
    return [probe.name for number, probe in enumerate(probes) if not holds(probe.expected, answers.get(number, ()))]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_right_answers_hold(asked: Asked, windows: WindowsPlanner, generation: str) -> None:  # noqa: F811
    probes = probes_of(windows, generation)
    assert failing(asked, in_batch(probes)) == []
    others = [probe for probe in probes if probe.kind == "batch" and probe.name in OF_WINE]
    assert others and failing(asked, others) == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_wrong_answer_fails(asked: Asked, windows: WindowsPlanner, generation: str) -> None:  # noqa: F811
    """Of a question that an earlier generation is asked too, it was seen there."""
    generations = list(GENERATIONS)
    before = generations[: generations.index(generation)]
    known = {probe.script for earlier in before for probe in probes_of(windows, earlier)}
    believed = []
    for probe in (one for one in probes_of(windows, generation) if one.script not in known):
        for number, ground in enumerate(WRONG[probe.name] if probe.kind == "batch" else []):
            if not failing(asked, [probe], ground):
                believed.append((probe.name, number))
    assert believed == []


def test_every_question_in_batch_has_wrong_answers(windows: WindowsPlanner) -> None:  # noqa: F811
    probes = [probe for generation in GENERATIONS for probe in probes_of(windows, generation)]
    assert {probe.name for probe in probes if probe.kind == "batch"} == WRONG.keys()


def test_a_question_that_breaks_off_is_no_other_one_s_end(asked: Asked, windows: WindowsPlanner) -> None:  # noqa: F811
    """A Windows without wmic, dism and net: what asks by the registry and by files is answered all the same."""
    probes = in_batch(probes_of(windows, "nt6"))
    names = ("wmic", "dism", "net", "netsh", "route")
    broken = Ground(tuple(Rule(name, code=9009, output="x is not recognized\n") for name in names))
    found = set(failing(asked, probes, broken))
    assert {"user-ana", "feature-TelnetClient", "group-students", "eth0-10.0.0.2"} <= found
    assert not found & {"hostname", "file-motd", "firewall-tcp-22", "package-git", "image-state"}


def test_powershell_is_started_beside_the_questions_in_batch(asked: Asked, windows: WindowsPlanner) -> None:  # noqa: F811
    """The stub answers as the script would. One that answers nothing fails its own questions alone."""
    probes = [probe for probe in probes_of(windows, "nt10") if probe.name not in OF_WINE]
    lines = ""
    for number, probe in enumerate(probes):
        if probe.kind == "powershell":
            words = [base64.b64encode(line.encode()).decode() for line in probe.expected.split("\n")]
            lines += "".join(f"answer {NONCE} {number} = {word}\n" for word in words)
            lines += f"answer {NONCE} {number} end\n"
    assert failing(asked, probes, Ground((Rule("powershell", rf'-File "{FOLDER}\probes.ps1"', output=lines),))) == []
    own = [probe.name for probe in probes if probe.kind == "powershell"]
    assert failing(asked, probes, Ground((Rule("powershell", code=1, output="forbidden by policy\n"),))) == own
