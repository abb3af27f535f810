"""VMware's own simulator (govmomi), built from Debian's packages; as a vCenter on 127.0.0.2, since some clients check
nothing on 127.0.0.1, with a certificate of the test's own authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.vsphere.sessions import CANARY, session_of
from tests.integration.vsphere.simulator import Simulator, built, make_authority, make_certificate, started
from tests.integration.vsphere.windowslab import Lab, windows_lab
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.host.tls import Trust


@pytest.fixture(scope="session")
def program(cache: Path) -> Path:
    return built(cache)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def certificate(ca: Path) -> Path:
    return make_certificate(ca, "server", "IP:127.0.0.2")


@pytest.fixture(scope="module")
def server(program: Path, certificate: Path) -> Iterator[Simulator]:
    """A vCenter with three machines, which gives what it has in parts, and logs all that is said."""
    log = certificate.parent / "server.log"
    options = ("-listen", "127.0.0.2", "-certificate", str(certificate), "-machines", "3", "-most", "5", "-trace")
    with started(program, log, *options, password=CANARY) as made:
        yield made


@pytest.fixture()
def session(server: Simulator, ca: Path) -> Iterator[Session]:
    with session_of(server, Trust(ca)) as made:
        yield made


@pytest.fixture(scope="module")
def lab(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with windows_lab(program, tmp_path_factory.mktemp("w")) as made:
        yield made
