"""HTTPS to a vSphere server: the certificate is compared on the very connection, and an answer has its limit.

No proxy is used, and nothing of the environment.
"""

from __future__ import annotations

import ssl
from http.client import HTTPResponse, HTTPSConnection
from typing import Any

from vmgen_build.errors import HostError
from vmgen_build.host.tls import thumbprint_of
from vmgen_build.limits import VSPHERE_ANSWER


class WrongCertificate(HostError):
    """The server has another certificate than the one that was named."""


class BoundedResponse(HTTPResponse):
    """Ends with HostError where it is longer than the limit vsphere-answer."""

    _had = 0

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(VSPHERE_ANSWER.amount + 1 if amt is None else amt)
        self._had += len(data)
        if self._had > VSPHERE_ANSWER.amount:
            raise HostError(f"the server's answer does not end: {VSPHERE_ANSWER.exceeded}")
        return data


class Connection(HTTPSConnection):
    """One that pyvmomi's stub makes, with its schemeArgs. thumbprint: as of `thumbprint_of`, "" for any."""

    response_class: type[HTTPResponse] = BoundedResponse

    def __init__(self, *args: Any, thumbprint: str = "", **more: Any) -> None:
        super().__init__(*args, **more)
        self._thumbprint = thumbprint

    def connect(self) -> None:
        super().connect()
        assert isinstance(self.sock, ssl.SSLSocket)
        if not self._thumbprint:
            return
        found = thumbprint_of(self.sock.getpeercert(binary_form=True) or b"")
        if found != self._thumbprint:
            self.close()
            raise WrongCertificate(
                f"the certificate of {self.host} has the SHA-256 {found}, and not {self._thumbprint}: either it was"
                " renewed, or this is another server; ask its administrator for the right one, and name that"
                " (--thumbprint, or the hosts file); no password was sent"
            )


def shown_certificate(host: str, port: int, timeout: float) -> str:
    """The thumbprint of what answers there now, for a message to a person who compares it; "" where nothing does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection(host, port, timeout=timeout, context=context)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        return thumbprint_of(connection.sock.getpeercert(binary_form=True) or b"")
    except OSError:
        return ""
    finally:
        connection.close()
