"""Sessions with the simulator, and what it has logged of them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from tests.integration.vsphere.simulator import Simulator
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.guests.vsphere.credentials import Login
from vmgen_build.guests.vsphere.session import opened
from vmgen_build.host.tls import Trust, thumbprint_of
from vmgen_build.secret import Secret

CANARY = "c4n4ry-Pa55"


def thumbprint(certificate: Path) -> str:
    return thumbprint_of(ssl.PEM_cert_to_DER_cert(certificate.with_suffix(".crt").read_text()))


def session_of(server: Simulator, trust: Trust, password: str = "", port: int = 0, silence: float = 20) -> Any:
    login = Login(server.user, Secret(password or server.password), "the test", trust)
    return opened(Address(server.host, port or server.port), login, silence)


def logins(server: Simulator) -> int:
    return server.log.read_text().count("<Login ")
