"""gpg(1) and gpgv(1): OpenPGP signatures in ASCII armour, as `gpg --armor --detach-sign` makes them."""

from __future__ import annotations

from typing import ClassVar

from vmgen_build.bases import signature as openpgp
from vmgen_build.build.signers.model import Signer
from vmgen_build.host import gpg
from vmgen_build.host.inmemory import in_memory
from vmgen_build.host.programs import Requirement, needed


class GpgSigner(Signer):
    """A key as gpg takes it for --local-user; its agent asks for the passphrase. Checked by a keyring."""

    scheme: ClassVar[str] = "gpg"
    ending: ClassVar[str] = ".asc"
    program: ClassVar[Requirement] = needed("gpg", "signs")

    def require(self, key: str) -> None:
        gpg.require_signing_key(key)

    def signature(self, data: bytes, name: str, key: str, old: bytes) -> bytes:
        return old if old and gpg.is_signed(data, old, key) else gpg.signed(data, key)

    def takes(self, keys: bytes) -> bool:
        """By the first bit of a packet (RFC 4880, 4.2), or the armour's head. gpgv says what is wrong with the rest."""
        return keys[:1] >= b"\x80" or b"-----BEGIN PGP PUBLIC KEY BLOCK-----" in keys

    def who(self, data: bytes, signature: bytes, keys: bytes) -> str:
        openpgp.require_gpgv()
        with in_memory(data) as file, in_memory(signature) as detached:
            verdict = openpgp.verify_by(file, detached, [keys])
        if verdict.good and not verdict.expired:
            return verdict.user or verdict.signer
        raise ValueError(verdict.reason or "its key has expired")
