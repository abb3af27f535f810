"""Throwaway keys of GnuPG, for tests that sign."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Keys:
    """A throwaway GnuPG home with one key that signs. at: the day when it was made, as 20250101T000000."""

    def __init__(self, home: Path, expires: str = "never", at: str = "") -> None:
        home.mkdir(mode=0o700)
        self.home, self.clock = home, ["--faked-system-time", at] if at else []
        self.gpg("--passphrase", "", "--quick-gen-key", "Test <test@example.org>", "ed25519", "sign", expires)
        self.keyring = home / "binary.gpg"
        self.keyring.write_bytes(self.gpg("--export"))
        self.armoured = home / "armoured.asc"
        self.armoured.write_bytes(self.gpg("--armor", "--export"))

    def gpg(self, *words: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback", *self.clock, *words]
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout

    def sign(self, data: bytes) -> bytes:
        return self.gpg("--armor", "--detach-sign", data=data)

    def signed(self, text: str) -> str:
        return self.gpg("--clearsign", data=text.encode()).decode()

    def end(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], capture_output=True)
