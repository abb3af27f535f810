"""Detached OpenPGP signatures, checked by gpgv against the keys that the user trusts."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from vmgen_build.errors import HostError
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.programs import needed, require_programs
from vmgen_build.host.run import Finished, run
from vmgen_build.text import clean

_PATIENCE = 600.0
"""Seconds that gpgv may take."""

_NO_HOME = "/var/empty/vmgen-build"
"""gpgv looks there for a keyring where it is given none."""

_STRICT = ("--weak-digest", "SHA1", "--weak-digest", "RIPEMD160")

_ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True, slots=True)
class Verdict:
    """good: made by a key of the keyrings, over these bytes. expired: by one that has expired since.

    signer: the key's fingerprint or id, "" if unknown. reason: for a person, why it is not good; "" if it is.
    user: whose key made a good one, "Ana <ana@example.org>".
    """

    good: bool
    signer: str
    reason: str = ""
    expired: bool = False
    user: str = ""


def require_gpgv() -> None:
    """Raises HostError where there is none."""
    require_programs([needed("gpgv", "checks signatures")])


def verify(file: Path, signature: Path, keyrings: Sequence[Path], *, strict: bool = True) -> Verdict:
    """strict: a signature over a weak digest is none; the old OS templates of OpenVZ have no other.

    Raises HostError where gpgv is missing or a keyring cannot be read.
    """
    with file.open("rb") as data, signature.open("rb") as detached:
        return verify_open(data, detached, keyrings, strict=strict)


def verify_open(file: IO[bytes], signature: IO[bytes], keyrings: Sequence[Path], *, strict: bool = True) -> Verdict:
    """As `verify`, of open files."""
    return verify_by(file, signature, [_read_keys(keyring) for keyring in keyrings], strict=strict)


def verify_by(file: IO[bytes], signature: IO[bytes], keys: Sequence[bytes], *, strict: bool = True) -> Verdict:
    """As `verify_open`, by what keyrings hold."""
    words = [*(_STRICT if strict else ()), "--", name_of(signature), name_of(file)]
    done, status = _gpgv(keys, words, [signature.fileno(), file.fileno()])
    return _verdict(done, status)


def signed_text(message: bytes, keyring: Path) -> tuple[bytes, str]:
    """What the signatures of a clear-signed message cover, as gpgv writes it out, and why they are not good, "" where
    they are. Raises HostError as `verify`."""
    with in_memory(message) as file:
        done, status = _gpgv([_read_keys(keyring)], [*_STRICT, "--output", "-", "--", name_of(file)], [file.fileno()])
    return done.out, _why_not_signed(done, status)


def why_not_signed(data: bytes, signature: bytes, keyring: Path) -> str:
    """Why a detached signature is not good, "" where it is. Raises HostError as `verify`."""
    with in_memory(data) as file, in_memory(signature) as detached:
        words = [*_STRICT, "--", name_of(detached), name_of(file)]
        return _why_not_signed(*_gpgv([_read_keys(keyring)], words, [detached.fileno(), file.fileno()]))


def _why_not_signed(done: Finished, status: str) -> str:
    """ "" where one key of the keyrings, neither expired nor revoked, has signed what gpgv was given, and no signature
    of theirs is bad. Several keys may have signed, of which some are unknown, as apt(8) has it too."""
    found = set(re.findall(r"^\[GNUPG:\] ([A-Z_]+)", status, re.MULTILINE))
    if found >= {"GOODSIG", "VALIDSIG"} and not found & {"BADSIG", "FAILURE", "NODATA", "UNEXPECTED"}:
        return ""
    if "EXPKEYSIG" in found and not found & {"BADSIG", "REVKEYSIG"}:
        return "the key that signed it has expired"
    return _verdict(replace(done, code=done.code or 1), status).reason


def _gpgv(keys: Sequence[bytes], words: Sequence[str], fds: Sequence[int]) -> tuple[Finished, str]:
    """How it ended, and what it wrote to its --status-fd. fds: of the files that the words name."""
    with ExitStack() as undo:
        binary = [undo.enter_context(in_memory(_binary(one))) for one in keys]
        status = undo.enter_context(in_memory(b""))
        rings = [word for file in binary for word in ("--keyring", name_of(file))]
        command = ["gpgv", "--homedir", _NO_HOME, "--status-fd", str(status.fileno()), *rings, *words]
        passed = [*fds, status.fileno(), *(file.fileno() for file in binary)]
        done = run(command, timeout=_PATIENCE, fds=passed)
        status.seek(0)
        return done, status.read().decode(errors="replace")


def _read_keys(keyring: Path) -> bytes:
    try:
        return keyring.read_bytes()
    except OSError as error:
        raise HostError(f"cannot read the keyring {keyring}: {error.strerror}") from error


def _binary(keys: bytes) -> bytes:
    """gpgv takes binary keyrings alone (gpgv(1), --keyring); armoured ones are read here (RFC 4880, 6.2)."""
    if _ARMOUR.encode() not in keys:
        return keys
    blocks = re.findall(rf"{_ARMOUR}\s*?\n(.*?)-----END", keys.decode("ascii", "replace"), re.DOTALL)
    try:
        return b"".join(_dearmoured(block) for block in blocks)
    except ValueError as error:
        raise HostError(f"the keyring is damaged: {error}") from error


def _dearmoured(block: str) -> bytes:
    """The headers end with an empty line; a line that begins with "=" is the checksum."""
    lines = [line.strip() for line in block.splitlines()]
    body = [line for line in lines if line and ":" not in line and not line.startswith("=")]
    return base64.b64decode("".join(body), validate=True)


def _verdict(done: Finished, status: str) -> Verdict:
    """status: the lines of --status-fd, doc/DETAILS of GnuPG."""
    found = dict(re.findall(r"^\[GNUPG:\] ([A-Z_]+) ?(.*)$", status, re.MULTILINE))
    if "REVKEYSIG" in found:
        return Verdict(False, found["REVKEYSIG"].split()[0], "its key was revoked")
    if "EXPSIG" in found:
        return Verdict(False, found["EXPSIG"].split()[0], "the signature has expired")
    if done.code == 0 and "VALIDSIG" in found:
        words = found.get("GOODSIG") or found.get("EXPKEYSIG") or ""
        user = unquote(words.partition(" ")[2])
        return Verdict(True, found["VALIDSIG"].split()[0], expired="EXPKEYSIG" in found, user=user)
    if "BADSIG" in found:
        key, _, user = found["BADSIG"].partition(" ")
        return Verdict(False, key, clean(f"key {key} ({user}) signed other bytes than these"))
    if "NO_PUBKEY" in found:
        key = found["NO_PUBKEY"].split()[0]
        return Verdict(False, key, f"it was made by key {key}, which the keyring does not hold")
    last = (done.err.decode(errors="replace").strip().splitlines() or ["no signature was found"])[-1]
    return Verdict(False, "", clean(last).removeprefix("gpgv: "))
