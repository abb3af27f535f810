"""Passphrases of keys that no agent holds: of the environment or of a file, else asked for on the terminal."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from vmgen_build.errors import HostError, UsageError
from vmgen_build.host.environment import take
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SECRET_FILE
from vmgen_build.secret import Secret

VARIABLE, FILE = "VMGEN_SIGN_PASSPHRASE", "VMGEN_SIGN_PASSPHRASE_FILE"

_asked: dict[Path, Secret] = {}
"""What was typed before the build began: it is asked once."""


def key_file(name: str) -> Path:
    """Raises UsageError where there is no such file."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"--sign: there is no file {path}; name the file of a key of yours")
    return path


def passphrase(key: Path) -> Secret | None:
    """None where nobody gives one. Raises HostError for a file that cannot be read."""
    if (found := take(VARIABLE)) is not None:
        return found
    if name := os.environ.get(FILE):
        try:
            text = read_regular(Path(name), SECRET_FILE).decode(errors="replace")
        except OSError as error:
            raise HostError(f"cannot read {name}, which {FILE} names: {error.strerror}") from error
        return Secret(text.split("\n")[0].removesuffix("\r"))
    if key not in _asked and sys.stdin is not None and sys.stdin.isatty():
        _asked[key] = Secret(getpass.getpass(f"Passphrase of {key}: "))
    return _asked.get(key)
