"""What dnf, yum and zypper share: rpm's database, and the form of their repository files.

Formats: rpm(8), yum.conf(5) and dnf.conf(5), "repo options"; zypper(8), "repository management".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vmgen_build.installers import base
from vmgen_build.installers.base import GuestFile, Placement, Source, each_missing, unpinned
from vmgen_build.systems.model import System

KEYS = "/etc/pki/rpm-gpg"
"""Where Fedora's and SUSE's packages put the keys of archives."""

MOVED = "/var/lib/vmgen/repos"
"""Of the guest: where the base's own repositories lie while it is built; the clean-up puts them back."""

OWN = "vmgen-"
"""What the ids of a build's own repositories begin with, and those of a recipe do not."""

LIST = """\
listed=$(rpm -qa --queryformat '%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\n') &&
    printf '%s\\n' "$listed" | sed '/^gpg-pubkey\\t/d; /^$/d' | LC_ALL=C sort
"""

DESCRIBE = """\
form='%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\t\\t%{VENDOR}\\t%{LICENSE}\\n'
listed=$(rpm -qa --queryformat "$form") &&
    printf '%s\\n' "$listed" | sed '/^gpg-pubkey\\t/d; /^$/d'
"""

INSTALLED = 'rpm -q --quiet --whatprovides -- "$name" >/dev/null 2>&1'
"""About "$name", which may be what a package provides."""

_THERE = """\
there() {
    case $1 in
        *=*) ;;
        *) rpm -q --quiet --whatprovides -- "$1" >/dev/null 2>&1; return ;;
    esac
    versions=$(rpm -q --queryformat '%{VERSION}-%{RELEASE} %{EPOCH} %{ARCH}\\n' -- "${1%%=*}") || return 1
    printf '%s\\n' "$versions" | {
        while read -r version epoch arch; do
            epoch=${epoch#"(none)"}
            for whole in "$version" "${version%-*}" "$version.$arch"; do
                # shellcheck disable=SC2254 # the recipe's version may be a pattern
                case $whole in ${1#*=}) exit 0 ;; esac
                # shellcheck disable=SC2254
                case ${epoch:-0}:$whole in ${1#*=}) exit 0 ;; esac
            done
        done
        exit 1
    }
}
"""
"""A function that asks about NAME or NAME=VERSION. A version is compared as yum does, with the release and the
architecture or without, with the epoch or without: yum(8), "Specifying package names"."""

OWNERS = "xargs -r -d '\\n' rpm -qf --queryformat '%{NAME}\\n' -- 2>/dev/null | sed '/ /d'\n"
"""A path without an owner gets a sentence, which has blanks."""

REMOVE_UNNEEDED = """\
# rpm refuses to remove what others need, and says what: that stays, and it is asked again.
leaving=$(cat)
log=$(mktemp)
while [ -n "$leaving" ]; do
    # shellcheck disable=SC2086 # names hold no blanks
    if LC_ALL=C rpm -e --test --allmatches -- $leaving 2>"$log"; then break; fi
    sed -n 's/^[[:space:]]*//; s/ is needed by (installed) .*//p' "$log" | sed 's/ [<>=].*//' | sort -u |
        xargs -r -d '\\n' rpm -q --queryformat '%{NAME}\\n' --whatprovides >"$log.needed" || :
    less=$(printf '%s\\n' "$leaving" | grep -vxFf "$log.needed" || :)
    if [ "$less" = "$leaving" ]; then cat -- "$log" >&2; exit 1; fi
    leaving=$less
done
# shellcheck disable=SC2086 # names hold no blanks
if [ -n "$leaving" ]; then rpm -e --allmatches -- $leaving; fi
rm -f -- "$log" "$log.needed"
"""
"""rpm(8): --test; lines of its answer are "CAPABILITY is needed by (installed) PACKAGE"."""

_PROVIDED = 'rpm -qa --provides | grep -xF -- "$name" >/dev/null'
"""About "$name" with a version: --whatprovides takes names alone."""

SCRIPT_FAILED = "scriptlet failed|Error in [A-Z]+ scriptlet"
"""What rpm and dnf print where a package's own script fails: an extended regular expression."""


def is_installed(packages: Sequence[str], provided: Sequence[str] = ()) -> str:
    """Lines of sh as Installer.is_installed. Of groups nothing is asked: rpm knows none.

    provided: what some package must provide, as "pattern() = NAME".
    """
    names = [name for name in unpinned(packages) if not name.startswith("@")]
    check = f"{{ {INSTALLED} || {_PROVIDED}; }}" if provided else INSTALLED
    return each_missing([*names, *provided], check)


def is_installed_as(packages: Sequence[str]) -> str:
    """As `is_installed`, and of NAME=VERSION the version counts, which may be a pattern."""
    names = [name for name in packages if not name.startswith("@")]
    return _THERE + each_missing(names, 'there "$name"') if names else ":\n"


def placement(source: Source, folder: str, more: Sequence[str] = ()) -> Placement:
    """A .repo file in the folder, and its key, which rpm knows from the beginning.

    more: further lines of its section. Raises ValueError for a line of apt's, and for what would smuggle one in.
    """
    name = file_name(source.name)
    if name == "main" or name.startswith(OWN):
        raise ValueError(f"'{name}' is a name of the package manager's, or of the build's; give the repository another")
    if source.line:
        raise ValueError("a line of apt's sources is none of this system's; write url, or file = NAME.repo")
    files: tuple[GuestFile, ...] = ()
    setup = ""
    if source.key is not None:
        files = (GuestFile(f"{KEYS}/{name}.asc", source.key),)
        setup = f"rpm --import {KEYS}/{name}.asc\n"
    text = source.text or _section(name, source, files[0].path if files else "", more)
    return Placement((*files, GuestFile(f"{folder}/{name}.repo", text.encode())), setup)


def build_repositories(system: System, mirror: str | None, more: Sequence[str] = ()) -> str:
    """A .repo file of the system's own archives; "" where none is known. Each is checked: without a file of keys, by
    those that rpm knows already. more: further lines of each section."""
    found = addresses(system, mirror)
    return "".join(repository_text(name, url, [key] if key else [], ["gpgcheck=1", *more]) for name, url, key in found)


def repository_text(repo_id: str, url: str, keys: Sequence[str], more: Sequence[str] = ()) -> str:
    """A section of a .repo file. keys: files of the guest that packages are checked by. more: further lines."""
    checked = ["gpgcheck=1", f"gpgkey={' '.join(f'file://{key}' for key in keys)}"] if keys else []
    lines = [
        f"[{repo_id}]",
        f"name={repo_id}",
        f"baseurl={url}",
        "enabled=1",
        *dict.fromkeys((*checked, *more)),
    ]
    if odd := [line for line in lines if re.search(r"[\x00-\x1f\x7f]", line)]:
        raise ValueError(f"a repository's address holds a control character: {odd[0]!r}")
    return "".join(f"{line}\n" for line in lines)


def file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "repository"


def addresses(system: System, mirror: str | None) -> list[tuple[str, str, str]]:
    """Of the system's own archives: id, address and key file of the guest ("" for none) of each repository.

    mirror: what stands for the first archive's address.
    """
    return [
        (f"{OWN}{archive.name}-{archive.suites.index(suite)}", url, archive.keyring)
        for archive, suite, url in base.addresses(system, mirror)
    ]


def _section(name: str, source: Source, key: str, more: Sequence[str]) -> str:
    url = "/".join(filter(None, (source.url.rstrip("/"), source.suite.strip("/"))))
    priority = [f"priority={source.priority}"] if source.priority else []
    unchecked = [] if key else ["gpgcheck=0"]
    return repository_text(name, url, [key] if key else [], [*unchecked, *priority, *more])
