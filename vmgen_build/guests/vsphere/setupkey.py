"""Administrator's password in a machine that Setup makes on a server: made from a key that the cache keeps.

A build may begin with such a machine long after Setup has run, by another recipe too, and logs in by this password
until a step gives Administrator that of the recipe. So it can be neither made up nor the recipe's (docs/decisions.md).

cache/vsphere/setup-key    64 hexadecimal digits, its owner's alone
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import string
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.files import write_private
from vmgen_build.host.regular import open_regular
from vmgen_build.secret import Secret
from vmgen_build.store.cachedir import own_folder

FOLDER, FILE = "vsphere", "setup-key"

LETTERS = string.ascii_letters + string.digits
COUNT = 10

_FORM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SetupKey:
    secret: Secret

    @property
    def name(self) -> str:
        """What tells it from others, and nothing of it."""
        return self._digest("name").hex()[:16]

    def password(self, state: str) -> Secret:
        """state: id of what Setup makes. Of 14 characters, which is what net user takes without a question, of the
        kinds that servers ask for."""
        number, found = int.from_bytes(self._digest(f"administrator {state}"), "big"), ""
        for _ in range(COUNT):
            number, at = divmod(number, len(LETTERS))
            found += LETTERS[at]
        return Secret(f"Vm1-{found}")

    def _digest(self, use: str) -> bytes:
        return hmac.digest(bytes.fromhex(self.secret.reveal()), use.encode(), hashlib.sha256)


def setup_key(cache: Path) -> SetupKey:
    """The cache's own, made where there is none yet. Raises HostError."""
    folder = own_folder(cache, FOLDER)
    new = folder / f".{FILE}.{secrets.token_hex(8)}"
    if (found := known_setup_key(cache)) is not None:
        return found
    try:
        write_private(new, f"{secrets.token_hex(32)}\n")
        try:
            with suppress(FileExistsError):
                os.link(new, folder / FILE)
        finally:
            new.unlink()
    except OSError as error:
        raise HostError(f"cannot write {folder / FILE}: {error.strerror}") from error
    found = known_setup_key(cache)
    assert found is not None
    return found


def known_setup_key(cache: Path) -> SetupKey | None:
    """None where there is none. Changes nothing. Raises HostError where it is none that was made here."""
    path = cache / FOLDER / FILE
    try:
        with open_regular(path, follow=False) as file:
            text = file.read(200).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror or error}") from error
    if not _FORM.fullmatch(text):
        raise HostError(f"{path} holds no key of this tool's; remove it, and Setup runs anew on each server")
    return SetupKey(Secret(text))
