"""Who we are to a machine that is the user's own."""

from __future__ import annotations

from dataclasses import dataclass

from vmgen_build.recipe.sections.hardware import Hardware
from vmgen_build.secret import Secret


@dataclass(frozen=True, slots=True)
class GuestLogin:
    """name: of a user of the machine. One of the two is there; key: a private key of ssh, in a text form."""

    name: str
    password: Secret | None = None
    key: Secret | None = None

    @classmethod
    def of(cls, hardware: Hardware) -> GuestLogin:
        """That of a recipe, which was checked to have one (recipe.checks.login)."""
        return cls(hardware.login or "", hardware.login_password, hardware.login_key)
