"""Detached OpenPGP signatures, checked by gpgv against the keys that the user trusts."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vmgen_build.errors import HostError
from vmgen_build.host.programs import needed, require_programs
from vmgen_build.host.run import Finished, run
from vmgen_build.text import clean

_PATIENCE = 600.0
"""Seconds that gpgv may take."""

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
    done = _gpgv(keyrings, [*(_STRICT if strict else ()), "--", str(signature), str(file)])
    return _verdict(done.code, done.text, done.err.decode(errors="replace"))


def why_not_signed(words: Sequence[str], keyrings: Sequence[Path]) -> str:
    """ "" where one key of the keyrings, neither expired nor revoked, has signed what gpgv is given, and no signature
    of theirs is bad; else the reason. Several keys may have signed, of which some are unknown, as apt(8) has it too.

    words: of gpgv(1), behind its options. Raises HostError as `verify`.
    """
    done = _gpgv(keyrings, [*_STRICT, *words])
    found = set(re.findall(r"^\[GNUPG:\] ([A-Z_]+)", done.text, re.MULTILINE))
    if found >= {"GOODSIG", "VALIDSIG"} and not found & {"BADSIG", "FAILURE", "NODATA", "UNEXPECTED"}:
        return ""
    if "EXPKEYSIG" in found and not found & {"BADSIG", "REVKEYSIG"}:
        return "the key that signed it has expired"
    return _verdict(done.code or 1, done.text, done.err.decode(errors="replace")).reason


def _gpgv(keyrings: Sequence[Path], words: Sequence[str]) -> Finished:
    with tempfile.TemporaryDirectory(prefix="vmgen-build-") as scratch:
        command = ["gpgv", "--homedir", scratch, "--status-fd", "1"]
        for number, keyring in enumerate(keyrings):
            binary = Path(scratch, f"keys{number}.gpg")
            binary.write_bytes(_binary_keys(keyring))
            command += ["--keyring", str(binary)]
        return run([*command, *words], timeout=_PATIENCE)


def _binary_keys(keyring: Path) -> bytes:
    """gpgv takes binary keyrings alone (gpgv(1), --keyring); armoured ones are read here (RFC 4880, 6.2)."""
    try:
        data = keyring.read_bytes()
    except OSError as error:
        raise HostError(f"cannot read the keyring {keyring}: {error.strerror}") from error
    if _ARMOUR.encode() not in data:
        return data
    blocks = re.findall(rf"{_ARMOUR}\s*?\n(.*?)-----END", data.decode("ascii", "replace"), re.DOTALL)
    try:
        return b"".join(_dearmoured(block) for block in blocks)
    except ValueError as error:
        raise HostError(f"the keyring {keyring} is damaged: {error}") from error


def _dearmoured(block: str) -> bytes:
    """The headers end with an empty line; a line that begins with "=" is the checksum."""
    lines = [line.strip() for line in block.splitlines()]
    body = [line for line in lines if line and ":" not in line and not line.startswith("=")]
    return base64.b64decode("".join(body), validate=True)


def _verdict(code: int, status: str, errors: str) -> Verdict:
    """The lines of --status-fd: doc/DETAILS of GnuPG."""
    found = dict(re.findall(r"^\[GNUPG:\] ([A-Z_]+) ?(.*)$", status, re.MULTILINE))
    if "REVKEYSIG" in found:
        return Verdict(False, found["REVKEYSIG"].split()[0], "its key was revoked")
    if "EXPSIG" in found:
        return Verdict(False, found["EXPSIG"].split()[0], "the signature has expired")
    if code == 0 and "VALIDSIG" in found:
        words = found.get("GOODSIG") or found.get("EXPKEYSIG") or ""
        user = unquote(words.partition(" ")[2])
        return Verdict(True, found["VALIDSIG"].split()[0], expired="EXPKEYSIG" in found, user=user)
    if "BADSIG" in found:
        key, _, user = found["BADSIG"].partition(" ")
        return Verdict(False, key, clean(f"key {key} ({user}) signed other bytes than these"))
    if "NO_PUBKEY" in found:
        key = found["NO_PUBKEY"].split()[0]
        return Verdict(False, key, f"it was made by key {key}, which the keyring does not hold")
    last = (errors.strip().splitlines() or ["no signature was found"])[-1]
    return Verdict(False, "", clean(last).removeprefix("gpgv: "))
