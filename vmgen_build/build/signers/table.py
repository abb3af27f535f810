"""The programs that sign, and which of them a key belongs to."""

from __future__ import annotations

from functools import cache

from vmgen_build.build.signers.gnupg import GpgSigner
from vmgen_build.build.signers.minisign import MinisignSigner
from vmgen_build.build.signers.model import Signer
from vmgen_build.build.signers.ssh import SshSigner
from vmgen_build.errors import UsageError

SIGNERS: tuple[Signer, ...] = (MinisignSigner(), SshSigner(), GpgSigner())
"""The last is that of a key without a scheme."""


def signer_for(name: str) -> tuple[Signer, str]:
    """name: as --sign has it: "ssh:FILE", "minisign:FILE", "gpg:KEY", or a key of gpg alone. And the key itself."""
    scheme, colon, key = name.partition(":")
    for one in SIGNERS:
        if colon and scheme == one.scheme:
            return one, key
    return SIGNERS[-1], name


@cache
def require_keys(names: tuple[str, ...]) -> None:
    """Once in a run, so that a passphrase is asked for before anything else. Raises UsageError for two keys of one
    program, as their signatures would bear one name; HostError where one cannot sign now."""
    found = [signer_for(name) for name in names]
    for one, _ in found:
        if len([other for other, _ in found if other is one]) > 1:
            raise UsageError(f"--sign: two keys of {one.scheme} would write the same {one.ending}; name one of them")
    for one, key in found:
        one.require(key)


def checker_of(keys: bytes) -> Signer | None:
    """The program that a file of public keys belongs to; None for none."""
    return next((one for one in SIGNERS if one.takes(keys)), None)
