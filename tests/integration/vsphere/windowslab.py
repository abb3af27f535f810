"""A Windows on the stand-in, whose Tools Wine answers for, and what is built from it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.conftest import ROOT
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import authority_of, session_on, trusted_stand_in
from tests.integration.vsphere.test_library import make_library
from tests.integration.vsphere.windowsdisk import make_disk, make_windows, packed_machine
from tests.wine.prefix import Call, Rule, Windows, _calls, is_wines_fault
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.properties import devices_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.site import ServerSite, find_site
from vmgen_build.guests.vsphere.tags import BUILD
from vmgen_build.guests.vsphere.windows import as_started_windows
from vmgen_build.plan.machine import own_machine_of
from vmgen_build.recipe.load import load

Done = subprocess.CompletedProcess[str]

Run = Callable[..., Done]

OLD, NEW, ANAS = "c4n4ry-Old1", "c4n4ry-New2", "c4n4ry-An4"
CANARIES = (OLD, NEW, ANAS)

RECIPE = """\
[hardware]
    vm_id = lab
    os = win7
    base = vm:golden@clean
    login = Administrator
    login_password = file:old
    ram = 2G
    [[hdds]]
        [[[hdd0]]]
            type = scsi
    [[eths]]
        [[[eth0]]]
            hw_addr = 00:50:56:12:34:56
        [[[eth1]]]
            hw_addr = 02:f9:8d:24:34:a3
            network = DC0_DVPG0
[network]
    gateway = 10.0.0.1
    [[eths]]
        [[[eth0]]]
            address = 10.0.0.2/24
            dns = 10.0.0.9
        [[[eth1]]]
            address = 10.1.0.2/24
    [[open_ports]]
        [[[web]]]
            proto = tcp
            port = 8000
            description = web & more
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd = file:ana
            sudo = yes
[config]
    hostname = lab-pc
    root_passwd = file:new
    packages = ./tool.msi
    generalise = no
    [[scripts]]
        [[[slow]]]
            run = '''
echo begun
net start slow
ping -n 7 127.0.0.1 >nul
echo ended
'''
"""

LINK = "Local Area Connection"

RULES = (
    Rule("wmic", "get NetConnectionID", output=f"\nNetConnectionID={LINK}\n"),
    Rule("msiexec", code=3010),
    Rule("net", "start fails", code=7, output="the service fails\n"),
)


@dataclass(frozen=True)
class Lab:
    """The stand-in with its machine `golden`, the Windows whose stubs it has, and the recipe. disk: of that machine."""

    made: StandIn
    windows: Windows
    recipe: Path
    disk: Path

    @property
    def calls(self) -> list[Call]:
        """But for those that overwrite secrets."""
        return [call for call in _calls(self.windows.folder / "calls.jsonl") if call.program != "fsutil"]

    def forget(self) -> None:
        (self.windows.folder / "calls.jsonl").unlink(missing_ok=True)

    def machines(self) -> list[str]:
        with session_on(self.made) as session:
            return sorted(one.name for one in inventory_of(session).machines)


@contextmanager
def windows_lab(program: Path, folder: Path) -> Iterator[Lab]:
    """program: the simulator. folder: a new one, with a short path."""
    for name in ("wine", "disk", "recipe"):
        (folder / name).mkdir()
    path = written(folder / "recipe")
    made = make_windows(folder / "wine", ROOT / ".testcache" / "wine")
    (made.folder / "rules").write_text("".join(rule.line for rule in RULES))
    disk = make_disk(made, folder / "disk", "Administrator", OLD)
    with trusted_stand_in(program, folder, folder, packed_machine(folder), "-api", "8.0.2.0") as server:
        server.ground.windows = made
        with session_on(server) as session:
            maker = Maker(session, site_of(session), "0" * 12, "1-0")
            machine = as_started_windows(own_machine_of(load(path)))
            copy = folder / machine.drives[0].file
            shutil.copy(disk, copy)
            wanted = Wanted("golden", maker.mark(BUILD), machine, Disks((Disk("hdd0", copy, "vmdk"),)))
            maker.snapshot(import_machine(session, maker.site, wanted), "clean", "of the test")
        make_library(session, "Images", "LOCAL")
        yield Lab(server, made, path, disk)


def written(folder: Path, text: str = RECIPE) -> Path:
    for name, content in {"old": OLD, "new": NEW, "ana": ANAS, "tool.msi": "\xd0\xcf"}.items():
        (folder / name).write_text(content, "latin-1")
        (folder / name).chmod(0o600)
    path = folder / "lab.ini"
    path.write_text(text)
    return path


def site_of(session: Session) -> ServerSite:
    return find_site(session, inventory_of(session), Placement(networks=(("nat", "VM Network"),)), "VM Network")


def words(made: StandIn, recipe: Path, out: Path, port: int = 0) -> list[str]:
    place = f"vsphere://{made.server.user}@{made.server.host}:{port or made.server.port}/DC0"
    options = ["--host", place, "--cafile", str(authority_of(made)), "--map", "nat=VM Network"]
    return [str(recipe), "-b", "vmware", *options, "-o", str(out), "--json"]


def password(made: StandIn) -> dict[str, str]:
    return {"VMGEN_VSPHERE_PASSWORD": made.server.password}


TRIES = 3
"""Of a build that a fault of Wine's ends. It is none of the build's, but must not hide one: the last of them counts."""


def built(vmgen: Run, lab: Lab, recipe: Path, out: Path, *more: str, code: int = 0, anew: bool = False) -> Done:
    """A whole build. anew: it takes no layer of one that a fault of Wine's ended. What stubs were started with before
    is forgotten, and no machine of such a build stays."""
    before = lab.machines()
    for number in range(TRIES):
        lab.forget()
        again = ("--no-cache",) if anew and number else ()
        done = vmgen(*words(lab.made, recipe, out), *more, *again, env=password(lab.made), timeout=150)
        if not is_wines_fault(done.stdout):
            break
        for name in set(lab.machines()) - set(before):
            if not name.startswith("vmgen-layer-"):
                removed(lab, name)
    assert done.returncode == code, done.stderr[-4000:] + done.stdout[-4000:]
    assert not [one for one in CANARIES if one in done.stderr + done.stdout]
    return done


def removed(lab: Lab, name: str) -> tuple[Any, list[str]]:
    """The machine, and the kinds of its devices, as they were."""
    with session_on(lab.made) as session:
        [found] = [one for one in inventory_of(session).machines if one.name == name]
        ref: Any = found.ref
        devices = [type(one).__name__.rpartition(".")[2] for one in devices_of(session, ref)]
        ref.Destroy_Task()
    while name in lab.machines():
        time.sleep(0.1)
    return found, devices
