"""A session on a vSphere server: one login, connections that are kept, a logout at the end.

A question is asked a second time after a lost connection or an ended session. An order never is: whether the server has
begun with it is not known then.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vmgen_build.errors import HostError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import Login
from vmgen_build.guests.vsphere.faults import LOST, ServerLost, as_error, is_fault, kinds_of, plain_name
from vmgen_build.guests.vsphere.wire import Connection, WrongCertificate, shown_certificate
from vmgen_build.limits import VSPHERE_SILENCE

if TYPE_CHECKING:
    from pyVmomi import vim
    from pyVmomi.SoapAdapter import SoapStubAdapter

Answer = TypeVar("Answer")

IDLE = 20
"""Seconds after which a connection that lies idle is not used any more: the server, or a wall on the way, may have
closed it, and an order must not find that out."""

QUIET = 600.0
"""Seconds without a question after which an order asks first whether the session lives. vCenter ends one after 30
minutes, and an administrator may have set less."""

LOWEST = (5, 5)
"""The oldest version of the API that is spoken; the first question is asked in it."""


@dataclass(frozen=True, slots=True)
class About:
    """What a server says of itself. api: the version of its API, such as 8.0.2.0. kind: vCenter or ESXi."""

    name: str
    kind: str
    version: str
    build: str
    api: str

    @property
    def api_numbers(self) -> tuple[int, ...]:
        """Of that version; () where it has none."""
        return _numbers(self.api)


class Session:
    """content: vim.ServiceInstanceContent, whose objects live as long as this. key: of the session, there."""

    def __init__(self, address: Address, login: Login, stub: SoapStubAdapter, content: vim.ServiceInstanceContent):
        self.address, self.login, self.stub, self.content = address, login, stub, content
        self.where = str(address)
        self.key = self.user = ""
        self._last = time.monotonic()

    @property
    def about(self) -> About:
        own = self.content.about
        kind = {"VirtualCenter": "vCenter", "HostAgent": "ESXi"}.get(own.apiType, shown(own.apiType))
        return About(shown(own.name), kind, shown(own.version), shown(own.build), shown(own.apiVersion))

    def read(self, what: str, question: Callable[[], Answer]) -> Answer:
        """Ask something that changes nothing. what: the message's words for it. Raises HostError, BuildError."""
        try:
            return self._asked(question)
        except LOST as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise self._failed(what, error) from error
        except Exception as error:
            if "NotAuthenticated" not in kinds_of(error):
                raise self._failed(what, error) from error
            self.log_in()
        try:
            return self._asked(question)
        except Exception as error:
            raise self._failed(what, error) from error

    def order(self, what: str, order: Callable[[], Answer]) -> Answer:
        """Have something done, once. Raises HostError, BuildError; ServerLost where it may have been done or not."""
        if time.monotonic() - self._last > QUIET:
            self.read(what, lambda: self.content.rootFolder.childType)
        try:
            return self._asked(order)
        except Exception as error:
            raise self._failed(what, error) from error

    def named(self, thing: object) -> str:
        """A managed object's name, for messages, with no second try."""
        with suppress(Exception):
            return str(thing.name)  # type: ignore[attr-defined]
        return plain_name(thing)

    def failure(self, what: str, error: BaseException) -> VmgenError:
        """The error for a user that a fault is, which came by another way than an answer's, as a task's do."""
        return as_error(error, f"{self.where}: {what}", self.named)

    def log_in(self) -> None:
        """Raises HostError."""
        manager: Any = self.content.sessionManager
        try:
            user = self._asked(lambda: manager.Login(self.login.user, self.login.password.reveal(), "en"))
        except Exception as error:
            what = f"logging in as {self.login.user} with the password of {self.login.source}"
            raise as_error(error, f"{self.where}: {what}") from None
        self.key, self.user = user.key, shown(user.userName)

    def close(self) -> None:
        """Log out; a server that is gone has ended the session itself."""
        manager: Any = self.content.sessionManager
        with suppress(Exception):
            manager.Logout()
        self.stub.DropConnections()

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        answer = question()
        self._last = time.monotonic()
        return answer

    def _failed(self, what: str, error: BaseException) -> BaseException:
        """Faults of our own making stay tracebacks."""
        known = is_fault(error) or isinstance(error, (VmgenError, *LOST))
        return self.failure(what, error) if known else error


@contextmanager
def opened(address: Address, login: Login, silence: float = float(VSPHERE_SILENCE.amount)) -> Iterator[Session]:
    """Logged in, and logged out after the context whatever happens. silence: seconds that an answer may take to go on.

    Raises HostError.
    """
    context = login.trust.context()
    stub, content = _greeted(address, login, context, silence)
    session = Session(address, login, stub, content)
    session.log_in()
    try:
        yield session
    finally:
        session.close()


def _greeted(
    address: Address, login: Login, context: ssl.SSLContext, silence: float
) -> tuple[SoapStubAdapter, vim.ServiceInstanceContent]:
    """A stub of the newest version that both sides speak. Nothing secret is sent."""
    try:
        stub = _stub(address, login, context, silence, "")
        about = _content(stub).about
        stub.DropConnections()
        stub = _stub(address, login, context, silence, about.apiVersion)
        return stub, _content(stub)
    except WrongCertificate as error:
        raise HostError(f"{address}: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(address, error) from None
    except LOST as error:
        raise as_error(error, str(address)) from error
    except Exception as error:
        if not is_fault(error):
            raise
        raise as_error(error, str(address)) from error


def _untrusted(address: Address, error: ssl.SSLCertVerificationError) -> ServerLost:
    found = shown_certificate(address.name, address.port, 10)
    seen = f"\n  its SHA-256 is {found}; compare it with what the server's console shows, then" if found else ";"
    return ServerLost(
        f"{as_error(error, str(address))}{seen} name it by --thumbprint, or name by --cafile the authority that has"
        " signed it (a vCenter gives its own at https://NAME/certs/download.zip); no password was sent"
    )


def _content(stub: SoapStubAdapter) -> vim.ServiceInstanceContent:
    from pyVmomi import vim

    instance: Any = vim.ServiceInstance("ServiceInstance", stub)
    content: vim.ServiceInstanceContent = instance.RetrieveContent()
    return content


def _stub(address: Address, login: Login, context: ssl.SSLContext, silence: float, api: str) -> SoapStubAdapter:
    """Answers are not compressed, so that their limit is one."""
    from pyVmomi.SoapAdapter import SoapStubAdapter

    stub: Any = SoapStubAdapter(
        address.name,
        address.port,
        version=_version(api),
        sslContext=context,
        acceptCompressedResponses=False,
        connectionPoolTimeout=IDLE,
        httpConnectionTimeout=silence,
    )
    stub.scheme = Connection
    stub.schemeArgs = {**stub.schemeArgs, "thumbprint": login.trust.thumbprint}
    checked: SoapStubAdapter = stub
    return checked


def _version(api: str) -> str:
    """pyvmomi's name of the newest version that is not newer than the server's; of LOWEST for ""."""
    from pyVmomi.VmomiSupport import GetServiceVersions, GetVersionNamespace

    wanted = _numbers(api) or LOWEST
    if wanted >= LOWEST:
        for version in GetServiceVersions("vim25"):
            space, _, number = GetVersionNamespace(version).partition("/")
            if space == "vim25" and () < _numbers(number) <= wanted:
                return str(version)
    raise HostError(
        f"a server with version {shown(api)} of the API is too old: {'.'.join(map(str, LOWEST))} is the least"
    )


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(p.isascii() and p.isdigit() and len(p) < 9 for p in parts) else ()
