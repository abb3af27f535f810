"""Who we are to a vSphere server: from the address, the environment, the hosts file, the keyring, or a prompt."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from vmgen_build.errors import HostError
from vmgen_build.guests.vsphere.address import Address
from vmgen_build.host import keyring
from vmgen_build.host.environment import take
from vmgen_build.host.hostsfile import KnownHost, hosts_file, known_host
from vmgen_build.host.tls import Trust
from vmgen_build.secret import Secret

USER, PASSWORD = "VMGEN_VSPHERE_USER", "VMGEN_VSPHERE_PASSWORD"
SERVICE = "vmgen-build"
"""As the keyring names what a password is for: `vmgen-build:NAME`."""


@dataclass(frozen=True, slots=True)
class Login:
    """source: where the password is from, for messages. trust: how the server is known."""

    user: str
    password: Secret
    source: str
    trust: Trust


def login_for(address: Address, trust: Trust) -> Login:
    """trust: what the command line says; the hosts file speaks where it says nothing. Raises HostError with all ways
    that there are."""
    known = known_host(address.name)
    user = address.user or os.environ.get(USER, "") or known.user
    if not user and _has_terminal():
        user = _asked_user(address)
    if not user:
        raise HostError(
            f"no user is known for {address}: write vsphere://USER@{address.host}, set ${USER}, or add"
            f" 'user = USER' to the section [{address.name}] of {hosts_file()}"
        )
    password, source = _password(address, user, known)
    return Login(user, password, source, trust.or_else(known.trust))


def _asked_user(address: Address) -> str:
    print(f"User on {address.host}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _password(address: Address, user: str, known: KnownHost) -> tuple[Secret, str]:
    given = take(PASSWORD)
    if given:
        return given, f"${PASSWORD}"
    if known.password is not None and known.user in ("", user):
        return known.password, str(hosts_file())
    kept, why = keyring.password(f"{SERVICE}:{address.name}", user)
    if kept is not None:
        return kept, "the keyring"
    if _has_terminal():
        with suppress(EOFError):
            if typed := Secret(getpass.getpass(f"Password of {user} on {address.host}: ")):
                return typed, "what was typed"
    raise HostError(
        f"no password is known for {user} on {address}: set ${PASSWORD}; or add 'password = ...' to the section"
        f" [{address.name}] of {hosts_file()} (mode 0600); or keep it in the system's keyring ({why}:"
        f" keyring set {SERVICE}:{address.name} {user}); or run this on a terminal, which asks for it"
    )


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
