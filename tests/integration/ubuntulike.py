"""An Ubuntu of the tests' own: an archive with Ubuntu's suites, whose packages are Debian 12's, and one more that makes
the system say that it is Ubuntu 24.04. It stands in for archive.ubuntu.com, and is signed by a key of the tests."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.unit.gpgkeys import Keys

SUITES = ("noble", "noble-updates", "noble-security")
KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"

CONTROL = f"""\
Package: ubuntu-keyring
Version: 2024.04
Architecture: all
Essential: yes
Priority: required
Maintainer: Test <test@example.org>
Description: keys of the tests' archive, at {KEYRING}
"""

POSTINST = """\
#!/bin/sh
set -e
dpkg-divert --quiet --local --rename --add /usr/lib/os-release
cat >/usr/lib/os-release <<'END'
PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
END
"""


@dataclass(frozen=True)
class Archive:
    """url: where it is served. keyrings: a folder to be seen as /usr/share/keyrings. asked: paths, as they came."""

    url: str
    keyrings: Path
    asked: list[str]

    def seeing(self, command: Sequence[str]) -> list[str]:
        """The command, run where this host has the keys, in a mount namespace of its own."""
        script = 'mount --bind "$1" /usr/share/keyrings; shift; exec "$@"'
        return ["unshare", "--mount", "sh", "-euc", script, "sh", str(self.keyrings), *command]


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *_: object) -> None:
        self.asked.append(self.path)


@contextmanager
def ubuntu_like(debs: Path, lists: Path, folder: Path) -> Iterator[Archive]:
    """debs: a folder of downloaded packages; lists: that of their indexes (cache/downloads)."""
    keys = Keys(folder / "keys")
    pool = folder / "ubuntu/pool"
    pool.mkdir(parents=True)
    stanzas = [_own_package(folder, pool, keys)]
    for stanza in _stanzas(lists):
        deb = debs / _file_name(stanza)
        if deb.is_file() and not (pool / deb.name).exists():
            (pool / deb.name).symlink_to(deb)
            stanzas.append("".join(f"{line}\n" for line in _moved(stanza, f"pool/{deb.name}")))
    for suite in SUITES:
        _write_suite(folder / "ubuntu/dists" / suite, suite, "\n".join(stanzas) if suite == "noble" else "", keys)
    keyrings = folder / "keyrings"
    subprocess.run(["cp", "-a", "/usr/share/keyrings", keyrings], check=True)
    (keyrings / Path(KEYRING).name).write_bytes(keys.keyring.read_bytes())
    handler = type("Handler", (_Quiet,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Archive(f"http://127.0.0.1:{server.server_port}/ubuntu", keyrings, handler.asked)  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        keys.end()


def _own_package(folder: Path, pool: Path, keys: Keys) -> str:
    tree = folder / "ubuntu-keyring"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL)
    (tree / "DEBIAN/postinst").write_text(POSTINST)
    (tree / "DEBIAN/postinst").chmod(0o755)
    key = tree / KEYRING.lstrip("/")
    key.parent.mkdir(parents=True)
    key.write_bytes(keys.keyring.read_bytes())
    deb = pool / "ubuntu-keyring_2024.04_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    data = deb.read_bytes()
    return f"{CONTROL}Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"


def _stanzas(lists: Path) -> Iterator[list[str]]:
    """Of Debian 12's indexes, the security archive's first: its versions are the newer ones."""
    found = sorted(lists.glob("lists-*/lists/*bookworm*binary-amd64_Packages"), reverse=True)
    for path in sorted(found, key=lambda one: "security" not in one.name):
        for stanza in path.read_text().split("\n\n"):
            if stanza.strip():
                yield stanza.splitlines()


def _file_name(stanza: list[str]) -> str:
    fields = dict(line.split(": ", 1) for line in stanza if ": " in line and line[0] != " ")
    version = fields["Version"].replace(":", "%3a")
    return f"{fields['Package']}_{version}_{fields['Architecture']}.deb"


def _moved(stanza: list[str], path: str) -> Iterator[str]:
    for line in stanza:
        yield f"Filename: {path}" if line.startswith("Filename: ") else line


def _write_suite(folder: Path, suite: str, packages: str, keys: Keys) -> None:
    lines = []
    for component in ("main", "universe"):
        index = folder / component / "binary-amd64/Packages.xz"
        index.parent.mkdir(parents=True)
        data = lzma.compress((packages if component == "main" else "").encode(), preset=1)
        index.write_bytes(data)
        lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {index.relative_to(folder)}\n")
        plain = (packages if component == "main" else "").encode()
        name = index.with_suffix("").relative_to(folder)
        lines.append(f" {hashlib.sha256(plain).hexdigest()} {len(plain)} {name}\n")
    release = (
        f"Origin: Ubuntu\nLabel: Ubuntu\nSuite: {suite}\nCodename: noble\nVersion: 24.04\nDate: {formatdate()}\n"
        f"Architectures: amd64\nComponents: main universe\nSHA256:\n{''.join(lines)}"
    )
    (folder / "InRelease").write_text(keys.signed(release))
