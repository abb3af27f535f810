"""ssh-keygen(1), -Y sign and -Y verify: armoured signatures of the format PROTOCOL.sshsig of OpenSSH."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vmgen_build.build.signers.model import NAMESPACE, Signer
from vmgen_build.build.signers.passphrases import key_file, passphrase
from vmgen_build.errors import BuildError, HostError
from vmgen_build.host.environment import own
from vmgen_build.host.inmemory import in_memory, name_of
from vmgen_build.host.programs import Requirement, require_programs
from vmgen_build.host.run import Finished, run
from vmgen_build.secret import Secret
from vmgen_build.text import clean

_KEYGEN = Requirement("ssh-keygen", "openssh-client", "signs, and checks signatures")
_PATIENCE = 120.0
"""Seconds that it may take; a key on a token waits for a touch."""

_TYPE = r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+"
_PUBLIC = re.compile(rf"\s*(?:#.*\n\s*)*{_TYPE} AAAA[A-Za-z0-9+/=]+")
_ALLOWED = re.compile(rf"(?m)^[^#\s][^\n]*\s{_TYPE} AAAA[A-Za-z0-9+/=]+")
"""A public key as ssh-keygen writes it, and a line of allowed_signers (ssh-keygen(1), ALLOWED SIGNERS)."""

_ASKPASS = '#!/bin/sh\nexec cat "$VMGEN_ASKED"\n'


class SshSigner(Signer):
    """A file of a key: the secret one, or the public one of a key that the agent holds. Checked by a public key, or a
    list of allowed signers, which says who they are."""

    scheme: ClassVar[str] = "ssh"
    ending: ClassVar[str] = ".sig"
    program: ClassVar[Requirement] = _KEYGEN

    def require(self, key: str) -> None:
        """By signing something: nothing else shows that the passphrase is right, or that the agent has the key."""
        require_programs([_KEYGEN])
        path = key_file(key)
        done = _sign(b"", path)
        if done.code != 0 and "passphrase" in done.reason:
            secret = passphrase(path)
            if secret is None:
                raise HostError(
                    f"cannot sign: {path} has a passphrase: add it to your agent (ssh-add {path}), or put it"
                    " into VMGEN_SIGN_PASSPHRASE, or into a file that VMGEN_SIGN_PASSPHRASE_FILE names"
                )
            done = _sign(b"", path, secret)
        if done.code != 0:
            raise HostError(f"cannot sign with {path}: {_reason(done)}; name a key of ssh-keygen, and its passphrase")

    def signature(self, data: bytes, name: str, key: str, old: bytes) -> bytes:
        path = key_file(key)
        if old and _made_by(path, data, old):
            return old
        done = _sign(data, path)
        if done.code != 0 and (secret := passphrase(path)) is not None:
            done = _sign(data, path, secret)
        if done.code != 0:
            raise BuildError(f"cannot sign {name} with {path}: {_reason(done)}")
        return done.out

    def takes(self, keys: bytes) -> bool:
        text = keys.decode(errors="replace")
        return _PUBLIC.match(text) is not None or _ALLOWED.search(text) is not None

    def who(self, data: bytes, signature: bytes, keys: bytes) -> str:
        require_programs([_KEYGEN])
        if _PUBLIC.match(keys.decode(errors="replace")):
            keys = b"".join(b"* " + line + b"\n" for line in keys.splitlines() if line.strip()[:1] not in (b"", b"#"))
        with in_memory(keys) as allowed, in_memory(signature) as made:
            files = (allowed.fileno(), made.fileno())
            lists = ("-f", name_of(allowed), "-s", name_of(made))
            found = run(["ssh-keygen", "-Y", "find-principals", *lists], fds=files, timeout=_PATIENCE)
            names = [name for line in found.text.splitlines() for name in line.split(",") if name[:1] != "!"]
            if found.code != 0 or not names:
                raise ValueError("no key of that file made it, or the key was not valid then")
            words = ["ssh-keygen", "-Y", "verify", *lists, "-I", names[0], "-n", NAMESPACE]
            done = run(words, data=data, fds=files, timeout=_PATIENCE)
        if done.code != 0:
            raise ValueError(_reason(done))
        shown = re.search(r"key (SHA256:\S+)", done.text)
        return names[0] if names[0] != "*" or shown is None else f"the key {shown[1]}"


def _sign(data: bytes, key: Path, secret: Secret | None = None) -> Finished:
    """Without a passphrase nobody is asked: by an agent, or a key that has none."""
    words: list[str | Path] = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key]
    env = own(("SSH_AUTH_SOCK",))
    if secret is None:
        return run(words, data=data or b"\n", env={**env, "SSH_ASKPASS_REQUIRE": "never"}, timeout=_PATIENCE)
    with in_memory(_ASKPASS.encode()) as program, in_memory(secret.reveal().encode() + b"\n") as asked:
        more = _asking(program.fileno(), asked.fileno())
        return run(words, data=data or b"\n", env={**env, **more}, timeout=_PATIENCE)


def _asking(program: int, secret: int) -> Mapping[str, str]:
    """Program and passphrase are files in our memory, by names that this user and root alone can open (proc(5))."""
    ours = f"/proc/{os.getpid()}/fd"
    return {"SSH_ASKPASS": f"{ours}/{program}", "SSH_ASKPASS_REQUIRE": "force", "VMGEN_ASKED": f"{ours}/{secret}"}


def _made_by(key: Path, data: bytes, signature: bytes) -> bool:
    """Whether the signature is one over `data` that this key made."""
    with in_memory(signature) as made:
        words = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", name_of(made)]
        checked = run(words, data=data, fds=[made.fileno()], timeout=_PATIENCE)
    listed = run(["ssh-keygen", "-l", "-f", key], timeout=_PATIENCE)
    wanted = re.search(r"SHA256:\S+", listed.text)
    return checked.code == 0 and wanted is not None and f"key {wanted[0]}" in checked.text


def _reason(done: Finished) -> str:
    lines = [line for line in (done.err + done.out).decode(errors="replace").splitlines() if line.strip()]
    shown = [line for line in lines if not line.startswith(("Signing data", "Enter passphrase"))]
    return clean(shown[-1]) if shown else f"it ended with {done.code}"
