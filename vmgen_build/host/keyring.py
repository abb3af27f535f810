"""The system's keyring, read by a package of its own (keyring, on PyPI) where that is installed."""

from __future__ import annotations

import importlib

from vmgen_build.secret import Secret


def password(service: str, user: str) -> tuple[Secret | None, str]:
    """The password that is kept for this user of a service, or None; and why there is none."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None, "its package is not installed: pip install keyring"
    try:
        found = keyring.get_password(service, user)
    except Exception as error:
        return None, f"it cannot be read, {type(error).__name__}"
    return (Secret(found) if found else None), "it holds none"
