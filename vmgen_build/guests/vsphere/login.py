"""The account of a minimal machine through which its VMware Tools take orders, and the password of one boot.

The plain one stays in this process; the machine gets its hash from the hypervisor (guestinfo), and sets it when it
boots, before the tools start.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from vmgen_build.plan.text.render import Renderer
from vmgen_build.secret import Secret

ACCOUNT = "vmgen-build"
KEY = "guestinfo.vmgen-build.login"


@dataclass(frozen=True, slots=True)
class BootLogin:
    """hashed: crypt(5), by SHA-512."""

    password: Secret
    hashed: str


def new_login() -> BootLogin:
    from passlib.hash import sha512_crypt

    sha512_crypt.set_backend("builtin")
    password = secrets.token_urlsafe(24)
    return BootLogin(Secret(password), sha512_crypt.using(rounds=5000).hash(password))


def login_script() -> str:
    """What sets it in the machine, at each boot."""
    return Renderer(None).sh("vm/build-login.sh.j2", login=ACCOUNT, question=f"info-get {KEY}")
