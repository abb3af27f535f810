"""A Debian base: mmdebstrap(1) into a folder, with the packages that were downloaded before."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from vmgen_build.bases.apt.archive import AptSource
from vmgen_build.bases.apt.cache import keep_packages, package_lists
from vmgen_build.bases.apt.release import require_keyring
from vmgen_build.bases.supply import COMPLETE, Making
from vmgen_build.errors import StepFailed
from vmgen_build.host.architectures import able_to_run
from vmgen_build.host.environment import PROXIES, own
from vmgen_build.host.files import write_private
from vmgen_build.host.run import run_lines
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.text import LastLines

_NEUTRAL = (
    ': > "$1"/etc/apt/sources.list;'
    ' printf "#!/bin/sh\\nexit 101\\n" > "$1"/usr/sbin/policy-rc.d;'
    ' chmod 0755 "$1"/usr/sbin/policy-rc.d;'
    ' rm "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap'
)
"""No source and no setting of the builder's (its proxy, for one), and no service that starts while packages are
installed (invoke-rc.d(8))."""

_MERGED = "usr-is-merged"
"""The package that says so (of a suite that has it), and has mmdebstrap merge /usr."""

_LIBRARIES = {"amd64": " lib32 lib64 libx32", "i386": " lib64 libx32"}
"""Architecture -> folders beside /lib that lie in /usr as well: setup_merged_usr of debootstrap."""

_SETTINGS = (
    'APT::Sandbox::User "root";',
    'Acquire::Retries "3";',
    'Acquire::http::Timeout "30";',
)


def mmdebstrap_command(base: Bootstrapped, making: Making, settings: Path, packages: Path) -> list[str]:
    """The call that makes `base` in making.root. settings: a file for apt.conf.d; sources come by standard input.

    Neither they nor the sources are arguments, which every user of the host can read: they may hold passwords.
    The hooks link downloaded packages in, and keep what is new together with the indexes (mmdebstrap(1), HOOKS): new
    packages are linked into scratch/new. Indexes that are there already are of the same state of the archive: they are
    taken, and none are fetched.
    """
    new, archives = quote(str(making.scratch / "new")), '"$1"/var/cache/apt/archives'
    debs = 'find {} -maxdepth 1 -name "*.deb" -exec cp -lnt {} {{}} +'
    return [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        f"--architectures={base.arch}",
        f"--include={','.join(base.packages)}",
        *([] if _MERGED in base.packages else [_merging(base.arch)]),
        "--skip=check/qemu",
        "--skip=download/empty",
        "--skip=essential/unlink",
        f"--aptopt={settings}",
        "--dpkgopt=force-unsafe-io",
        f"--setup-hook=mkdir -p {archives}/partial; {debs.format(quote(str(packages)), archives)}",
        f"--customize-hook={debs.format(archives, new)}",
        *_indexes(making.indexes),
        f"--customize-hook={_NEUTRAL}",
        *(base.suite, str(making.root), "-"),
    ]


def _merging(arch: str) -> str:
    """/usr as the installer of an older suite merges it, in which no package does."""
    folders = f"bin sbin lib{_LIBRARIES.get(arch, '')}"
    return f'--setup-hook=for name in {folders}; do mkdir -p "$1/usr/$name"; ln -s "usr/$name" "$1/$name"; done'


def _indexes(folder: Path) -> list[str]:
    """Taken from the folder where they are complete, else fetched and kept there."""
    state, kept = '"$1"/var/lib/apt/lists', quote(str(folder))
    if (folder / COMPLETE).exists():
        return ["--skip=update", f"--setup-hook=mkdir -p {state}; cp -a {kept}/lists/. {state}/"]
    keep = f"cp -a {state}/. {kept}/lists/; rm -f {kept}/lists/lock; touch {kept}/{COMPLETE}"
    return [f"--customize-hook={keep}"]


def bootstrap(
    base: Bootstrapped, making: Making, sources: Sequence[AptSource], options: Sequence[str], packages: Path
) -> None:
    """packages: the folder of downloaded ones. Raises StepFailed with mmdebstrap's last lines, HostError where the
    host lacks an archive's keys, or cannot run the architecture's programs."""
    for keyring in {source.keyring for source in sources if source.keyring}:
        require_keyring(keyring, base.suite)
    new = making.scratch / "new"
    new.mkdir(parents=True)
    making.root.parent.mkdir()
    settings, listed = making.scratch / "apt.conf", making.scratch / "sources.list"
    write_private(settings, "".join(f"{line}\n" for line in (*_SETTINGS, *options)))
    write_private(listed, "".join(f"{source.checked_line()}\n" for source in sources))
    tail = LastLines(making.output)
    env = {**own(PROXIES), "SOURCE_DATE_EPOCH": str(base.epoch), "TMPDIR": str(making.scratch)}
    with listed.open("rb") as stream, able_to_run(base.arch) as words:
        command = [*words, *mmdebstrap_command(base, making, settings, packages)]
        code = run_lines(command, tail, env=env, stdin=stream)
    keep_packages(new, packages, package_lists(making.indexes, sources))
    shutil.rmtree(new)
    if code != 0:
        raise StepFailed("base", code, tail.lines, None)
