"""Release files of an archive: fetched within limits, checked by gpgv, and only what is signed is read.

Format: https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import email.utils
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.bases.fetch import fetch
from vmgen_build.bases.signature import signed_text, why_not_signed
from vmgen_build.bases.states import day
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.programs import needed, require_programs
from vmgen_build.host.system import how_to_get
from vmgen_build.limits import RELEASE, RELEASE_AHEAD
from vmgen_build.text import clean

_SIGNED, _SIGNATURE = "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----"
_NOT_ONE = "is no Release file: check the mirror's address"


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A Release file's fields by their names; a field of several lines keeps their ends."""

    url: str
    fields: Mapping[str, str]
    date: int


def signed_release(url: str, keyring: str, settings: Sequence[str]) -> SignedRelease:
    """The Release file at `url`, which ends in InRelease, or the one with a signature of its own beside it.

    keyring: of the keys of which one must have signed it, "" to take what comes. settings: this host's own of apt, as
    lines of apt.conf. Raises BuildError, and HostError where gpgv or the keyring is not there.
    """
    if keyring:
        require_programs([needed("gpgv", "checks who signed an archive")])
        require_keyring(keyring, url)
    inline = fetch(url, RELEASE, settings, optional=True)
    if inline is not None:
        text = _signed_text(url, inline, keyring) if keyring else _unchecked_text(inline)
        return _read(url, text, settings)
    plain = url.removesuffix("InRelease") + "Release"
    data = fetch(plain, RELEASE, settings)
    assert data is not None
    if keyring:
        signature = fetch(f"{plain}.gpg", RELEASE, settings)
        assert signature is not None
        _check_signature(plain, data, signature, keyring)
    return _read(plain, data, settings)


def require_keyring(keyring: str, what: str) -> None:
    """what: that is signed by these keys. Debian's and Ubuntu's packages are called as the file that they hold. Raises
    HostError."""
    if not Path(keyring).exists():
        package = how_to_get([Path(keyring).stem])
        raise HostError(f"this host lacks {keyring}, the keys that {what} is signed by; {package}")


def check_suite(release: SignedRelease, suite: str) -> None:
    """Raises BuildError where a mirror gives the file of another suite, which is signed as well."""
    names = {release.fields.get(name, "") for name in ("Suite", "Codename")}
    if suite not in names:
        shown = " or ".join(sorted(clean(name) for name in names if name)) or "no suite"
        raise BuildError(f"{release.url} is of {shown}, and not of {suite}; take another mirror")


def digest_of_indexes(release: SignedRelease, components: tuple[str, ...], arch: str) -> str:
    """Over the SHA256 lines of this architecture's indexes, so that a mere new signature is no change. Where an archive
    has compressed ones, those count."""
    indexes = {f"{c}/binary-{a}/Packages" for c in components for a in (arch, "all")} | {"Packages"}
    lines = [words for line in release.fields["SHA256"].split("\n") if len(words := line.split()) == 3]
    packed = [words for words in lines if words[2].rpartition(".")[0] in indexes]
    plain = [words for words in lines if words[2].removeprefix("./") in indexes]
    wanted = sorted(f"{words[2]} {words[0]}" for words in packed or plain)
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()


def _signed_text(url: str, data: bytes, keyring: str) -> bytes:
    """What the signature covers, as gpgv writes it out. The file is one signed message and nothing beside it, so that
    no reader can take another part of it for the signed one."""
    marks = re.findall(rb"^-----BEGIN PGP [^\n]*", data, re.MULTILINE)
    if not data.startswith(_SIGNED.encode()):
        raise BuildError(f"{url} {_NOT_ONE}")
    if [mark.rstrip().decode("ascii", "replace") for mark in marks] != [_SIGNED, _SIGNATURE]:
        raise BuildError(f"{url} is not one signed message alone; take another mirror")
    text, reason = signed_text(data, Path(keyring))
    _judge(url, reason, keyring)
    return text


def _check_signature(url: str, data: bytes, signature: bytes, keyring: str) -> None:
    _judge(url, why_not_signed(data, signature, Path(keyring)), keyring)


def _judge(url: str, reason: str, keyring: str) -> None:
    if reason:
        raise BuildError(
            f"{url} is not signed by a key of {keyring}: {reason}; take another mirror, or for a repository of the"
            " recipe's own name its key"
        )


def _unchecked_text(data: bytes) -> bytes:
    if not data.startswith(_SIGNED.encode()):
        return data
    return data.partition(b"\n\n")[2].partition(b"\n" + _SIGNATURE.encode())[0]


def _read(url: str, text: bytes, settings: Sequence[str]) -> SignedRelease:
    """settings may forgo the checks of dates: apt.conf(5), Acquire::Check-Date and Check-Valid-Until."""
    fields = _fields(url, text.decode(errors="replace"))
    if "Date" not in fields or "SHA256" not in fields:
        raise BuildError(f"{url} {_NOT_ONE}")
    release = SignedRelease(url, fields, _seconds(url, "Date", fields["Date"]))
    now = time.time()
    if release.date > now + RELEASE_AHEAD.amount and not _forgone("Check-Date", settings):
        raise BuildError(
            f"{url} is of {day(release.date)}, and this host's clock says {day(int(now))}: the limit"
            f" '{RELEASE_AHEAD.name}' allows {RELEASE_AHEAD.shown}; set this host's clock, or take another mirror"
        )
    until = fields.get("Valid-Until")
    if until is not None and _seconds(url, "Valid-Until", until) < now and not _forgone("Check-Valid-Until", settings):
        raise BuildError(
            f"{url} was valid until {clean(until)}: the mirror is out of date, or this host's clock is wrong; take"
            ' another mirror, or for a snapshot set Acquire::Check-Valid-Until "false" in this host\'s apt.conf'
        )
    return release


def _forgone(name: str, settings: Sequence[str]) -> bool:
    return any(re.fullmatch(rf'Acquire::{name} "(false|no|0|off|without|disable)";', line) for line in settings)


def _fields(url: str, text: str) -> dict[str, str]:
    """Of the first paragraph. Raises BuildError where one is there twice."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.split("\n"):
        if not line.strip():
            if found:
                break
        elif line[0] in " \t":
            found.setdefault(name, []).append(line)
        else:
            name, colon, value = line.partition(":")
            if not colon or name in found:
                raise BuildError(f"{url} {_NOT_ONE}")
            found[name] = [value.strip()]
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def _seconds(url: str, name: str, value: str) -> int:
    """Raises BuildError for what is no date of RFC 5322."""
    try:
        return int(email.utils.parsedate_to_datetime(value[:100]).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise BuildError(f"{url}: {name}: '{clean(value[:100])}' is no date; take another mirror") from error
