"""A vCenter's REST interface, as far as content libraries need it (vSphere Automation API, below /rest)."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from vmgen_build.errors import HostError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.faults import LOST, as_error
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.wire import Connection
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import VSPHERE_REST, VSPHERE_SILENCE

LOGIN = "/com/vmware/cis/session"

TEXT = 500
"""Characters of a server's own words that a message shows."""


class Rest:
    """A session of its own, on connections that are trusted as the other session's are."""

    def __init__(self, session: Session, headers: Mapping[str, str]) -> None:
        self._session, self._headers = session, headers
        self._context = session.login.trust.context()

    def get(self, path: str, what: str) -> Any:
        """What is there, as JSON. what: is done, as the message's words. Raises HostError."""
        return self._asked("GET", path, None, what, VSPHERE_SILENCE.amount)

    def post(self, path: str, body: object, what: str, silence: int = VSPHERE_SILENCE.amount) -> Any:
        """silence: seconds that the answer may take. Raises HostError."""
        return self._asked("POST", path, body, what, silence)

    def delete(self, path: str, what: str) -> None:
        """Raises HostError."""
        self._asked("DELETE", path, None, what, VSPHERE_SILENCE.amount)

    def _asked(self, method: str, path: str, body: object, what: str, silence: int) -> Any:
        session, text = self._session, None if body is None else json.dumps(body)
        connection = Connection(
            session.address.name,
            session.address.port,
            timeout=silence,
            context=self._context,
            thumbprint=session.login.trust.thumbprint,
        )
        more = {"Accept": "application/json", "Content-Type": "application/json", **self._headers}
        try:
            connection.request(method, f"/rest{path}", body=text, headers=more)
            answer = connection.getresponse()
            data = answer.read(VSPHERE_REST.amount + 1)
            if not 200 <= answer.status < 300:
                raise self._refused(answer.status, data, what)
            return _value(data)
        except LOST as error:
            raise as_error(error, f"{session.where}: {what}") from error
        except ValueError as error:
            raise HostError(f"{session.where}: {what}: its answer is not what was asked for: {error}") from error
        finally:
            connection.close()

    def _refused(self, status: int, data: bytes, what: str) -> HostError:
        if status == 401:
            why = "it does not take the login that its other interface took: look at the account"
        elif status == 403:
            why = "the account lacks a privilege for it: let an administrator add it to the account's role"
        elif status == 404:
            why = "it is not there: the server lacks this interface (it is of version 6.8 of the API), or it has gone"
        else:
            why = f"it answers {status}{_own_words(data)}: look at the server's events"
        return HostError(f"{self._session.where}: {what}: {why}")


@contextmanager
def logged_in(session: Session) -> Iterator[Rest]:
    """As the same user, and logged out at the end. Raises HostError."""
    user, password = session.login.user, session.login.password.reveal()
    basic = b64encode(f"{user}:{password}".encode()).decode()
    key = Rest(session, {"Authorization": f"Basic {basic}"}).post(LOGIN, None, "logging in to its REST interface")
    if not isinstance(key, str) or not key.isprintable():
        raise HostError(f"{session.where}: its REST interface gives no session; is that host what it should be?")
    rest = Rest(session, {"vmware-api-session-id": key})
    try:
        yield rest
    finally:
        with suppress(VmgenError):
            rest.delete(LOGIN, "logging out of its REST interface")


def _value(data: bytes) -> Any:
    """What an answer holds; None where it holds nothing. Raises ValueError."""
    found = Field(parse_json(data, VSPHERE_REST)).optional("value") if data.strip() else None
    return found.value if found is not None else None


def _own_words(data: bytes) -> str:
    """What an error says of itself, with brackets; nothing where that is not known (com.vmware.vapi.std.errors)."""
    try:
        found = parse_json(data, VSPHERE_REST)
        kind = str(found["type"]).rpartition(".")[2]
        texts = [str(one["default_message"]) for one in found["value"]["messages"]]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({shown(' '.join([kind, *texts])[:TEXT])})"
