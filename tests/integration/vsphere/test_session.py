"""The tool's own client and VMware's own simulator over real TLS: trust, passwords, cut lines, ended sessions."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.sessions import logins, session_of, thumbprint
from tests.integration.vsphere.simulator import Line, Simulator, make_authority, make_certificate, started
from vmgen_build.errors import HostError
from vmgen_build.guests.vsphere.faults import ServerLost
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.host.tls import Trust


def test_logging_in_and_out_again(server: Simulator, ca: Path, session: Session) -> None:
    with session_of(server, Trust(ca)) as other:
        key = other.key
        assert other.about.kind == "vCenter" and other.user == server.user
        assert key in [each.key for each in session.content.sessionManager.sessionList]
    assert key not in [each.key for each in session.content.sessionManager.sessionList]
    with pytest.raises(ZeroDivisionError), session_of(server, Trust(ca)) as other:
        key = other.key
        raise ZeroDivisionError
    assert key not in [each.key for each in session.content.sessionManager.sessionList]


def test_a_wrong_password(server: Simulator, ca: Path) -> None:
    with pytest.raises(HostError, match="user or password is wrong") as caught, session_of(server, Trust(ca), "0ther"):
        pass
    assert "0ther" not in str(caught.value) and "the password of the test" in str(caught.value)


def test_an_unknown_authority(
    server: Simulator, ca: Path, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment names is no authority here."""
    before = logins(server)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    for trust in (Trust(), Trust(make_authority(tmp_path, "other"))):
        with pytest.raises(HostError, match="certificate is not trusted") as caught, session_of(server, trust):
            pass
        assert thumbprint(certificate) in str(caught.value) and "--cafile" in str(caught.value)
    assert logins(server) == before
    with session_of(server, Trust(ca)) as session:
        assert session.key


def test_a_certificate_for_another_name(program: Path, ca: Path, tmp_path: Path) -> None:
    other = make_certificate(ca, "elsewhere", "DNS:elsewhere.example")
    options = ("-listen", "127.0.0.2", "-certificate", str(other))
    with started(program, tmp_path / "log", *options) as server:
        with pytest.raises(HostError, match="certificate is not trusted: IP address mismatch"):
            session_of(server, Trust(ca)).__enter__()
        with session_of(server, Trust(thumbprint=thumbprint(other))) as session:
            assert session.key


def test_the_thumbprint_is_compared(server: Simulator, ca: Path, certificate: Path) -> None:
    wrong, before = ":".join(["AB"] * 32), logins(server)
    for trust in (Trust(thumbprint=wrong), Trust(ca, wrong)):
        with pytest.raises(HostError, match="no password was sent") as caught, session_of(server, trust):
            pass
        assert wrong in str(caught.value) and thumbprint(certificate) in str(caught.value)
    assert logins(server) == before
    for trust in (Trust(thumbprint=thumbprint(certificate)), Trust(ca, thumbprint(certificate))):
        with session_of(server, trust) as session:
            assert session.key


def test_every_connection_is_compared(server: Simulator, certificate: Path) -> None:
    """Not the first alone: another server may answer after a cut."""
    line = Line(server.port)
    with session_of(server, Trust(thumbprint=thumbprint(certificate)), port=line.port) as session:
        stub: Any = session.stub
        stub.schemeArgs["thumbprint"] = "00:" * 31 + "00"
        line.cut()
        with pytest.raises(HostError, match="and not 00:00"):
            session.read("looking", lambda: session.content.rootFolder.name)
    line.close()


def test_a_server_that_is_not_there(server: Simulator, ca: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ServerLost, match="refuses connections: look at name and port"):
            session_of(server, Trust(ca), port=port).__enter__()
        unused.listen()
        with pytest.raises(ServerLost, match="does not answer"):
            session_of(server, Trust(ca), port=port, silence=0.5).__enter__()


def test_what_is_no_vsphere_server(server: Simulator, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>hello")
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.2", "--directory", str(tmp_path)]
    with subprocess.Popen([command[0], "-u", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as web:
        assert web.stdout is not None
        port = int(web.stdout.readline().split(b"port ")[1].split()[0])
        with pytest.raises(ServerLost, match="speaks no TLS that this host takes"):
            session_of(server, Trust(insecure=True), port=port).__enter__()
        web.terminate()


def test_a_session_that_was_ended_there(server: Simulator, ca: Path, session: Session) -> None:
    with session_of(server, Trust(ca)) as other:
        first, calls = other.key, []
        session.content.sessionManager.TerminateSession([first])

        def order() -> str:
            calls.append("order")
            return str(other.content.rootFolder.name)

        with pytest.raises(HostError, match="the session has ended on the server"):
            other.order("making a folder", order)
        assert calls == ["order"]
        assert other.read("looking", lambda: other.content.rootFolder.name) == "Datacenters"
        assert other.key != first
        session.content.sessionManager.TerminateSession([other.key])
        other._last -= 3600
        assert other.order("making a folder", order) == "Datacenters"


def test_a_line_that_is_cut(server: Simulator, ca: Path) -> None:
    line, calls = Line(server.port), []
    with session_of(server, Trust(ca), port=line.port) as session:

        def asked() -> str:
            calls.append("asked")
            return str(session.content.rootFolder.name)

        before = line.connections
        assert asked() == "Datacenters" and line.connections == before
        line.cut()
        assert session.read("looking", asked) == "Datacenters" and line.connections == before + 1
        assert len(calls) == 3
        line.cut()
        with pytest.raises(ServerLost, match="making a folder: "):
            session.order("making a folder", asked)
        assert len(calls) == 4
        line.close()
        with pytest.raises(ServerLost, match="looking: it refuses connections"):
            session.read("looking", asked)
        assert len(calls) == 6
