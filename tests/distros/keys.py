"""The keys that sign the test distributions' packages and indexes: one that their bases trust, and a stranger's."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.distros.kept import kept

NAMES = ("distribution", "stranger")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """home: of GnuPG; public: the armoured key; fingerprint: 40 hex digits."""

    home: Path
    public: Path
    fingerprint: str


def signing_keys(cache: Path) -> dict[str, SigningKey]:
    """By the names of NAMES. rsa2048: rpm 4.18 knows no other kind that gpg makes by default."""
    folder = kept(cache, "keys", [NAMES, "rsa2048"], _make)
    return {name: _key(folder / name) for name in NAMES}


def _key(folder: Path) -> SigningKey:
    return SigningKey(folder / "home", folder / "public.asc", (folder / "fingerprint").read_text().strip())


def _make(folder: Path) -> None:
    for name in NAMES:
        home = folder / name / "home"
        home.mkdir(parents=True, mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback"]
        user = f"Test {name} <{name}@example.org>"
        _run([*gpg, "--passphrase", "", "--quick-gen-key", user, "rsa2048", "sign", "never"])
        (folder / name / "public.asc").write_bytes(_run([*gpg, "--armor", "--export"]))
        listed = _run([*gpg, "--with-colons", "--list-keys"]).decode()
        found = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")]
        (folder / name / "fingerprint").write_text(f"{found[0]}\n")
        _run(["gpgconf", "--homedir", str(home), "--kill", "all"])


def _run(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
