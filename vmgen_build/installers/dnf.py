"""dnf, of any generation, and yum before it: Fedora, Red Hat and their relatives. Formats: dnf(8), yum(8).

What is written is what dnf 4, dnf 5 and yum 3 all take; where they differ, a class below says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import ClassVar

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

SETTINGS = "dnf.conf"
"""In the step's folder: the settings of a build (bases/dnf)."""

REPOSITORIES = "/etc/yum.repos.d"

_RUN = """\
# dnf ends well though a package's own script failed, and leaves an agent of gpg that the step would wait for.
run_dnf() {{
    # shellcheck source=/dev/null
    [ ! -e {folder}/proxy.sh ] || . {folder}/proxy.sh
    log=$(mktemp)
    {{ "$@" 2>&1 || echo "$?" >"$log.code"; }} | tee "$log"
    cache=$(sed -n 's/^cachedir=//p' {settings} 2>/dev/null || :)
    for ring in "$cache"/*/pubring; do
        [ ! -d "$ring" ] || gpgconf --homedir "$ring" --kill all || :
    done
    code=0
    if [ -e "$log.code" ]; then
        code=$(cat "$log.code")
    elif {tolerant} && grep -qE '{failed}' "$log"; then
        echo "{advice}"
        code=1
    fi
    rm -f "$log" "$log.code"
    return "$code"
}}
"""

_HOLD = """\
conf={conf}
grep -q '^\\[main\\]' "$conf" 2>/dev/null || printf '[main]\\n' >>"$conf"
if grep -q '^{option}=' "$conf"; then
    sed -i {more} "$conf"
else
    sed -i {edit} "$conf"
fi
"""


class Dnf(Installer):
    """program: its name. conf: its own settings in the guest. excluding: the option there that holds packages back.
    without_weak: the words that leave out what is merely recommended."""

    supply: ClassVar[str] = "dnf"
    program: ClassVar[str] = "dnf"
    conf: ClassVar[str] = "/etc/dnf/dnf.conf"
    excluding: ClassVar[str] = "excludepkgs"
    without_weak: ClassVar[tuple[str, ...]] = ("--setopt=install_weak_deps=False",)
    with_weak: ClassVar[tuple[str, ...]] = ("--setopt=install_weak_deps=True",)

    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        return self._installing([_asked(name) for name in packages], manner)

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        return self._installing(paths, manner)

    def _installing(self, words: Sequence[str], manner: Manner) -> str:
        weak = self.with_weak if manner.recommends else self.without_weak
        return self._run(["install", *weak, "--", *words], manner)

    def _run(self, words: Sequence[str], manner: Manner = PLAIN) -> str:
        function = _RUN.format(
            folder=STEP_FOLDER,
            settings=shlex.quote(f"{STEP_FOLDER}/{SETTINGS}"),
            tolerant="false" if manner.tolerant else "true",
            failed=rpm.SCRIPT_FAILED,
            advice=SCRIPT_ADVICE,
        )
        return f"{function}run_dnf {self.command()} {shlex.join(words)}\n"

    def command(self) -> str:
        """The words that all its calls have."""
        return shlex.join([self.program, "-y", "-c", f"{STEP_FOLDER}/{SETTINGS}"])

    def remove(self, packages: Sequence[str]) -> str:
        return those_installed(packages, rpm.INSTALLED, f"{self.command()} remove --")

    def hold(self, packages: Sequence[str]) -> str:
        """Without the plug-in versionlock, which is no part of dnf: no repository's package of that name is seen."""
        edit = shlex.quote(f"/^\\[main\\]/a {self.excluding}={' '.join(packages)}")
        more = shlex.quote(f"s/^{self.excluding}=.*/& {' '.join(packages)}/")
        return _HOLD.format(conf=shlex.quote(self.conf), edit=edit, more=more, option=self.excluding)

    def on_hold(self, packages: Sequence[str]) -> str:
        check = f'grep "^{self.excluding}=" {self.conf} | tr "=, " "[\\n*]" | grep -qxF -- "$name"'
        return each_missing(packages, check)

    def is_installed(self, packages: Sequence[str]) -> str:
        return rpm.is_installed(packages)

    def list_installed(self) -> str:
        return rpm.LIST

    def describe_installed(self) -> str:
        return rpm.DESCRIBE

    def remove_unneeded(self) -> str:
        return rpm.REMOVE_UNNEEDED

    def mark_wanted(self) -> str:
        """dnf 5 calls it "user", dnf 4 "install"; neither needs a repository."""
        mark = f"{self.program} -y --disablerepo='*' mark"
        return f'xargs -r sh -c \'{mark} user "$@" 2>/dev/null || {mark} install "$@"\' sh\n'

    def owners(self) -> str:
        return rpm.OWNERS

    def repository(self, source: Source, system: System) -> Placement:
        return rpm.placement(source, REPOSITORIES)

    def canonical_sources(self, system: System) -> tuple[str, str] | None:
        return None


def _asked(name: str) -> str:
    """NAME=VERSION as dnf writes it. A group's id stands as it is."""
    package, pin, version = name.partition("=")
    return f"{package}-{version}" if pin else name


INSTALLER = Dnf()
