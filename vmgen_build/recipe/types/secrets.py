"""Passwords, hashes, keys. No message here repeats a value."""

from __future__ import annotations

import base64
import binascii
import re

from vmgen_build.host import keyring
from vmgen_build.host.environment import is_own
from vmgen_build.host.regular import read_regular
from vmgen_build.limits import SECRET_FILE
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.types.base import Context, Type
from vmgen_build.recipe.types.sources import open_host_file
from vmgen_build.secret import Secret

LONGEST_PASSWORD = 511
"""Bytes: crypt(3)'s CRYPT_MAX_PASSPHRASE_SIZE is 512 with the NUL."""


def fetched(value: Value, ctx: Context) -> str:
    """The text itself, or of env:NAME, or of file:PATH without one line end at its end."""
    kind, colon, name = value.text.partition(":")
    if not colon or kind not in ("env", "file"):
        return value.text
    if kind == "env":
        if is_own(name):
            raise ValueError(f"the environment variable '{name}' is not for recipes; name another, not VMGEN_ or SUDO_")
        secret = ctx.variable(name)
        if secret is None:
            raise ValueError(f"the environment variable '{name}' is not set; set it before the build")
        return secret.reveal()
    path = open_host_file(value, name, ctx)
    try:
        text = read_regular(path, SECRET_FILE).decode()
    except OSError as error:
        why = f"the file '{path}' cannot be read as a secret: {error.strerror}"
        raise ValueError(f"{why}; name a file that holds nothing else") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file '{path}' is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _password(value: Value, ctx: Context) -> Secret:
    text = fetched(value, ctx)
    if not text:
        hint = "; quote one that begins with #" if value.cut else ""
        raise ValueError(f"the password is empty; give one, or leave the option out to lock it{hint}")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("the password holds a line end or another control character, which no login can type")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("the password is not UTF-8 text") from None
    if length > LONGEST_PASSWORD:
        raise ValueError(f"the password is longer than {LONGEST_PASSWORD} bytes, the most that crypt takes")
    if value.cut and not value.cut[1:2].isspace():
        ctx.warnings.append(
            ("the value ends before a #, which begins a comment; quote the whole where it belongs to it", "cut-comment")
        )
    _warn_exposed(value, ctx)
    return Secret(text)


def _warn_exposed(value: Value, ctx: Context) -> None:
    """Once for each file: a password in clear that every user of this host can read."""
    if value.file in ctx.exposed and not value.text.startswith(("env:", "file:")):
        ctx.exposed.discard(value.file)
        text = "stands here in clear, and every user of this host can read it: chmod o= the file, or write env:NAME"
        ctx.warnings.append((text, "clear-password"))


secret = Type("a password, or env:NAME, or file:PATH", _password, empty=True, private=True)


def _login_password(value: Value, ctx: Context) -> Secret:
    """Of an account that is there already: what it may hold is not ours to say."""
    kind, _, name = value.text.partition(":")
    text = _of_keyring(name) if kind == "keyring" else fetched(value, ctx)
    if not text:
        raise ValueError("the password is empty; give one, or login_key")
    return Secret(text)


def _of_keyring(name: str) -> str:
    service, _, user = name.rpartition("/")
    if not service or not user:
        raise ValueError(
            "names nothing in the keyring; write keyring:SERVICE/NAME, as `keyring set SERVICE NAME` has it"
        )
    found, why = keyring.password(service, user)
    if found is None:
        raise ValueError(f"there is no password of '{user}' for '{service}' in the system's keyring: {why}")
    return found.reveal()


login_password = Type(
    "a password, or env:NAME, file:PATH or keyring:SERVICE/NAME", _login_password, empty=True, private=True
)


def _login_key(value: Value, ctx: Context) -> Secret:
    """A private key in a text form; what kind it is ssh says."""
    text = fetched(value, ctx)
    if "PRIVATE KEY-----" not in text:
        raise ValueError(
            "is no private key; write file:PATH with the file that ssh-keygen made, not the one named .pub"
        )
    return Secret(f"{text}\n")


login_key = Type("a private key of ssh: file:PATH, or env:NAME", _login_key, empty=True, private=True)

_CRYPT = re.compile(
    r"\$(?:1|5|6|y|gy|7|sm3|2[abxy]?)\$[./A-Za-z0-9$=,+-]{16,}"  # crypt(5)
)


def _crypt_hash(value: Value, ctx: Context) -> Secret:
    text = fetched(value, ctx)
    if not _CRYPT.fullmatch(text):
        raise ValueError("is not a crypt hash; make one by `openssl passwd -6` or `mkpasswd`")
    return Secret(text)


crypt_hash = Type("a crypt(5) hash, or env:NAME, or file:PATH", _crypt_hash, empty=True, private=True)

_KEY_TYPES = (
    "ssh-ed25519 ssh-rsa ssh-dss ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 "
    "sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com"
)
_KEY = re.compile(rf"(?:^|\s)({'|'.join(map(re.escape, _KEY_TYPES.split()))})\s+([A-Za-z0-9+/]+={{0,2}})(?:\s|$)")


def is_public_key(line: str) -> bool:
    """Whether a line of authorized_keys (sshd(8)) holds a key whose blob (RFC 4253, 6.6) names the same type."""
    match = _KEY.search(line)
    if not match:
        return False
    try:
        blob = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length] == match[1].encode() and len(blob) > 4 + length


def _ssh_keys(value: Value, ctx: Context) -> tuple[str, ...]:
    text = fetched(value, ctx)
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key; give the public one, from the file that ends in .pub")
    lines = [line.strip() for line in text.split("\n")]
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) == 1 and len(value.items) > 1 and all(map(is_public_key, value.items)):
        keys = list(value.items)
    for number, key in enumerate(keys, 1):
        if not is_public_key(key) or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", key):
            raise ValueError(f"key {number} is not a public key; write a type and its base64 text: ssh-ed25519 AAAA…")
    return tuple(dict.fromkeys(keys))


ssh_keys: Type[tuple[str, ...]] = Type("public keys, one a line, or env:NAME, or file:PATH", _ssh_keys, private=True)
