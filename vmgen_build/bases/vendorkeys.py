"""Keys of vendors' repositories: fetched, checked by their fingerprint, and kept in the cache.

cache/downloads/keys/FINGERPRINT.asc    that one key, armoured, whatever else its file holds
"""

from __future__ import annotations

from pathlib import Path

from vmgen_build.bases.fetch import fetch
from vmgen_build.catalogue.programs import VendorRepository
from vmgen_build.errors import BuildError
from vmgen_build.host.files import write_whole
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import KEY_FILE
from vmgen_build.recipe.openpgp import armoured, fingerprints, only
from vmgen_build.store.cachedir import READABLE, own_folder

FOLDER = "downloads/keys"


def vendor_key(vendor: VendorRepository, cache: Path, *, offline: bool) -> Path:
    """The file of the vendor's key. Raises BuildError where it cannot be had, or is another."""
    path = own_folder(cache, FOLDER, READABLE) / f"{vendor.fingerprint}.asc"
    if path.is_file() and fingerprints(read_regular(path, KEY_FILE)) == [vendor.fingerprint]:
        return path
    if offline:
        raise BuildError(f"the key of '{vendor.name}' is not in the cache ({vendor.key}): run once without --offline")
    data = fetch(vendor.key, KEY_FILE)
    assert data is not None
    try:
        key = only(data, vendor.fingerprint)
    except ValueError as error:
        raise BuildError(
            f"{vendor.key}, the key of '{vendor.name}', is not the one that the catalogue names: {error};"
            " nothing of it was used. Compare both with what the vendor says"
        ) from error
    write_whole(path, armoured(key).decode("ascii"))
    return path
