"""Signatures of manifests and of SHA256SUMS: made after a build, asked for by verify --keyring.

NAME.manifest.json.asc and SHA256SUMS.asc: detached OpenPGP signatures in ASCII armour, as `gpg --armor --detach-sign`
makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.manifest import manifest_path, withdraw
from vmgen_build.artifacts.sums import NAME as SUMS
from vmgen_build.artifacts.sums import locked
from vmgen_build.bases import signature
from vmgen_build.errors import HostError
from vmgen_build.host import gpg
from vmgen_build.host.files import Written, write_whole
from vmgen_build.host.inmemory import in_memory
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SIGNATURE
from vmgen_build.text import clean


def signature_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.asc")


def signer_of(data: bytes, path: Path, keyring: Path) -> str:
    """Who signed these bytes, read of `path`: the name that the key bears: "Ana <ana@example.org>".

    keyring: of public keys, armoured or not; the signature lies beside the file. Raises HostError where there is none
    that is good, or its key, which must be of the keyring, has expired or was revoked.
    """
    beside = signature_path(path)
    try:
        made = read_regular(beside, SIGNATURE)
    except OSError as error:
        raise HostError(f"{path} is not signed: cannot read {beside}: {error.strerror}") from error
    signature.require_gpgv()
    with in_memory(data) as file, in_memory(made) as detached:
        verdict = signature.verify_open(file, detached, [keyring])
    if verdict.good and not verdict.expired:
        return clean(verdict.user or verdict.signer)
    reason = verdict.reason or "its key has expired"
    raise HostError(
        f"{path} is not signed as {keyring} asks for: {clean(reason)}; fetch both files again, or ask who made them"
    )


def sign(path: Path, key: str) -> None:
    """Sign a file, where it does not bear a signature of this key already that holds. Raises BuildError, HostError."""
    data, beside = path.read_bytes(), signature_path(path)
    if not (beside.is_file() and gpg.is_signed(data, read_regular(beside, SIGNATURE), key)):
        write_whole(beside, gpg.signed(data, key).decode("ascii"))


def drop_stale(path: Path, before: bytes | None) -> None:
    """Remove the signature of a file that is not what it was `before`, and that nobody signs anew."""
    if before is not None and path.read_bytes() != before:
        signature_path(path).unlink(missing_ok=True)


def withdraw_signed(files: Sequence[Written]) -> None:
    """As artifacts.manifest.withdraw; signatures of what is no more go too. Raises HostError."""
    manifest = manifest_path(files[0].path)
    sums = manifest.with_name(SUMS)
    if withdraw(files):
        with locked(manifest.parent):
            signature_path(sums).unlink(missing_ok=True)
    if not manifest.exists():
        signature_path(manifest).unlink(missing_ok=True)
