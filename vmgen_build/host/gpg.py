"""gpg(1): signatures made with a key of the caller's own keyring, whose agent asks for the passphrase; and what it
says of keys of others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.environment import ON_TERMINAL, own
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.programs import needed, require_programs
from vmgen_build.host.run import Finished, run

_ASKING = ("GNUPGHOME", "GPG_TTY", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS")

_NO_HOME = "/var/empty/vmgen-build"
_BLIND = (
    "--batch",
    "--no-tty",
    "--homedir",
    _NO_HOME,
    "--no-options",
    "--no-keyring",
    "--no-autostart",
    "--lock-never",
    "--trust-model",
    "always",
)

_PATIENCE = 120.0
"""Seconds that gpg may look at keys of others."""

_REVOKED, _OVER = ("r", "i"), ("r", "i", "e", "d")
"""Letters for a key that does not count (doc/DETAILS of GnuPG, field 2): revoked, invalid, expired, disabled."""

_SIGNS = "S"
"""Among the capabilities of a key (doc/DETAILS of GnuPG, field 12): the key as a whole, as it now is, can sign."""


def require_signing_key(key: str) -> None:
    """key: as --local-user of gpg(1) takes it. Raises HostError where gpg has no such key that can sign now."""
    require_programs([needed("gpg", "signs")])
    listed = _gpg("--list-secret-keys", "--with-colons", "--", key)
    secret = [line.split(":") for line in listed.text.splitlines() if line.startswith("sec:")]
    if not any(len(fields) > 11 and _SIGNS in fields[11] for fields in secret):
        home = os.environ.get("GNUPGHOME") or str(Path("~/.gnupg").expanduser())
        why = "is expired, revoked or not for signing" if secret else f"is not among the secret keys of {home}"
        raise HostError(
            f"cannot sign: the key '{key}' {why}; 'gpg --list-secret-keys' shows yours, of the folder GNUPGHOME"
        )


def signed(data: bytes, key: str) -> bytes:
    """A detached, armoured signature over `data`. Raises BuildError."""
    words = ("--armor", "--digest-algo", "SHA512", "--local-user", key, "--output", "-", "--detach-sign")
    done = _gpg(*words, data=data)
    if done.code != 0:
        raise BuildError(f"cannot sign with the key '{key}': {done.reason}")
    return done.out


def is_signed(data: bytes, signature: bytes, key: str) -> bool:
    """Whether `signature` is one over `data` that the key made and that still holds."""
    with in_memory(signature) as file:
        done = _gpg("--status-fd", "1", "--verify", name_of(file), "-", data=data, fds=[file.fileno()])
    status = dict(re.findall(r"^\[GNUPG:\] ([A-Z_]+) ?(.*)$", done.text, re.MULTILINE))
    if done.code != 0 or not {"GOODSIG", "VALIDSIG"} <= status.keys():
        return False
    listed = _gpg("--list-secret-keys", "--with-colons", "--", key).text
    own = set(re.findall(r"^fpr:+([0-9A-F]+):", listed, re.MULTILINE))
    return status["VALIDSIG"].split()[0] in own


def judged_keys(data: bytes) -> Mapping[str, frozenset[str]]:
    """Of a binary file of keys of others, those that gpg takes and that are not revoked: fingerprint of the primary key
    -> those of the subkeys that it has bound to itself and that are neither revoked nor expired.

    gpg checks each binding before it shows a key; no keyring, setting or folder of the caller is used
    (gpg(1), --import-options show-only). Raises HostError where there is no gpg.
    """
    require_programs([needed("gpg", "checks keys")])
    words = ("--with-colons", "--import-options", "show-only", "--import")
    done = run(["gpg", *_BLIND, *words], data=data, timeout=_PATIENCE)
    found: dict[str, set[str]] = {}
    kind, validity, primary = "", "", ""
    for fields in (line.split(":") for line in done.text.splitlines()):
        if fields[0] in ("pub", "sub"):
            kind, validity = fields[0], fields[1]
        elif fields[0] == "fpr" and kind == "pub":
            primary = fields[9]
            found |= {primary: set()} if validity not in _REVOKED else {}
        elif fields[0] == "fpr" and kind == "sub" and validity not in _OVER:
            found.get(primary, set()).add(fields[9])
    return {one: frozenset(subkeys) for one, subkeys in found.items()}


def _gpg(*words: str, data: bytes = b"", fds: Sequence[int] = ()) -> Finished:
    """The passphrase is asked for on the caller's terminal or display, which gpg hands on to its agent (gpg(1))."""
    env = own((*_ASKING, *ON_TERMINAL))
    if os.isatty(0):
        env.setdefault("GPG_TTY", os.ttyname(0))
    return run(["gpg", "--batch", "--no-tty", *words], data=data, env=env, fds=fds)
