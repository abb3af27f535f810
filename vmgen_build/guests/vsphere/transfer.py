"""Files to and from what a server's addresses name: its datastores, its hosts' disks and guests.

An address may have * for the server's own name, or name one of its hosts, which has a certificate of its own. Each is
trusted as the session's server is; where that is known by its thumbprint alone, a host's is what the server says.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPResponse
from typing import IO, Any
from urllib.parse import urlsplit

from vmgen_build.errors import HostError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.faults import LOST, as_error
from vmgen_build.guests.vsphere.properties import properties_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.wire import Connection
from vmgen_build.host.tls import thumbprint_of
from vmgen_build.limits import VSPHERE_SILENCE

CHUNK = 1 << 20

Count = Callable[[int], None]
"""Takes how many bytes more have been moved."""


class FileConnection(Connection):
    """One whose answers are files: their limits are those of what reads them."""

    response_class = HTTPResponse


def nothing(_count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Upload:
    """method: "PUT" or "POST". size: bytes. kind: of the content, as in Content-Type."""

    url: str
    size: int
    method: str = "PUT"
    kind: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


class Transfers:
    """silence: seconds in which nothing comes or goes, after which a transfer is given up."""

    def __init__(self, session: Session, silence: float = float(VSPHERE_SILENCE.amount)) -> None:
        self._session, self._silence = session, silence

    def send(self, file: IO[bytes], upload: Upload, what: str, moved: Count = nothing) -> None:
        """Raises HostError, also where the server does not take it."""
        with self._connected(upload.url, what) as (connection, path, headers):
            connection.putrequest(upload.method, path)
            more = {"Content-Length": str(upload.size), "Content-Type": upload.kind, **headers, **upload.headers}
            for name, value in more.items():
                connection.putheader(name, value)
            connection.endheaders()
            left = upload.size
            while left and (chunk := file.read(min(CHUNK, left))):
                connection.send(chunk)
                left -= len(chunk)
                moved(len(chunk))
            answer = connection.getresponse()
            if not 200 <= answer.status < 300:
                raise self._refused(answer, what)

    @contextmanager
    def receive(self, url: str, what: str, headers: Mapping[str, str] | None = None) -> Iterator[HTTPResponse]:
        """The answer, of status 200 or 206. Raises HostError, also for what reading it raises (LOST)."""
        with self._connected(url, what) as (connection, path, own):
            connection.request("GET", path, headers={**own, **(headers or {})})
            answer = connection.getresponse()
            if answer.status not in (200, 206):
                raise self._refused(answer, what)
            yield answer

    @contextmanager
    def _connected(self, url: str, what: str) -> Iterator[tuple[FileConnection, str, dict[str, str]]]:
        """The connection, the path there, and headers."""
        connection, path, headers = self._begun(url)
        try:
            yield connection, path, headers
        except LOST as error:
            raise as_error(error, f"{self._session.where}: {what}") from error
        finally:
            connection.close()

    def _begun(self, url: str) -> tuple[FileConnection, str, dict[str, str]]:
        address = self._session.address
        parts = urlsplit(url.replace("*", address.host, 1))
        if parts.scheme != "https" or not parts.hostname:
            raise HostError(f"{self._session.where} names an address that is none of https: {shown(url)}")
        name, port = parts.hostname, parts.port or 443
        own = (name, port) == (address.name, address.port)
        connection = FileConnection(
            name,
            port,
            timeout=self._silence,
            context=self._context,
            thumbprint=self._thumbprint(name, own=own),
        )
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return connection, path, {"Cookie": self._cookie} if own else {}

    @property
    def _cookie(self) -> str:
        """The session's, which only its own server gets."""
        return str(self._session.stub.cookie or "").partition(";")[0]

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._session.login.trust.context()

    def _thumbprint(self, name: str, *, own: bool) -> str:
        """As of `thumbprint_of`; "" for any that is signed, or where nothing is checked."""
        named = self._session.login.trust.thumbprint
        if own or not named:
            return named
        found = self._hosts.get(name)
        if found is None:
            raise HostError(
                f"{self._session.where} names {shown(name)} for a transfer, and its certificate is not known: give"
                " --cafile with the server's authority, who signs those of its hosts as well"
            )
        return found

    @cached_property
    def _hosts(self) -> Mapping[str, str]:
        """Thumbprints of the server's hosts by their names, as the server, which is trusted, says."""
        from pyVmomi import vim

        content: Any = self._session.content
        view = self._session.order(
            "looking at its hosts",
            lambda: content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True),
        )
        hosts = self._session.read("looking at its hosts", lambda: list(view.view))
        found = properties_of(self._session, "looking at its hosts", hosts, ["name", "config.certificate"])
        return {
            str(values["name"]).lower(): _digest(values["config.certificate"])
            for values in found.values()
            if "name" in values and "config.certificate" in values
        }

    def _refused(self, answer: HTTPResponse, what: str) -> HostError:
        text = answer.read(2000).decode("utf-8", "replace").strip().partition("\n")[0]
        return HostError(
            f"{self._session.where}: {what}: it answers {answer.status} {shown(answer.reason)}"
            f"{f' ({shown(text)})' if text else ''}: look at the server's events"
        )


def _digest(certificate: object) -> str:
    """certificate: PEM, as bytes or numbers (HostConfigInfo.certificate)."""
    data = bytes(int(value) & 0xFF for value in certificate) if not isinstance(certificate, bytes) else certificate  # type: ignore[attr-defined]
    try:
        return thumbprint_of(ssl.PEM_cert_to_DER_cert(data.decode("ascii")))
    except ValueError:
        return hashlib.sha256(data).hexdigest()
