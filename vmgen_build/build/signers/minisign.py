"""minisign(1): signatures of Ed25519 with a trusted comment. Formats: https://jedisct1.github.io/minisign/"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import ClassVar

from vmgen_build.build.signers.model import NAMESPACE, Signer
from vmgen_build.build.signers.passphrases import key_file, passphrase
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.programs import Requirement, require_programs
from vmgen_build.host.regular import read_regular
from vmgen_build.host.run import Finished, run
from vmgen_build.limits import KEY_FILE, SIGNATURE
from vmgen_build.text import clean

_MINISIGN = Requirement("minisign", "minisign", "signs, and checks signatures")
_PATIENCE = 120.0
"""Seconds that it may take: a passphrase costs some on purpose."""

_PUBLIC = re.compile(rb"(?:untrusted comment:[^\n]*\n)?(RW[A-Za-z0-9+/]{54})\s*")
_PLAIN = b"\0\0"
"""The algorithm of a secret key's encryption, at its third byte, where it is not encrypted."""


class MinisignSigner(Signer):
    """A file of a secret key. Checked by the public one."""

    scheme: ClassVar[str] = "minisign"
    ending: ClassVar[str] = ".minisig"
    program: ClassVar[Requirement] = _MINISIGN

    def require(self, key: str) -> None:
        """By signing something: nothing else shows that the passphrase is right."""
        require_programs([_MINISIGN])
        path = key_file(key)
        if _is_encrypted(path) and passphrase(path) is None:
            raise HostError(
                f"cannot sign: {path} has a passphrase: put it into VMGEN_SIGN_PASSPHRASE, or into a file that"
                " VMGEN_SIGN_PASSPHRASE_FILE names"
            )
        _signed(b"\n", NAMESPACE, path)

    def signature(self, data: bytes, name: str, key: str, old: bytes) -> bytes:
        """The same bytes each time: the trusted comment holds no time."""
        return _signed(data, name, key_file(key))

    def takes(self, keys: bytes) -> bool:
        return _PUBLIC.fullmatch(keys) is not None

    def who(self, data: bytes, signature: bytes, keys: bytes) -> str:
        require_programs([_MINISIGN])
        match = _PUBLIC.fullmatch(keys)
        assert match is not None
        with in_memory(data) as file, in_memory(signature) as made:
            words = ["minisign", "-V", "-q", "-P", match[1].decode(), "-m", name_of(file), "-x", name_of(made)]
            done = run(words, fds=[file.fileno(), made.fileno()], timeout=_PATIENCE)
        if done.code != 0:
            raise ValueError(_reason(done))
        return f"minisign key {int.from_bytes(base64.b64decode(match[1])[2:10], 'little'):X}"


def _signed(data: bytes, name: str, key: Path) -> bytes:
    """Raises BuildError."""
    secret = passphrase(key) if _is_encrypted(key) else None
    typed = secret.reveal().encode() + b"\n" if secret else b""
    with in_memory(data) as file, in_memory(b"") as made:
        words: list[str | Path] = [
            "minisign",
            "-S",
            "-s",
            key,
            "-m",
            name_of(file),
            "-x",
            name_of(made),
            "-t",
            f"file:{name}",
        ]
        done = run(words, data=typed, fds=[file.fileno(), made.fileno()], timeout=_PATIENCE)
        made.seek(0)
        signature = made.read(SIGNATURE.amount)
    if done.code != 0 or not signature:
        raise BuildError(f"cannot sign with {key}: {_reason(done)}")
    return signature


def _is_encrypted(key: Path) -> bool:
    """Raises HostError for a file that is no secret key of minisign."""
    try:
        lines = read_regular(key, KEY_FILE).splitlines()
        data = base64.b64decode(lines[1], validate=True)
    except (OSError, IndexError, binascii.Error) as error:
        raise HostError(f"cannot sign: {key} is no secret key of minisign; 'minisign -G' makes one") from error
    return data[2:4] != _PLAIN


def _reason(done: Finished) -> str:
    """What it says, without the prompt that may stand before it."""
    shown = (done.err + b"\n" + done.out).decode(errors="replace")
    text = re.sub(r"Password: ?|Deriving a key[^\n]*\.\.\. ?|done\n", "", shown)
    lines = [line for line in text.splitlines() if line.strip()]
    return clean(lines[0]) if lines else f"it ended with {done.code}"
