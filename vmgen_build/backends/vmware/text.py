"""The machine for those who make it of text: a VMX file, a spec of the vSphere API, and how each is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vmgen_build.artifacts.ovf.devices import networks
from vmgen_build.artifacts.ovf.guest import guest_of
from vmgen_build.artifacts.ovf.write import file_names, with_empty_disks
from vmgen_build.artifacts.vimspec import config_spec_json
from vmgen_build.artifacts.vmx import vmx
from vmgen_build.plan.machine import FirstStart, Machine
from vmgen_build.plan.text.quote import TEXT
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML

INSTALL = "INSTALL"


@dataclass(frozen=True, slots=True)
class _Image:
    """A CD image, by its path in the folder and on the datastore."""

    local: str
    remote: str


def texts(machine: Machine, override: Path | None) -> dict[str, str]:
    """Name -> text. Pure. Raises BuildError, RecipeError for what one of them cannot carry."""
    return {
        INSTALL: _install(machine, override),
        f"{machine.name}.vmx": vmx(machine),
        f"{machine.name}.vim.json": config_spec_json(machine),
    }


def texts_before_setup(machine: Machine, first: FirstStart, override: Path | None) -> dict[str, str]:
    """The same for one whose disks are empty, without INSTALL."""
    return {
        f"{machine.name}.vmx": vmx(machine, first),
        f"{machine.name}.vim.json": config_spec_json(machine, first),
        f"{machine.name}-empty.ovf": with_empty_disks(machine, first, Renderer(override, XML)),
    }


def _install(machine: Machine, override: Path | None) -> str:
    return Renderer(override, TEXT).render(
        "vmware/INSTALL.j2",
        title=f"{machine.name}: {guest_of(machine).description}",
        name=machine.name,
        files=file_names(machine),
        disks=[_here(drive.file) for drive in machine.drives],
        images=[_Image(_here(cd.file), f"{machine.name}/{cd.file}") for cd in machine.cds if cd.file],
        networks=networks(machine),
    )


def _here(file: str) -> str:
    """The file as an argument that no command takes for an option."""
    return f"./{file}" if file.startswith("-") else file
