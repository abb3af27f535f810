"""Programs to package-manager commands: one module per package manager, found by its name, and those that others bring
by an entry point of the group vmgen_build.installers."""

from __future__ import annotations

from vmgen_build.errors import VmgenError
from vmgen_build.installers.base import GuestFile, Installer, Manner, Placement, Source
from vmgen_build.plugins import Group, own_module
from vmgen_build.systems.model import System

__all__ = ["GuestFile", "Installer", "Manner", "Placement", "Source", "find_installer", "installer_for"]

GROUP = Group[Installer]("vmgen_build.installers", "an Installer", lambda thing: isinstance(thing, Installer))


def find_installer(system: System) -> Installer | None:
    """The installer of a system; None where this version has none for it. Raises PluginError."""
    return _own(system.installer) or GROUP.get(system.installer)


def installer_for(system: System) -> Installer:
    """The installer of a system; VmgenError where this version has none for it."""
    found = find_installer(system)
    if found is None:
        raise VmgenError(
            f"{system.name} installs its packages with {system.installer}, which this version cannot drive;"
            " name a Debian system, such as debian-12"
        )
    return found


def _own(name: str) -> Installer | None:
    found: Installer | None = getattr(own_module(__name__, name), "INSTALLER", None)
    return found
