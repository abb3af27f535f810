"""The keys that a base of packages is checked by, on the host that makes it."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.system import how_to_get
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.systems.model import System


def keys_for(base: Bootstrapped, system: System) -> Path:
    """Those that the recipe names ([hardware] base_key), else the first file of this host that an archive of the system
    names. Raises HostError where there is none: what nothing was checked by must not run as root."""
    if base.keys is not None:
        return base.keys
    names = [Path(name) for archive in system.archives for name in (archive.keyring, *archive.host_keys) if name]
    found = next((path for path in names if path.is_file()), None)
    if found is None:
        raise HostError(
            f"this host has no keys of {system.name} to check its packages by; name their file as [hardware] base_key,"
            f" or {how_to_get(['distribution-gpg-keys'])}, or name a base: [hardware] base = FILE, URL or images:ALIAS"
        )
    return found
