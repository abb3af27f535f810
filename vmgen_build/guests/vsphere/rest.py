"""A vCenter's REST interface, as far as content libraries need it: below /api, or below /rest in an older one.

Both are the same services (vSphere Automation API Reference, 7.0 U2 and later; "deprecated" there and 6.7 for /rest). A
service is named here as /api has it: /content/library.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vmgen_build.errors import HostError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.faults import LOST, as_error
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.guests.vsphere.wire import Connection
from vmgen_build.jsontext import Field, parse_json
from vmgen_build.limits import VSPHERE_REST, VSPHERE_SILENCE

API = (7, 0, 2)
"""The version of the vSphere API from which on all that is asked for here is below /api."""

TEXT = 500
"""Characters of a server's own words that a message shows."""


class Absent(HostError):
    """There is nothing at that path."""


@dataclass(frozen=True, slots=True)
class Form:
    """How questions are put. session, content: paths of these services. one, action: what stands before the id of one
    thing of a service, and before the name of what is done. wraps: whether a request's and an answer's content is a
    member of an object."""

    root: str
    session: str
    content: str
    one: str
    action: str
    wraps: bool

    def path(self, service: str, one: str = "", action: str = "") -> str:
        first, _, rest = service.lstrip("/").partition("/")
        named = {"session": self.session, "content": self.content}.get(first, f"/{first}")
        path = f"{self.root}{named}/{rest}" if rest else f"{self.root}{named}"
        return path + (self.one + one if one else "") + (self.action + action if action else "")

    def value(self, data: bytes) -> Any:
        """What an answer holds; None where it holds nothing. Raises ValueError."""
        if not data.strip():
            return None
        found = parse_json(data, VSPHERE_REST)
        if not self.wraps:
            return found
        value = Field(found).optional("value")
        return value.value if value is not None else None


NEW = Form("/api", "/session", "/content", "/", "?action=", wraps=False)
OLD = Form("/rest", "/com/vmware/cis/session", "/com/vmware/content", "/id:", "?~action=", wraps=True)

SESSION = "/session"


class Rest:
    """A session of its own, on connections that are trusted as the other session's are."""

    def __init__(self, session: Session, form: Form, headers: Mapping[str, str]) -> None:
        self._session, self._form, self._headers = session, form, headers
        self._context = session.login.trust.context()

    def get(self, service: str, what: str, one: str = "") -> Any:
        """All that there is, or one thing by its id. what: is done, as the message's words. Raises HostError."""
        return self._asked("GET", self._form.path(service, one), None, what)

    def find(self, service: str, spec: Mapping[str, object], what: str) -> Any:
        """Ids of what is so. Raises HostError."""
        return self._asked("POST", self._form.path(service, action="find"), self._wrapped(spec, "spec"), what)

    def create(self, service: str, spec: Mapping[str, object], what: str, name: str = "spec", silence: int = 0) -> Any:
        """The id of what was made. name: that /rest has for the spec. silence: seconds that the answer may take, where
        they are not as many as else. Raises HostError."""
        return self._asked("POST", self._form.path(service), self._wrapped(spec, name), what, silence)

    def log_in(self) -> str:
        """The key of a session. Raises HostError; Absent where the server has no such interface."""
        key = self._asked("POST", self._form.path(SESSION), None, "logging in to its REST interface")
        if not isinstance(key, str) or not key.isprintable():
            raise HostError(
                f"{self._session.where}: its REST interface gives no session; is that host what it should be?"
            )
        return key

    def log_out(self) -> None:
        """Raises HostError."""
        self._asked("DELETE", self._form.path(SESSION), None, "logging out of its REST interface")

    def _wrapped(self, spec: Mapping[str, object], name: str) -> Mapping[str, object]:
        return {name: spec} if self._form.wraps else spec

    def _asked(self, method: str, path: str, body: object, what: str, silence: int = 0) -> Any:
        session, text = self._session, None if body is None else json.dumps(body)
        connection = Connection(
            session.address.name,
            session.address.port,
            timeout=silence or VSPHERE_SILENCE.amount,
            context=self._context,
            thumbprint=session.login.trust.thumbprint,
        )
        more = {"Accept": "application/json", "Content-Type": "application/json", **self._headers}
        try:
            connection.request(method, path, body=text, headers=more)
            answer = connection.getresponse()
            data = answer.read(VSPHERE_REST.amount + 1)
            if not 200 <= answer.status < 300:
                raise self._refused(answer.status, data, what)
            return self._form.value(data)
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
            return Absent(f"{self._session.where}: {what}: {why}")
        else:
            why = f"it answers {status}{_own_words(data)}: look at the server's events"
        return HostError(f"{self._session.where}: {what}: {why}")


@contextmanager
def logged_in(session: Session) -> Iterator[Rest]:
    """As the same user, and logged out at the end. Raises HostError."""
    user, password = session.login.user, session.login.password.reveal()
    basic = {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    form, key = OLD, ""
    if session.about.api_numbers >= API:
        with suppress(Absent):
            form, key = NEW, Rest(session, NEW, basic).log_in()
    if not key:
        form, key = OLD, Rest(session, OLD, basic).log_in()
    rest = Rest(session, form, {"vmware-api-session-id": key})
    try:
        yield rest
    finally:
        with suppress(VmgenError):
            rest.log_out()


def _own_words(data: bytes) -> str:
    """What an error says of itself, with brackets; nothing where that is not known. Below /api an error has its
    error_type and messages (Vapi Std Errors), below /rest its type, and the messages within its value."""
    try:
        found = parse_json(data, VSPHERE_REST)
        kind = str(found.get("error_type") or found["type"]).rpartition(".")[2]
        messages = found["messages"] if "messages" in found else found["value"]["messages"]
        texts = [str(one["default_message"]) for one in messages]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" ({shown(' '.join([kind, *texts])[:TEXT])})"
