"""A Windows that was built is verified on the stand-in: Wine's registry and files are asked for real, and stubs answer
for the rest. What on a Windows netsh itself would write into the registry, the recipe's script writes here."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.standin.there import authority_of
from tests.integration.vsphere.windowslab import CANARIES, LINK, RECIPE, Lab, built, password, written
from tests.wine.prefix import Rule

Run = Callable[..., "subprocess.CompletedProcess[str]"]

CARDS = ("{11111111-2222-3333-4444-555555555555}", "{22222222-2222-3333-4444-555555555555}")
TCP = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
POLICY = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"

ALLOWED = "v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=8000|Name=web & more|"

SCRIPT = "\n".join(
    (
        r"reg add HKLM\SYSTEM\Setup /v SystemSetupInProgress /t REG_DWORD /d 0 /f",
        *(
            rf'reg add "{TCP}\{card}" /v {name} /t REG_MULTI_SZ /d {value} /f'
            for card, address in zip(CARDS, ("10.0.0.2", "10.1.0.2"), strict=True)
            for name, value in (("IPAddress", address), ("SubnetMask", "255.255.255.0"))
        ),
        rf'reg add "{TCP}\{CARDS[0]}" /v NameServer /d 10.0.0.9 /f',
        *(
            rf"reg add {POLICY}\{name}Profile /v EnableFirewall /t REG_DWORD /d 1 /f"
            for name in ("Standard", "Public", "Domain")
        ),
        rf'reg add {POLICY}\FirewallRules /v web /d "{ALLOWED}" /f',
    )
)

MOTD, CHANGED = b"welcome\r\n", b"changed\r\n"

OPTIONS = f"""\
[config]
    hostname = lab-pc
    root_passwd = file:new
    generalise = no
    updates = off
    remote_desktop = yes
    [[files]]
        [[[motd]]]
            source = motd.txt
            dest = C:\\lab\\motd.txt
    [[scripts]]
        [[[registry]]]
            run = '''
{SCRIPT}
'''
"""


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ACTIVE, LOCKED = "\nDisabled=FALSE\nFullName=\n", "\nDisabled=TRUE\nFullName=\n"
RULES = (
    Rule("wmic", "get NetConnectionID", output=f"\nNetConnectionID={LINK}\n"),
    Rule("wmic", "Name='ana'", output=ACTIVE),
    Rule("wmic", "S-1-5-21-%-500", output=ACTIVE),
    Rule("wmic", "S-1-5-32-544", output="\nName=Administratoren\n"),
    Rule("net", 'localgroup "Administratoren"', output="Mitglieder\n\nAdministrator\nana\n"),
    Rule("wmic", "MACAddress='00:50:56:12:34:56' and NetConnectionID", output="\nIndex=7\n"),
    Rule("wmic", "MACAddress='02:F9:8D:24:34:A3' and NetConnectionID", output="\nIndex=8\n"),
    Rule("wmic", "Index=7", output=f"\nSettingID={CARDS[0]}\n"),
    Rule("wmic", "Index=8", output=f"\nSettingID={CARDS[1]}\n"),
    Rule("route", "print -4", output="   0.0.0.0    0.0.0.0   10.0.0.1   Standard\n"),
    Rule("certutil", r"C:\lab\motd.txt", output=f"SHA256\n{digest_of(MOTD)}\nok\n"),
)


@dataclass(frozen=True)
class Image:
    path: Path
    recipe: Path


@pytest.fixture(scope="module")
def image(vmgen: Run, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("v")
    for name in ("certutil", "route"):
        shutil.copy(lab.windows.folder / "stub.exe", lab.windows.folder / "bin" / f"{name}.exe")
    answered(lab)
    (folder / "motd.txt").write_bytes(MOTD)
    path = written(folder, RECIPE[: RECIPE.index("[config]")] + OPTIONS)
    built(vmgen, lab, path, folder / "out")
    return Image(folder / "out" / "lab.ova", path)


def answered(lab: Lab, *first: Rule) -> None:
    """What the stubs answer from now on."""
    (lab.windows.folder / "rules").write_text("".join(rule.line for rule in (*first, *RULES)))


def verified(vmgen: Run, lab: Lab, image: Image, *more: str) -> subprocess.CompletedProcess[str]:
    server = lab.made.server
    place = f"vsphere://{server.user}@{server.host}:{server.port}/DC0"
    options = ["--host", place, "--cafile", authority_of(lab.made), "--map", "nat=VM Network", "--json"]
    return vmgen("verify", image.path, "--recipe", image.recipe, *options, *more, env=password(lab.made), timeout=300)


def probes_in(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {event["probe"]: event for event in events if event["event"] == "probe"}


def test_each_setting_holds(vmgen: Run, lab: Lab, image: Image) -> None:
    """In a throwaway machine, which is gone then; no password is anywhere."""
    answered(lab)
    before, orders = lab.machines(), len(lab.made.ground.orders)
    done = verified(vmgen, lab, image)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    found = probes_in(done)
    assert {probe["outcome"] for probe in found.values()} == {"holds"}
    assert {
        *(
            "system",
            "hostname",
            "step-folder",
            "user-ana",
            "user-ana-administrators",
            "user-Administrator",
            "eth0-dns4",
        ),
        *("eth0-10.0.0.2", "eth0-gateway-10.0.0.1", "eth1-10.1.0.2", "firewall-DomainProfile", "firewall-tcp-8000"),
        *("file-motd", "registry-NoAutoUpdate", "registry-fDenyTSConnections"),
    } <= found.keys()
    assert lab.machines() == before
    assert not [one for one in CANARIES if one in done.stdout + done.stderr]
    assert not [one for one in CANARIES if one in json.dumps(lab.made.ground.orders[orders:])]


def test_what_is_no_more_as_the_recipe_wants_it_is_named(vmgen: Run, lab: Lab, image: Image) -> None:
    """An account that was locked, by a stub; an address and a file that are others than those of a changed recipe."""
    answered(lab, Rule("wmic", "Name='ana'", output=LOCKED))
    (image.recipe.parent / "motd.txt").write_bytes(CHANGED)
    before = lab.machines()
    try:
        done = verified(vmgen, lab, image, "--set", "network.eths.eth1.address=10.1.0.3/24")
    finally:
        (image.recipe.parent / "motd.txt").write_bytes(MOTD)
        answered(lab)
    assert done.returncode == 1, done.stderr[-4000:] + done.stdout[-4000:]
    fails = {name: probe["found"] for name, probe in probes_in(done).items() if probe["outcome"] == "fails"}
    assert fails == {
        "user-ana": "Disabled=TRUE, FullName=, not Disabled=False",
        "eth1-10.1.0.3": "10.1.0.2/255.255.255.0, not 10.1.0.3/255.255.255.0",
        "file-motd": f"{digest_of(MOTD)}, not {digest_of(CHANGED)}",
    }
    assert lab.machines() == before


def test_without_a_place_its_disks_are_none_for_qemu(vmgen: Run, image: Image) -> None:
    done = vmgen("verify", image.path)
    assert done.returncode == 1
    assert "Windows does not find its disks hdd0 in QEMU" in done.stderr and "--host vsphere://NAME" in done.stderr
    assert vmgen("verify", image.path, "--no-boot").returncode == 0
