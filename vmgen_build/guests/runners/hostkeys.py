"""Keys of hosts: known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from vmgen_build.errors import HostError


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A line of a file that speaks of the host asked for. marker: "", "@revoked" or "@cert-authority"."""

    file: Path
    line: int
    marker: str
    kind: str
    key: bytes


def known_hosts_files() -> tuple[Path, ...]:
    """The one that is written to first. $VMGEN_SSH_KNOWN_HOSTS stands for all."""
    named = os.environ.get("VMGEN_SSH_KNOWN_HOSTS")
    return (Path(named),) if named else (Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts"))


def entry_name(host: str, port: int) -> str:
    """How a host is called there."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def known_keys(name: str) -> list[KnownKey]:
    """Of all files. Raises HostError where a file is there and can't be read."""
    return [key for file in known_hosts_files() for key in _read(file, name)]


def _read(file: Path, name: str) -> Iterator[KnownKey]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(f"{file}, the known host keys, can't be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or not _speaks_of(words[0], name):
            continue
        try:
            key = base64.b64decode(words[2], validate=True)
        except ValueError:
            continue
        yield KnownKey(file, number, marker, words[1], key)


def _speaks_of(names: str, name: str) -> bool:
    if names.startswith("|1|"):
        return _is_hash_of(names, name)
    patterns = names.lower().split(",")
    if any(p.startswith("!") and _matches(name, p[1:]) for p in patterns):
        return False
    return any(_matches(name, p) for p in patterns)


def _matches(name: str, pattern: str) -> bool:
    """* and ? alone are special (ssh_config(5), PATTERNS); brackets are those of [host]:port."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _is_hash_of(hashed: str, name: str) -> bool:
    """|1|SALT|HASH, both base64: HMAC-SHA1 of the name."""
    try:
        _, _, salt, digest = hashed.split("|")
        made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, base64.b64decode(digest))
    except ValueError:
        return False


def fingerprint(key: bytes) -> str:
    """As ssh-keygen -l shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def check_host_key(name: str, kind: str, key: bytes, *, accept_new: bool) -> None:
    """Raises HostError for a key that is unknown, revoked or another than the known one.

    accept_new: an unknown one is added to the first file; one that differs from a known one never is.
    """
    shown = f"{kind} {fingerprint(key)}"
    known = [k for k in known_keys(name) if k.marker != "@cert-authority"]
    for entry in known:
        if entry.marker == "@revoked" and entry.key == key:
            raise HostError(f"the key of {name} ({shown}) is revoked by {entry.file}:{entry.line}; not connecting")
    good = [k for k in known if not k.marker]
    if any(k.key == key for k in good):
        return
    if good:
        raise HostError(_changed(name, shown, good))
    if not accept_new:
        raise HostError(
            f"the key of {name} is not known: {shown}\n"
            "  compare it with what this prints on that host:"
            " for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -l -E sha256 -f $f; done\n"
            "  if it is the same, run this command again with --accept-new-host-key, which adds it to"
            f" {known_hosts_files()[0]}"
        )
    _add(known_hosts_files()[0], name, kind, key)


def _changed(name: str, shown: str, known: list[KnownKey]) -> str:
    lines = [f"    {k.file}:{k.line}: {k.kind} {fingerprint(k.key)}" for k in known]
    return "\n".join(
        [
            f"the key of {name} is not the one that is known: somebody stands between, or the host was installed anew",
            f"  it shows {shown}",
            "  known are:",
            *lines,
            f"  if the new key is right, remove the old lines first: ssh-keygen -R '{name}' -f {known[0].file}",
            "  --accept-new-host-key does not replace a known key",
        ]
    )


def _add(file: Path, name: str, kind: str, key: bytes) -> None:
    line = f"{name} {kind} {base64.b64encode(key).decode()}\n"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+", buffering=0) as out:
            size = out.seek(0, os.SEEK_END)
            out.seek(max(size - 1, 0))
            unended = size > 0 and out.read(1) != b"\n"
            out.write(("\n" * unended + line).encode())
    except OSError as error:
        raise HostError(f"the key of {name} can't be added to {file}: {error.strerror}") from error
