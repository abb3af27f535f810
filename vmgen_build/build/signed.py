"""Signatures of manifests and of SHA256SUMS: made after a build, asked for by verify --key and --keyring.

NAME.manifest.json and SHA256SUMS bear a detached signature each, in a file whose ending says which program made it
(build.signers.table). SHA256SUMS holds the digests of artifacts, of their manifests, and of what else describes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmgen_build.artifacts.manifest import manifest_path, withdraw
from vmgen_build.artifacts.sums import NAME as SUMS
from vmgen_build.artifacts.sums import locked
from vmgen_build.build.signers.table import SIGNERS, checker_of, signer_for
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, write_whole
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import KEYRING, SIGNATURE
from vmgen_build.text import clean


def signature_path(path: Path, ending: str = ".asc") -> Path:
    return path.with_name(f"{path.name}{ending}")


def signer_of(data: bytes, path: Path, keys: Path) -> str:
    """Who signed these bytes, read of `path`, as the key or the list of signers names them: "Ana <ana@example.org>".

    keys: a file of public keys: a keyring of gpg, armoured or not, a public key of ssh or a list of allowed signers, a
    public key of minisign; the signature lies beside the file. Raises HostError where there is none that is good, or
    its key, which must be of that file, has expired or was revoked.
    """
    try:
        public = read_regular(keys, KEYRING)
    except OSError as error:
        raise HostError(f"cannot read the keyring {keys}: {error.strerror}") from error
    signer = checker_of(public)
    if signer is None:
        raise HostError(
            f"{keys} holds no public keys to check a signature by: name a keyring of gpg (gpg --export), a public key"
            " of ssh or a list of allowed signers, or a public key of minisign"
        )
    beside = signature_path(path, signer.ending)
    try:
        made = read_regular(beside, SIGNATURE)
    except OSError as error:
        raise HostError(f"{path} is not signed: cannot read {beside}: {error.strerror}") from error
    try:
        return clean(signer.who(data, made, public))
    except ValueError as error:
        raise HostError(
            f"{path} is not signed as {keys} asks for: {clean(str(error))}; fetch both files again, or ask who made"
            " them"
        ) from error


def sign(path: Path, key: str) -> None:
    """Sign a file, where it does not bear a signature of this key already that holds. key: as of signer_for. Raises
    BuildError, HostError."""
    signer, own = signer_for(key)
    beside = signature_path(path, signer.ending)
    old = read_regular(beside, SIGNATURE) if beside.is_file() else b""
    made = signer.signature(path.read_bytes(), path.name, own, old)
    if made != old:
        write_whole(beside, made.decode("ascii", "replace"))


def sign_each(paths: Sequence[Path], keys: Sequence[str], before: dict[Path, bytes | None]) -> None:
    """Sign each file by each key. before: what each file held; of one that changed, no signature by another program
    stays. Raises BuildError, HostError."""
    endings = {signer_for(key)[0].ending for key in keys}
    for path in paths:
        drop_stale(path, before[path], endings)
        for key in keys:
            sign(path, key)


def drop_stale(path: Path, before: bytes | None, anew: frozenset[str] | set[str] = frozenset()) -> None:
    """Remove the signatures of a file that is not what it was `before`, but for those with endings that are made
    `anew`."""
    if before is not None and path.read_bytes() != before:
        _remove_signatures(path, anew)


def withdraw_signed(files: Sequence[Written]) -> None:
    """As artifacts.manifest.withdraw; signatures of what is no more go too. Raises HostError."""
    manifest = manifest_path(files[0].path)
    sums = manifest.with_name(SUMS)
    if withdraw(files):
        with locked(manifest.parent):
            _remove_signatures(sums)
    if not manifest.exists():
        _remove_signatures(manifest)


def _remove_signatures(path: Path, but: frozenset[str] | set[str] = frozenset()) -> None:
    for one in SIGNERS:
        if one.ending not in but:
            signature_path(path, one.ending).unlink(missing_ok=True)
