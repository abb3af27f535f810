"""Programs to package-manager commands: one module per package manager, found by its name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from vmgen_build.errors import VmgenError
from vmgen_build.installers.base import GuestFile, Installer, Source
from vmgen_build.systems.model import System

__all__ = ["GuestFile", "Installer", "Source", "installer_for"]


def installer_for(system: System) -> Installer:
    """The installer of a system; VmgenError where this version has none for it."""
    module = f"{__name__}.{system.installer}"
    if find_spec(module) is None:
        raise VmgenError(
            f"{system.name} installs its packages with {system.installer}, which this version cannot drive;"
            " name a Debian system, such as debian-12"
        )
    installer = import_module(module).INSTALLER
    assert isinstance(installer, Installer)
    return installer
