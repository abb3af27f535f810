"""apk: Alpine Linux. Format: apk(8), apk-repositories(5), apk-world(5). Rendered and linted; never run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vmgen_build.installers import GuestFile, Installer, Manner, Placement, Source
from vmgen_build.installers.base import LISTED, PLAIN, each_missing, those_installed
from vmgen_build.systems.model import System

INSTALLED = 'apk info --quiet --installed -- "$name" >/dev/null'

FIELDS = """
/^P:/ { name = substr($0, 3) }
/^V:/ { version = substr($0, 3) }
/^A:/ { print name, version, substr($0, 3) }
"""


class Apk(Installer):
    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        return f"apk --no-interactive add -- {shlex.join(packages)}\n"

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        return f"apk --no-interactive --allow-untrusted add -- {shlex.join(paths)}\n"

    def remove(self, packages: Sequence[str]) -> str:
        return those_installed(packages, INSTALLED, "apk --no-interactive del --")

    def remove_unneeded(self) -> str:
        return "xargs -r apk --no-interactive del --\n"

    def hold(self, packages: Sequence[str]) -> str:
        pin = '"$name=$(sed -n "/^P:$name\\$/,/^$/s/^V://p" /lib/apk/db/installed)"'
        return (
            f"for name in {shlex.join(packages)} ''; do [ -z \"$name\" ] || apk --no-interactive add -- {pin}; done\n"
        )

    def on_hold(self, packages: Sequence[str]) -> str:
        return each_missing(packages, 'grep -q "^$name=" /etc/apk/world')

    def is_installed(self, packages: Sequence[str]) -> str:
        return each_missing(packages, INSTALLED)

    def list_installed(self) -> str:
        return f"listed=$(awk -v OFS='\\t' '{FIELDS}' /lib/apk/db/installed) &&\n    {LISTED} | LC_ALL=C sort\n"

    def owners(self) -> str:
        return "xargs -r apk info --quiet --who-owns -- 2>/dev/null || :\n"

    def repository(self, source: Source, system: System) -> Placement:
        if not source.url:
            raise ValueError("apk takes the address of a repository alone; write url")
        key = (GuestFile(f"/etc/apk/keys/{source.name}.rsa.pub", source.key),) if source.key is not None else ()
        return Placement(key, f"printf '%s\\n' {shlex.quote(source.url)} >>/etc/apk/repositories\n")

    def canonical_sources(self, system: System) -> tuple[str, str]:
        lines = (f"{archive.uri}/{suite}\n" for archive in system.archives for suite in archive.suites)
        return "/etc/apk/repositories", "".join(lines)


INSTALLER = Apk()
