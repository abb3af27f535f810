"""A real sshd on loopback, and a user of whom it knows the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sshd import Sshd, sshd
from vmgen_build.guests.runners import Runner, connect, parse_host


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, environment={"HOME": str(folder)}) as running:
        yield running


@pytest.fixture(autouse=True)
def client(server: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user of whom no own key, agent or configuration is there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SSH_AUTH_SOCK", "VMGEN_SSH_PASSWORD", "VMGEN_SSH_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def remote(server: Sshd) -> Iterator[Runner]:
    with connect(parse_host(server.url)) as runner:
        yield runner


@pytest.fixture(params=["local", "ssh"])
def runner(request: pytest.FixtureRequest, server: Sshd) -> Iterator[Runner]:
    with connect(parse_host("local" if request.param == "local" else server.url)) as runner:
        yield runner
