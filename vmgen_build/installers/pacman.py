"""pacman: Arch Linux. Formats: pacman(8), pacman.conf(5), pacman-key(8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vmgen_build.installers.base import (
    LISTED,
    PLAIN,
    SCRIPT_ADVICE,
    GuestFile,
    Installer,
    Manner,
    Placement,
    Source,
    addresses,
    each_missing,
    those_installed,
)
from vmgen_build.systems.model import STEP_FOLDER, System

OPTIONS, REPOSITORIES = "pacman.options", "pacman.repositories"
"""In the step's folder: the settings of a build, and the distribution's repositories (bases/pacman)."""

SYNC = "/var/lib/pacman/sync"
"""Databases of repositories: those of a build lie where builds share them, and none of them stays in an image."""

CONF = "/etc/pacman.conf"
KEYRING = "/etc/pacman.d/gnupg"
OWN = "/etc/pacman.d/vmgen"
"""Where a recipe's repositories lie, one file each; CONF includes them, before the distribution's own or behind."""

INSTALLED = 'pacman -T -- "$name" >/dev/null 2>&1'
"""About "$name", which may be what a package provides."""

SCRIPT_FAILED = "command failed to execute correctly"

_RUN = """\
# pacman ends well though a package's own script failed. It reads one file of settings: the build's, and the recipe's.
run_pacman() {{
    # shellcheck source=/dev/null
    [ ! -e {folder}/proxy.sh ] || . {folder}/proxy.sh
    log=$(mktemp)
    for part in {folder}/{options} {own}/first/*.conf {folder}/{repositories} {own}/*.conf; do
        [ ! -e "$part" ] || cat -- "$part"
    done >"$log.conf"
    # No link in place of the whole database: pacman unpacks scripts there, and makes a folder of a link on their way.
    downloads=$(sed -n 's|^CacheDir = \\(.*\\)/packages/$|\\1|p' "$log.conf")
    rm -rf {sync}
    ln -s "$downloads/sync" {sync}
    {{ pacman --noconfirm --noprogressbar --config "$log.conf" "$@" 2>&1 || echo "$?" >"$log.code"; }} | tee "$log"
    code=0
    if [ -e "$log.code" ]; then
        code=$(cat "$log.code")
    elif {tolerant} && grep -qF '{failed}' "$log"; then
        echo "{advice}"
        code=1
    fi
    rm -f "$log" "$log.code" "$log.conf" {sync}
    # What looks for an unknown key lives on for minutes, and the step would wait for it.
    [ ! -d {keyring} ] || gpgconf --homedir {keyring} --kill all || :
    return "$code"
}}
"""

_TRUST = """\
pacman-key --add {key}
shown=$(gpg --batch --with-colons --show-keys {key})
for id in $(printf '%s\\n' "$shown" | awk -F: '$1 == "pub" {{ print $5 }}'); do
    pacman-key --lsign-key "$id"
done
gpgconf --homedir {keyring} --kill all
"""

_INCLUDE = """\
if ! grep -qF {line} {conf}; then
    {edit}
fi
"""


_DESCRIBE = r"""cat /var/lib/pacman/local/*/desc | awk '
    function put() {
        if (name != "") printf "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, version, arch, base, version, packer, licence
        name = version = arch = base = packer = licence = ""
    }
    /^%[A-Z0-9]+%$/ { field = $0; if (field == "%NAME%") put(); next }
    $0 == "" { field = "" }
    field == "%NAME%" { name = $0 }
    field == "%VERSION%" { version = $0 }
    field == "%ARCH%" { arch = $0 }
    field == "%BASE%" { base = $0 }
    field == "%PACKAGER%" { packer = $0 }
    field == "%LICENSE%" { licence = licence (licence == "" ? "" : " AND ") $0 }
    END { put() }'
"""
"""Of the database itself (alpm's "local"): pacman -Qi leaves out the base, which is the name of the source."""


@dataclass(frozen=True, slots=True)
class Repo:
    """Its name, as pacman.conf has it in brackets, and its address."""

    name: str
    url: str


def repositories(system: System, mirror: str | None) -> list[Repo]:
    """Of the system's own archive, whose suites are paths that begin with a repository's name.

    mirror: what stands for the archive's address.
    """
    return [Repo(suite.partition("/")[0], url) for _, suite, url in addresses(system, mirror)]


class Pacman(Installer):
    """Of what is installed, all is brought up to date with what comes: Arch supports no other way."""

    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        """Raises ValueError for a version, since an archive holds the newest alone."""
        if pinned := [name for name in packages if "=" in name]:
            raise ValueError(f"pacman's archives hold no version but the newest: '{pinned[0]}'; name a package file")
        return self._run(["-Su", "--needed", "--", *packages], manner)

    def install_files(self, paths: Sequence[str], manner: Manner = PLAIN) -> str:
        return self._run(["-U", "--needed", "--", *paths], manner)

    def _run(self, words: Sequence[str], manner: Manner = PLAIN) -> str:
        return f"{running(manner)}run_pacman {shlex.join(words)}\n"

    def remove(self, packages: Sequence[str]) -> str:
        return running() + those_installed(packages, 'pacman -Q -- "$name" >/dev/null 2>&1', "run_pacman -Rs --")

    def hold(self, packages: Sequence[str]) -> str:
        line = f"/^\\[options\\]/a IgnorePkg = {' '.join(packages)}"
        return f"sed -i {shlex.quote(line)} {CONF}\n"

    def on_hold(self, packages: Sequence[str]) -> str:
        return each_missing(packages, 'pacman-conf IgnorePkg | grep -qxF -- "$name"')

    def is_installed(self, packages: Sequence[str]) -> str:
        """A name may be a group's."""
        return each_missing(packages, f'{{ {INSTALLED} || pacman -Qg -- "$name" >/dev/null 2>&1; }}')

    def list_installed(self) -> str:
        fields = (
            "/^Name +:/ { name = $3 } /^Version +:/ { version = $3 } /^Architecture +:/ { print name, version, $3 }"
        )
        return f"listed=$(LC_ALL=C pacman -Qi) &&\n    {LISTED} | awk -v OFS='\\t' '{fields}' | LC_ALL=C sort\n"

    def describe_installed(self) -> str:
        return _DESCRIBE

    def remove_unneeded(self) -> str:
        """pacman(8), --unneeded. By the guest's own settings: it fetches nothing."""
        return "pacman --noconfirm -Run -\n"

    def mark_wanted(self) -> str:
        return "xargs -r pacman -D --asexplicit --\n"

    def owners(self) -> str:
        return "xargs -r -d '\\n' pacman -Qoq -- 2>/dev/null || :\n"

    def repository(self, source: Source, system: System) -> Placement:
        """A priority means that it stands before the distribution's own: pacman takes the first that has a package."""
        if source.name in ("options", *(repo.name for repo in repositories(system, None))):
            raise ValueError(f"'{source.name}' is a name of pacman's own; give the repository another")
        if source.line:
            raise ValueError("a line of apt's sources is none of this system's; write url, or file = NAME.conf")
        name = re.sub(r"[^A-Za-z0-9_.@-]+", "-", source.name).strip("-.") or "repository"
        key = (GuestFile(f"/etc/pacman.d/keys/{name}.asc", source.key),) if source.key is not None else ()
        folder = f"{OWN}/first" if source.priority else OWN
        conf = GuestFile(f"{folder}/{name}.conf", (source.text or _section(name, source)).encode())
        trust = _TRUST.format(key=shlex.quote(key[0].path), keyring=KEYRING) if key else ""
        return Placement((*key, conf), trust + _including(conf.path, first=bool(source.priority)))

    def canonical_sources(self, system: System) -> tuple[str, str] | None:
        return None


def running(manner: Manner = PLAIN) -> str:
    """Lines of sh: a function that runs pacman with the settings of the build."""
    return _RUN.format(
        folder=STEP_FOLDER,
        keyring=KEYRING,
        options=OPTIONS,
        repositories=REPOSITORIES,
        own=OWN,
        sync=SYNC,
        tolerant="false" if manner.tolerant else "true",
        failed=SCRIPT_FAILED,
        advice=SCRIPT_ADVICE,
    )


def _section(name: str, source: Source) -> str:
    """SigLevel: pacman.conf(5), "PACKAGE AND DATABASE SIGNATURE CHECKING"."""
    url = "/".join(filter(None, (source.url.rstrip("/"), source.suite.strip("/"))))
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError(f"a repository's address holds a control character: {url!r}")
    level = "Required DatabaseOptional" if source.key is not None else "Never"
    return f"[{name}]\nSigLevel = {level}\nServer = {url}\n"


def _including(path: str, *, first: bool) -> str:
    """Lines of sh that make CONF include a file: before the first repository, or at its end."""
    line = f"Include = {path}"
    edit = f"printf '%s\\n' {shlex.quote(line)} >>{CONF}"
    if first:
        program = f'!done && /^\\[/ && !/^\\[options\\]/ {{ print "{line}"; done = 1 }} {{ print }}'
        edit = f"awk {shlex.quote(program)} {CONF} >{CONF}.new && mv {CONF}.new {CONF}"
    return _INCLUDE.format(line=shlex.quote(line), conf=CONF, edit=edit)


INSTALLER = Pacman()
