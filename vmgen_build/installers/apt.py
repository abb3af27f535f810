"""apt: Debian and its relatives. Formats: apt-get(8), sources.list(5), dpkg-query(1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from vmgen_build.installers.base import (
    LISTED,
    PLAIN,
    GuestFile,
    Installer,
    Manner,
    Placement,
    Source,
    each_missing,
    those_installed,
    unpinned,
)
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

_HIGHEST = 900
"""A pin above 500 beats a source without one, and below 990 the release that the user asks for."""

_ARMOUR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


_INSTALLED = 'case $(dpkg-query -W -f "\\${db:Status-Abbrev}" -- "$name" 2>/dev/null || :) in ?i*) ;; *) false ;; esac'
"""The second letter of dpkg's abbreviation is i where the package is installed: dpkg-query(1)."""


_LICENCES = r"""find -L /usr/share/doc -mindepth 2 -maxdepth 2 -name copyright -type f -size -2048 -exec awk '
    FNR == 1 { formal = /^Format/; parts = split(FILENAME, part, "/"); name = part[parts - 1] }
    formal && /^License:/ {
        sub(/^License:[ \t]*/, "")
        if ($0 != "" && !((name, $0) in seen)) { seen[name, $0]; printf "\t%s\t%s\n", name, $0 }
    }' {} + 2>/dev/null || :
"""
"""Prints what Installer.describe_installed says of licences. A link of a package's folder leads to another's."""


class Apt(Installer):
    supply: ClassVar[str] = "apt"

    def command(self) -> list[str]:
        """apt-get with the options that all its calls have."""
        return list(_APT_GET)

    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        if odd := [name for name in packages if name.endswith("-")]:
            raise ValueError(f"'{odd[0]}' would remove a package; write the name of one to install")
        return self._installing(packages, manner)

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        return self._installing(paths, manner)

    def _installing(self, words: Sequence[str], manner: Manner) -> str:
        choice = "--install-recommends" if manner.recommends else "--no-install-recommends"
        return f"{shlex.join([*self.command(), 'install', choice, '--', *words])}\n"

    def remove(self, packages: Sequence[str]) -> str:
        command = shlex.join([*self.command(), "remove", "--autoremove", "--purge", "--"])
        return those_installed(packages, _INSTALLED, command)

    def hold(self, packages: Sequence[str]) -> str:
        return f"apt-mark hold -- {shlex.join(packages)}\n"

    def on_hold(self, packages: Sequence[str]) -> str:
        return each_missing(packages, 'apt-mark showhold -- "$name" | grep -q .')

    def is_installed(self, packages: Sequence[str]) -> str:
        return each_missing(unpinned(packages), _INSTALLED)

    def list_installed(self) -> str:
        form = r"${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"
        return f"listed=$(dpkg-query -W -f {shlex.quote(form)}) &&\n    {LISTED} | sed -n 's/^.i.\\t//p'\n"

    def describe_installed(self) -> str:
        """Licences are those of copyright files in the machine-readable form (Debian Policy, copyright-format 1.0)."""
        form = (
            r"${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}"
            r"\t${Maintainer}\n"
        )
        listed = f"listed=$(dpkg-query -W -f {shlex.quote(form)}) &&\n    {LISTED} | sed -n 's/^.i.\\t//p'\n"
        return listed + _LICENCES

    def remove_unneeded(self) -> str:
        """By a list of marks of its own, in which these packages alone were installed automatically: apt-mark(8)."""
        options = (
            "-o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false"
            ' -o Dir::State::extended_states="$marks"'
        )
        return (
            "marks=$(mktemp)\n"
            'xargs -r apt-mark -o Dir::State::extended_states="$marks" auto -- >"$marks.log"\n'
            f"{shlex.join(self.command())} {options} --purge autoremove\n"
            'rm -f -- "$marks" "$marks.log"\n'
        )

    def mark_wanted(self) -> str:
        return "xargs -r apt-mark manual --\n"

    def owners(self) -> str:
        """dpkg knows a file by the name that its package gives it, with /usr or without: dpkg-query(1)."""
        return (
            r"sed -n 'p; s,^/usr/,/,p; t; s,^/,/usr/,p' | xargs -r -d '\n' dpkg-query -S -- 2>/dev/null |"
            r" sed -n '/^diversion /d; s/: \/.*//; s/:[a-z0-9-]*//g; s/, /\n/g; p'"
            "\n"
        )

    def repository(self, source: Source, system: System) -> Placement:
        """A priority is a pin, apt_preferences(5): 500 is a source's by itself, and the lower number of a recipe the
        higher one of apt's."""
        name = _file_name(source.name, system)
        key: tuple[GuestFile, ...] = ()
        if source.key is not None:
            ending = "asc" if source.key.lstrip().startswith(_ARMOUR) else "gpg"
            key = (GuestFile(f"/etc/apt/keyrings/{name}.{ending}", source.key),)
        sources = _sources_file(name, source, system, key[0].path if key else "")
        return Placement((*key, sources, *_pin(name, source)))

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
    if source.text:
        ending = "sources" if re.search(r"(?im)^Types:", source.text) else "list"
        return GuestFile(f"{folder}/{name}.{ending}", without_discs(source.text).encode())
    if source.line:
        return GuestFile(f"{folder}/{name}.list", f"{_signed_line(source.line, key_path)}\n".encode())
    suite = source.suite or system.codename
    parts = () if suite.endswith("/") else source.components or ("main",)
    return GuestFile(f"{folder}/{name}.sources", _stanza(source.url, (suite,), parts, key_path).encode())


def without_discs(text: str) -> str:
    """The same with lines of discs switched off: nobody puts one in."""
    return re.sub(r"(?m)^(?=\s*deb(-src)?\s+(\[[^\]]*\]\s*)?cdrom:)", "# ", text)


def _pin(name: str, source: Source) -> tuple[GuestFile, ...]:
    """By the host's name alone: what the archive calls itself is not known."""
    if not source.priority:
        return ()
    address = source.url or (re.findall(r"\b[a-z]+://\S+", source.line or source.text) or [""])[0]
    host = urlsplit(address).hostname or ""
    text = f'Package: *\nPin: origin "{host}"\nPin-Priority: {_HIGHEST - 4 * source.priority}\n'
    return (GuestFile(f"/etc/apt/preferences.d/{name}.pref", text.encode()),)


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
