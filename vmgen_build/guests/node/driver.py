"""Containers on a node, as NodeWorkshop sees them: a program of the node's own (vzctl, lxc-*) over a runner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.node.clearing import PACKER
from vmgen_build.guests.runners import Done, Runner, answers
from vmgen_build.host.names import NAMELESS
from vmgen_build.limits import NODE_TRANSFER

MARK = "vmgen"
"""Begins the name of every container of ours, and stands in the name of every OS template of ours."""

KEPT = 8
"""OS templates of ours that stay on a node: the most recently used."""

SUFFIX = ".tar.gz"

PROGRAMS = ("flock", "unshare", "bash", "tar", "gzip")
"""What a build runs on any node."""

TAR = """\
set -f
options='--numeric-owner --one-file-system'
known=$(tar --help)
for one in --xattrs --xattrs-include=* --acls --warning=no-file-ignored; do
    case $known in *"${one%%=*}"*) options="$options $one" ;; esac
done
"""
"""Shell text that puts tar's options for a whole root into $options, to pack or to unpack it; older ones (1.23 of EL 6)
lack some. Sockets are left out: tar knows none."""

PACK = f"""\
{TAR}
pack() {{ unshare -m sh -euc '{NAMELESS}' sh tar $options -C "$1" -cf - .; }}
"""
"""Shell text: `pack FOLDER` writes the tar of a root to its standard output, with ACLs by number. It needs root."""

STORE = f"""\
set -euo pipefail
{PACK}
umask 077
cache=$1 name=$2 part=$3 root=$4
mkdir -p -- "$cache"
cd -- "$cache"
trap 'rm -f -- "$part"' EXIT
if [ -n "$root" ]; then
    pack "$root" | gzip -1 >"$part"
else
    cat >"$part"
    gzip -t <"$part"
fi
chmod 0644 -- "$part"
mv -f -- "$part" "$name"
find . -maxdepth 1 -name '*-{MARK}-????????????????{SUFFIX}' -printf '%T@ %f\\n' | sort -rn | tail -n +{KEPT + 1} |
    while read -r _ old; do rm -f -- "$old"; done
"""
"""bash: an OS template from a root, or from standard input where that is "", whole or not at all; the oldest go."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a container has while a plan runs in it. ram and disk in bytes, 0 for the node's own default; addresses: set
    by the node, without a prefix length. arch: of its programs, in Debian's words; "" for the node's."""

    cpus: int = 0
    ram: int = 0
    disk: int = 0
    addresses: tuple[str, ...] = ()
    arch: str = ""


class Driver(ABC):
    """One kind of node. tag: of the build, safe in a name; every container that it makes carries it."""

    kind: ClassVar[str]
    """As users know it: "OpenVZ", "lxc"."""

    removal: ClassVar[str]
    """Shell functions for the guardian (guests.node.guardian), with those of guests.node.clearing at hand. `remove ID
    TAG` stops and destroys the container with all that is its own, if it carries the tag or is half made; another's is
    left alone. It ends with 2 where none of this driver's containers has such an ID, with 1 where it could not, and
    why is in $why. `cache_folder` prints where its OS templates lie."""

    programs: ClassVar[tuple[str, ...]] = ()
    """What it runs on the node; where the first is, it can work."""

    guest_scripts: ClassVar[str] = ""
    """The program whose scripts set up what runs in a container, as in Family.node_packages; "" where none does."""

    needs_address: ClassVar[bool] = False
    """Whether a container reaches the outside by an address of its own (Setup.addresses) alone."""

    foreign_os_templates: ClassVar[bool] = False
    """Whether its cache has OS templates of others, which a container may start from."""

    def __init__(self, runner: Runner, tag: str) -> None:
        self.runner, self.tag = runner, tag

    @property
    @abstractmethod
    def cache(self) -> str:
        """Folder of the node for OS templates."""

    def check(self) -> None:
        """Raises HostError saying what the node lacks for a build, and what to do."""
        lacking = [program for program in (*self.programs, *PROGRAMS) if not self.has(program)]
        if lacking:
            raise HostError(
                f"{self.where} lacks {', '.join(lacking)}; install that there, or see: vmgen-build doctor --host"
            )

    @abstractmethod
    def free_id(self, wanted: str, taken: Collection[str]) -> str:
        """An identifier that no container has and that is not among `taken`: `wanted` if it is free and may be used."""

    @abstractmethod
    def create(self, ct: str, os_template: str, setup: Setup) -> None:
        """A stopped container from an OS template of the cache. Raises BuildError."""

    @abstractmethod
    def start(self, ct: str) -> None:
        """Start it, and wait until commands run in it. Raises BuildError."""

    @abstractmethod
    def stop(self, ct: str) -> None:
        """Raises BuildError."""

    def end_all(self, ct: str) -> None:
        """End all that runs in it, at once; it is stopped then. Raises BuildError."""
        self.stop(ct)

    @abstractmethod
    def exec_argv(self, ct: str, command: str, *, network: bool = False) -> list[str]:
        """The call that has the container's shell run `command`, with the caller's standard input.

        network: whether it needs to reach the outside; another may find itself cut off."""

    @abstractmethod
    def mounted(self, ct: str) -> AbstractContextManager[str]:
        """The root of a stopped container, as a folder of the node."""

    @abstractmethod
    def explain(self, ct: str, done: Done) -> str:
        """What is wrong where a call of exec_argv did not come to run its command."""

    @abstractmethod
    def no_way_out(self, ct: str, os_template: str) -> str:
        """What may be wrong, and what to do, where packages' indexes cannot be fetched in a running container.

        os_template: of which it was made."""

    @abstractmethod
    def how_to_enter(self, ct: str) -> str:
        """For a container that was kept: how to enter it, and how to remove it."""

    def resolv_conf(self, ct: str) -> bytes:
        """The name servers that the node gives the container; b"" where each command has them anyway."""
        return b""

    @property
    def where(self) -> str:
        return self.runner.name

    def has(self, program: str) -> bool:
        return self.runner.run(["sh", "-c", 'command -v "$1"', "sh", program]).code == 0

    def os_templates(self) -> frozenset[str]:
        """Names in the cache, without what comes behind .tar."""
        listed = self.runner.run(["ls", "-1", "--", self.cache])
        names = answers.names(listed.out, self.where, "the list of its OS templates")
        return frozenset(name.partition(".tar")[0] for name in names if ".tar" in name)

    def os_template_digest(self, name: str) -> str:
        """sha256 of an OS template of the cache. Raises BuildError."""
        find = 'cd -- "$1" && for f in "$2".tar "$2".tar.*; do [ ! -f "$f" ] || { sha256sum <"$f"; break; }; done'
        done = self.runner.run(["sh", "-c", find, "sh", self.cache, name])
        if done.code != 0 or not done.out:
            raise BuildError(f"{self.where}: cannot read the OS template {name} in {self.cache}: {last_line(done)}")
        return answers.digest(done.out, self.where, f"the sha256 of the OS template {name}")

    def put_os_template(self, name: str, source: BinaryIO, suffix: str = SUFFIX) -> None:
        """Copy an OS template into the cache. suffix: as ".tar.gz". Raises BuildError."""
        self._store(name + suffix, "", source)

    def keep_as_os_template(self, ct: str, name: str) -> None:
        """Pack a stopped container's root as an OS template, on the node. Raises BuildError."""
        with self.mounted(ct) as root:
            self._store(name + SUFFIX, root, None)

    def used(self, name: str) -> None:
        """Note that an OS template of ours was used, so that it is not the next one to go."""
        self.runner.run(["touch", "-c", "--", f"{self.cache}/{name}{SUFFIX}"])

    def _store(self, name: str, root: str, source: BinaryIO | None) -> None:
        part = f".{name}.part-{self.tag}"
        words = ["env", f"{PACKER}={self.tag}", "bash", "-c", STORE, "bash", self.cache, name, part, root]
        done = self.runner.run(words, data=source if source is not None else b"", timeout=float(NODE_TRANSFER.amount))
        if done.code != 0:
            raise BuildError(
                f"{self.where}: cannot store the OS template {name} in {self.cache}: {last_line(done)};"
                " make room there, or remove OS templates that nobody needs"
            )


def last_line(done: Done) -> str:
    """What a program wrote last, printable, or its exit code where it wrote nothing."""
    lines = [line.strip() for line in (done.err + "\n" + done.out).splitlines() if line.strip()]
    last = [line.strip() for line in done.err.splitlines() if line.strip()] or lines
    return answers.shown(last[-1]) if last else f"exit code {done.code}"
