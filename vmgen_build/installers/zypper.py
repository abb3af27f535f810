"""zypper: openSUSE and SUSE. Format: zypper(8), "EXIT CODES"."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vmgen_build.installers import rpm
from vmgen_build.installers.base import (
    PLAIN,
    SCRIPT_ADVICE,
    Installer,
    Manner,
    Placement,
    Source,
    each_missing,
    those_installed,
)
from vmgen_build.systems.model import STEP_FOLDER, System

REPOSITORIES = "/etc/zypp/repos.d"

PATTERN = "pattern:"
"""What the name of a pattern begins with, in recipes and in the catalogue."""

SETTINGS = "zypp.conf"
AUTOMATIC = "/var/lib/zypp/AutoInstalled"
"""Names of packages that came as dependencies, one a line."""

BUILD_REPOSITORIES = "vmgen.repo"
"""In the step's folder: the settings of a build, and the repositories that it takes the distribution's own packages
from (bases/zypper)."""

_RUN = """\
# zypper reads repositories from one folder: the build's, or else the base's own, and the recipe's meet in a new one.
# It takes no key that a repository offers of itself: rpm knows the base's, and those that the recipe names.
run_zypper() {{
    folder=$(mktemp -d)
    found={folder}/{build}
    [ -s "$found" ] || found={moved}
    # shellcheck source=/dev/null
    [ ! -e {folder}/proxy.sh ] || . {folder}/proxy.sh
    for repo in "$found" "$found"/*.repo {own}/*.repo; do
        [ ! -f "$repo" ] || cp -- "$repo" "$folder/"
    done
    code=0
    zypper --non-interactive --reposd-dir "$folder" "$@" || code=$?
    rm -rf "$folder"
    # Agents of gpg that it leaves live on for minutes, and the step would wait for them.
    for agent in /proc/[0-9]*/cmdline; do
        case $(tr '\\0' ' ' 2>/dev/null <"$agent" || :) in
            "gpg-agent --homedir "*/zypp*)
                agent=${{agent%/cmdline}}
                kill "${{agent#/proc/}}" || :
                ;;
        esac
    done
    case $code in
        0 | 100 | 101 | 102 | 103) return 0 ;;
        107) {tolerant} || return 0
             echo "{advice}" ;;
    esac
    return "$code"
}}
"""
"""100 to 103 are news, not failures; 107: packages are installed, and a script of one failed."""


class Zypper(Installer):
    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        names = [_asked(name) for name in packages]
        return self._run(["install", *self._weak(manner), "--", *names], manner)

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        return self._run(["install", "--allow-unsigned-rpm", *self._weak(manner), "--", *paths], manner)

    def _weak(self, manner: Manner) -> tuple[str, ...]:
        return ("--recommends",) if manner.recommends else ("--no-recommends",)

    def _run(self, words: Sequence[str], manner: Manner = PLAIN) -> str:
        return f"{running(manner)}run_zypper {shlex.join(words)}\n"

    def remove(self, packages: Sequence[str]) -> str:
        return running() + those_installed(packages, rpm.INSTALLED, "run_zypper remove --clean-deps --")

    def hold(self, packages: Sequence[str]) -> str:
        return f"zypper --non-interactive addlock -- {shlex.join(packages)}\n"

    def on_hold(self, packages: Sequence[str]) -> str:
        return each_missing(packages, 'zypper --non-interactive locks | tr -s " |" "[\\n*]" | grep -qxF -- "$name"')

    def is_installed(self, packages: Sequence[str]) -> str:
        """A pattern is what a package provides: pattern() = NAME."""
        names = [name for name in packages if not name.startswith(PATTERN)]
        patterns = [f"pattern() = {name.removeprefix(PATTERN)}" for name in packages if name.startswith(PATTERN)]
        return rpm.is_installed(names, patterns)

    def list_installed(self) -> str:
        return rpm.LIST

    def describe_installed(self) -> str:
        return rpm.DESCRIBE

    def remove_unneeded(self) -> str:
        return rpm.REMOVE_UNNEEDED

    def mark_wanted(self) -> str:
        """By the list that zypper remove --clean-deps asks."""
        return (
            f"cat >{AUTOMATIC}.wanted\n"
            f"if [ -f {AUTOMATIC} ]; then\n"
            f"    grep -vxFf {AUTOMATIC}.wanted {AUTOMATIC} >{AUTOMATIC}.new || :\n"
            f"    cat {AUTOMATIC}.new >{AUTOMATIC}\n"
            "fi\n"
            f"rm -f {AUTOMATIC}.wanted {AUTOMATIC}.new\n"
        )

    def owners(self) -> str:
        return rpm.OWNERS

    def repository(self, source: Source, system: System) -> Placement:
        return rpm.placement(source, REPOSITORIES, ("type=rpm-md", "autorefresh=1"))

    def canonical_sources(self, system: System) -> tuple[str, str] | None:
        return None


def running(manner: Manner = PLAIN) -> str:
    """Lines of sh: a function that runs zypper with the build's repositories and the guest's own."""
    tolerant = "false" if manner.tolerant else "true"
    return _RUN.format(
        folder=STEP_FOLDER,
        build=BUILD_REPOSITORIES,
        own=REPOSITORIES,
        moved=rpm.MOVED,
        tolerant=tolerant,
        advice=SCRIPT_ADVICE,
    )


def _asked(name: str) -> str:
    """Raises ValueError for a part of a version, which zypper compares as a whole."""
    if "=" in name and "*" in name:
        raise ValueError(f"zypper takes no pattern of a version: '{name}'; write the whole version")
    return name


INSTALLER = Zypper()
