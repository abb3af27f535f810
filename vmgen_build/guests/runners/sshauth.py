"""Who we are to an ssh server: keys of the agent, key files, passwords."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.errors import HostError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.host.environment import take
from vmgen_build.secret import Secret

if TYPE_CHECKING:
    import paramiko

DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
PROMPTS = 3


def log_in(transport: paramiko.Transport, name: str, user: str, key_files: Sequence[str], *, agent: bool) -> None:
    """Try $VMGEN_SSH_KEY, the agent's keys, the key files, then a password. Raises HostError with all that was tried.

    key_files: what ~/.ssh/config names for this host. agent: whether the agent's keys may be tried.
    """
    import paramiko

    tried: list[str] = []
    partial: list[str] = []
    try:
        for what, key in _keys(key_files, agent=agent):
            tried.append(what)
            if key is None:
                continue
            try:
                partial = transport.auth_publickey(user, key)
            except paramiko.AuthenticationException:
                continue
            if not partial:
                return
            break
        for refused in _passwords_tried(transport, name, user):
            if refused is None:
                return
            tried.append(refused)
    except (paramiko.SSHException, EOFError, OSError) as error:
        why = shown(str(error)) or type(error).__name__
        raise HostError(
            f"{name} ended the connection while logging in as {user} ({why}); tried:"
            f" {_list(tried)}; too many keys may be one cause: name the right one by $VMGEN_SSH_KEY"
        ) from error
    more = f" (of {shown(', '.join(partial))} it wants one more)" if partial else ""
    raise HostError(
        f"{name} lets '{user}' in by nothing that was tried: {_list(tried)}{more}\n"
        "  name a key file by $VMGEN_SSH_KEY, load a key into the ssh agent (ssh-add), or set $VMGEN_SSH_PASSWORD;"
        f" 'ssh-copy-id {user}@...' puts your key on the host"
    )


def _list(tried: Sequence[str]) -> str:
    return "; ".join(tried) or "no key file, no agent and no password were there"


def _keys(key_files: Sequence[str], *, agent: bool) -> Iterator[tuple[str, paramiko.PKey | None]]:
    """What each is called, and the key; None for one that cannot be used: the text then says why."""
    import paramiko

    named = os.environ.get("VMGEN_SSH_KEY")
    if named:
        if not Path(named).expanduser().is_file():
            raise HostError(f"$VMGEN_SSH_KEY names '{named}', which is no file")
        yield f"key {named}", load_key(named)
    if agent:
        for key in paramiko.Agent().get_keys():
            yield f"agent's key {key.fingerprint}", key
    for file in key_files or DEFAULT_KEYS:
        path = Path(file).expanduser()
        if not path.is_file() or file == named:
            continue
        try:
            yield f"key {file}", load_key(str(path))
        except HostError as error:
            yield str(error), None


def load_key(file: str) -> paramiko.PKey:
    """Its passphrase is asked for where it has one: $VMGEN_SSH_PASSPHRASE, else a prompt. Raises HostError."""
    import paramiko

    path = Path(file).expanduser()
    try:
        return _load(path, None)
    except paramiko.PasswordRequiredException:
        phrase = _secret("VMGEN_SSH_PASSPHRASE", f"Passphrase of {file}: ")
    if phrase is None:
        raise HostError(f"key {file} is encrypted: set $VMGEN_SSH_PASSPHRASE, or load it into the ssh agent")
    return _load(path, phrase)


def _load(path: Path, phrase: Secret | None) -> paramiko.PKey:
    import paramiko

    password = phrase.reveal() if phrase else None
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            key: paramiko.PKey = kind.from_private_key_file(str(path), password)
        except paramiko.PasswordRequiredException:
            raise
        except OSError as error:
            raise HostError(f"key {path} can't be read: {error.strerror}") from error
        except (paramiko.SSHException, ValueError):
            continue
        certificate = path.with_name(f"{path.name}-cert.pub")
        if certificate.is_file():
            key.load_certificate(str(certificate))
        return key
    why = "the passphrase is wrong" if phrase else "it is no private key of kind ed25519, ecdsa or rsa"
    raise HostError(f"key {path} can't be used: {why}")


def _passwords_tried(transport: paramiko.Transport, name: str, user: str) -> Iterator[str | None]:
    """What was tried in vain, each kind once; None once one let the user in, and nothing comes after it.

    auth_password falls back to keyboard-interactive (RFC 4256), and then calls a wrong password a bad type.
    """
    import paramiko

    given = take("VMGEN_SSH_PASSWORD")
    prompts = PROMPTS if _has_terminal() else 0
    for number in range(1 if given else prompts):
        secret = _secret("VMGEN_SSH_PASSWORD", f"Password of {user} on {name}: ")
        if secret is None:
            return
        try:
            if not transport.auth_password(user, secret.reveal()):
                yield None
                return
        except paramiko.BadAuthenticationType as error:
            if "keyboard-interactive" not in error.allowed_types:
                yield "a password, which that host does not take"
                return
        except paramiko.AuthenticationException:
            pass
        if number == 0:
            yield "the password of $VMGEN_SSH_PASSWORD" if given else "a password"


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _secret(variable: str, prompt: str) -> Secret | None:
    given = take(variable)
    if given:
        return given
    if not _has_terminal():
        return None
    return Secret(getpass.getpass(prompt)) or None
