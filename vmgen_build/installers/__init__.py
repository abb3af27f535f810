"""Programs to package-manager commands: one module per package manager, found by its name, and those that others bring
by an entry point of the group vmgen_build.installers."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from vmgen_build import plugins
from vmgen_build.errors import VmgenError
from vmgen_build.installers.base import GuestFile, Installer, Source
from vmgen_build.systems.model import System

__all__ = ["GuestFile", "Installer", "Source", "installer_for"]

GROUP = "vmgen_build.installers"


def installer_for(system: System) -> Installer:
    """The installer of a system; VmgenError where this version has none for it."""
    found = _own(system.installer) or plugins.get(GROUP, system.installer)
    if found is None:
        raise VmgenError(
            f"{system.name} installs its packages with {system.installer}, which this version cannot drive;"
            " name a Debian system, such as debian-12"
        )
    assert isinstance(found, Installer)
    return found


def _own(name: str) -> Installer | None:
    module = f"{__name__}.{name}"
    return import_module(module).INSTALLER if find_spec(module) else None
