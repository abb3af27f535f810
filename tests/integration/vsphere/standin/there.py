"""The product's own client on the stand-in, and a machine that it has made there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.vsphere.simulator import make_authority, make_certificate
from tests.integration.vsphere.standin.process import StandIn, stand_in
from vmgen_build.artifacts.result import Disk, Disks
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import Login
from vmgen_build.guests.vsphere.exporting import export_machine
from vmgen_build.guests.vsphere.importing import Wanted, import_machine
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.machines import as_built
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.placement import Placement
from vmgen_build.guests.vsphere.session import Session, opened
from vmgen_build.guests.vsphere.site import find_site
from vmgen_build.host.tls import Trust
from vmgen_build.plan.machine import Machine, machine_of
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret

RECIPE = """[hardware]
vm_id = lab
os = debian-12-amd64
ram = 512
firmware = {firmware}
[[hdds]]
[[[system]]]
size = {size}
"""


@contextmanager
def trusted_stand_in(
    program: Path, folder: Path, shared: Path, machine: Machine | None, *options: str
) -> Iterator[StandIn]:
    """On 127.0.0.2, with a certificate of an authority of its own, which is `authority_of`. As `stand_in` else."""
    certificate = make_certificate(make_authority(folder, "authority"), "server", "IP:127.0.0.2")
    words = ("-listen", "127.0.0.2", "-certificate", str(certificate), *options)
    with stand_in(program, folder / "in", shared, machine, *words, epoch=YOUNG) as server:
        yield server


YOUNG = 2**31
"""No file of an export gets another time than it has."""


def authority_of(made: StandIn) -> Path:
    return made.settings.path.parent.parent / "authority.pem"


def session_on(made: StandIn) -> AbstractContextManager[Session]:
    login = Login(made.server.user, Secret(made.server.password), "the test", Trust(authority_of(made)))
    return opened(Address(made.server.host, made.server.port), login, 20)


class There:
    """A machine there with this disk, and what made it. size: of the disk, as recipes have it."""

    def __init__(self, session: Session, disk: Path, size: str, folder: Path, firmware: str = "bios") -> None:
        recipe = folder / "lab.ini"
        recipe.write_text(RECIPE.format(size=size, firmware=firmware))
        self.session, self.folder = session, folder / "home"
        self.machine: Machine = as_built(machine_of(load(recipe)))
        placement = Placement(networks=(("nat", "VM Network"),))
        site = find_site(session, inventory_of(session), placement, "VM Network")
        self.maker = Maker(session, site, "0123456789ab", "42-0123abcd")
        copy = folder / self.machine.drives[0].file
        os.link(disk, copy)
        disks = Disks((Disk(self.machine.drives[0].name, copy, "vmdk"),))
        self.made: Any = import_machine(
            session, site, Wanted(self.maker.name(), self.maker.mark("build"), self.machine, disks)
        )

    def exported(self) -> Path:
        return self.taken().disks[0].path

    def taken(self) -> Disks:
        self.folder.mkdir()
        return export_machine(self.session, self.made, self.machine, self.folder)
