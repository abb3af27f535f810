"""How a server that speaks TLS is trusted: by whom its certificate is signed, or by the certificate itself."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import HostError, UsageError

_SHA256 = re.compile(r"[0-9A-F]{64}")
_SHA1 = re.compile(r"[0-9A-F]{40}")


def thumbprint_of(certificate: bytes) -> str:
    """certificate: DER. Its SHA-256 as openssl x509 -fingerprint shows it: pairs of hexadecimal digits with colons."""
    digest = hashlib.sha256(certificate).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def parse_thumbprint(text: str) -> str:
    """In the form of `thumbprint_of`, whether its colons are there or not. Raises ValueError, which says why."""
    digits = re.sub(r"[:\s]", "", text).upper()
    if _SHA1.fullmatch(digits):
        raise ValueError("that is a SHA-1 thumbprint, which others can forge; give the certificate's SHA-256")
    if not _SHA256.fullmatch(digits):
        raise ValueError("a thumbprint is a certificate's SHA-256: 64 hexadecimal digits, with colons or without")
    return ":".join(digits[i : i + 2] for i in range(0, 64, 2))


@dataclass(frozen=True, slots=True)
class Trust:
    """cafile: PEM, of the authorities that may have signed; None for those of this system. thumbprint: the only
    certificate that is taken, "" for any that is signed; without a cafile nobody need have signed that one.
    insecure: any certificate is taken."""

    cafile: Path | None = None
    thumbprint: str = ""
    insecure: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """The options that say so."""
        options = {
            "--cafile": self.cafile is not None,
            "--thumbprint": bool(self.thumbprint),
            "--insecure": self.insecure,
        }
        return tuple(name for name, there in options.items() if there)

    def check(self) -> None:
        """Raises UsageError where they speak against each other."""
        if self.insecure and len(self.given) > 1:
            raise UsageError(f"{self.given[0]} checks the server's certificate and --insecure does not: give one alone")

    def or_else(self, other: Trust) -> Trust:
        """The other where this one says nothing."""
        return self if self.given else other

    @property
    def verified(self) -> bool:
        """Whether a signature is asked for. Whoever connects compares the thumbprint."""
        return not self.insecure and (self.cafile is not None or not self.thumbprint)

    def context(self) -> ssl.SSLContext:
        """For one server's connections. What the environment names ($SSL_CERT_FILE) is not taken. Raises HostError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not self.verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return context
        if self.cafile is None:
            _take_own(context)
            return context
        try:
            context.load_verify_locations(cafile=self.cafile)
        except (OSError, ValueError) as error:
            why = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error
            raise HostError(
                f"--cafile {self.cafile}: {why}; name a file with the certificates of authorities"
            ) from None
        return context


SYSTEM = Trust()
"""Whoever an authority of this system has signed for."""


def _take_own(context: ssl.SSLContext) -> None:
    """This system's authorities, where OpenSSL was built to find them."""
    paths = ssl.get_default_verify_paths()
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if file.is_file():
        context.load_verify_locations(cafile=file)
    if folder.is_dir():
        context.load_verify_locations(capath=folder)
