"""apt: Debian and its relatives. Formats: apt-get(8), sources.list(5), dpkg-query(1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import ClassVar

from vmgen_build.installers.base import GuestFile, Installer, Source
from vmgen_build.systems.model import System

_APT_GET = (
    "apt-get",
    "-y",
    "-q",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "DPkg::Lock::Timeout=60",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
)

_ARMOUR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


class Apt(Installer):
    supply: ClassVar[str] = "apt"

    def install(self, packages: Sequence[str], recommends: bool = False) -> list[str]:
        if odd := [name for name in packages if name.endswith("-")]:
            raise ValueError(f"'{odd[0]}' would remove a package; write the name of one to install")
        choice = "--install-recommends" if recommends else "--no-install-recommends"
        return [*_APT_GET, "install", choice, "--", *packages]

    def is_installed(self, packages: Sequence[str]) -> str:
        """The second letter of dpkg's abbreviation is i where the package is installed."""
        names = " ".join(shlex.quote(name) for name in packages)
        return (
            "missing=0\n"
            f"for name in {names}; do\n"
            "    case $(dpkg-query -W -f '${db:Status-Abbrev}' -- \"$name\" 2>/dev/null || true) in\n"
            "        ?i*) ;;\n"
            "        *) printf '%s\\n' \"$name\"; missing=1 ;;\n"
            "    esac\n"
            "done\n"
            '[ "$missing" = 0 ]\n'
        )

    def list_installed(self) -> str:
        form = r"${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"
        return f"dpkg-query -W -f {shlex.quote(form)} | sed -n 's/^.i.\\t//p'"

    def repository(self, source: Source, system: System) -> tuple[GuestFile, ...]:
        name = _file_name(source.name, system)
        if source.key is None:
            return (_sources_file(name, source, system, ""),)
        ending = "asc" if source.key.lstrip().startswith(_ARMOUR) else "gpg"
        key = GuestFile(f"/etc/apt/keyrings/{name}.{ending}", source.key)
        return key, _sources_file(name, source, system, key.path)

    def canonical_sources(self, system: System) -> tuple[str, str]:
        if not system.archives:
            raise ValueError(f"the canonical sources of {system.name} are not known; name a Debian system")
        text = "\n".join(_stanza(a.uri, a.suites, a.components, a.keyring) for a in system.archives)
        return f"/etc/apt/sources.list.d/{system.distribution}.sources", text


def _file_name(name: str, system: System) -> str:
    """apt reads no file whose name holds other characters, and the distribution's own file has its name already."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "repository"
    return f"{safe}-repository" if safe == system.distribution else safe


def _sources_file(name: str, source: Source, system: System, key_path: str) -> GuestFile:
    folder = "/etc/apt/sources.list.d"
    if source.line:
        return GuestFile(f"{folder}/{name}.list", f"{_signed_line(source.line, key_path)}\n".encode())
    suite = source.suite or system.codename
    parts = () if suite.endswith("/") else source.components
    return GuestFile(f"{folder}/{name}.sources", _stanza(source.url, (suite,), parts, key_path).encode())


def _stanza(url: str, suites: Sequence[str], parts: Sequence[str], keyring: str) -> str:
    """deb822 form. A suite that ends in / is a path, and has no components."""
    fields = {
        "Types": "deb",
        "URIs": url,
        "Suites": " ".join(suites),
        "Components": " ".join(parts),
        "Signed-By": keyring,
    }
    for name, value in fields.items():
        if re.search(r"[\x00-\x1f\x7f]", value):
            raise ValueError(f"{name} of a repository holds a control character: {value!r}")
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _signed_line(line: str, key_path: str) -> str:
    """The line with signed-by among its options, unless it has one or there is no key."""
    match = re.fullmatch(r"\s*(deb(?:-src)?)\s+(?:\[([^\]]*)\]\s*)?(\S.*)", line)
    if match is None:
        raise ValueError(f"{line!r} is not a source line; write deb URL SUITE COMPONENT")
    kind, options, rest = match[1], (match[2] or "").split(), match[3].rstrip()
    if key_path and not any(option.lower().startswith("signed-by") for option in options):
        options.append(f"signed-by={key_path}")
    return " ".join([kind, *([f"[{' '.join(options)}]"] if options else []), rest])


INSTALLER = Apt()
