"""A Debian base: mmdebstrap(1) into a folder, with the packages that were downloaded before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from vmgen_build.bases.apt_cache import keep_packages
from vmgen_build.bases.archive import Source, host_apt_settings
from vmgen_build.errors import HostError, StepFailed
from vmgen_build.host.system import DEBIAN_KEYS, host_system, how_to_get
from vmgen_build.plan.model import Base
from vmgen_build.store.layers import TREE

_NEUTRAL = (
    ': > "$1"/etc/apt/sources.list;'
    ' printf "#!/bin/sh\\nexit 101\\n" > "$1"/usr/sbin/policy-rc.d;'
    ' chmod 0755 "$1"/usr/sbin/policy-rc.d;'
    ' rm "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap'
)
"""No source and no setting of the builder's (its proxy, for one), and no service that starts while packages are
installed (invoke-rc.d(8))."""

TAIL = 15
"""Lines of output that an error shows."""


def mmdebstrap_command(
    base: Base, goal: Path, sources: Sequence[Source], packages: Path, lists: Path, new: Path
) -> list[str]:
    """The call that makes `base` in `goal`.

    The hooks link downloaded packages in, and keep what is new together with the indexes (mmdebstrap(1), HOOKS).
    new: a folder that new packages are linked into. Indexes that are there already are of the same state of the
    archive: they are taken, and none are fetched.
    """
    archives, state = '"$1"/var/cache/apt/archives', '"$1"/var/lib/apt/lists'
    if (lists / "complete").exists():
        indexes = ["--skip=update", f'--setup-hook=mkdir -p {state}; cp -a "{lists}"/lists/. {state}/']
    else:
        keep = f'cp -a {state}/. "{lists}"/lists/; rm -f "{lists}"/lists/lock; touch "{lists}"/complete'
        indexes = [f"--customize-hook={keep}"]
    debs = 'find "{}" -maxdepth 1 -name "*.deb" -exec cp -lnt {} {{}} +'
    settings = [
        'APT::Sandbox::User "root"',
        'Acquire::Retries "3"',
        'Acquire::http::Timeout "30"',
        *(line.rstrip(";") for line in host_apt_settings()),
    ]
    return [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        f"--architectures={base.arch}",
        f"--include={','.join(base.packages)}",
        *_keys(),
        "--skip=download/empty",
        "--skip=essential/unlink",
        *(f"--aptopt={setting}" for setting in settings),
        "--dpkgopt=force-unsafe-io",
        f"--setup-hook=mkdir -p {archives}/partial; {debs.format(packages, archives)}",
        f"--customize-hook={debs.format('$1/var/cache/apt/archives', new)}",
        *indexes,
        f"--customize-hook={_NEUTRAL}",
        *(base.suite, str(goal)),
        *(source.line() for source in sources),
    ]


def _keys() -> list[str]:
    """Where the host's apt does not trust Debian's archive by itself. Raises HostError where the keys are not there."""
    if host_system().is_debian:
        return []
    if not DEBIAN_KEYS.exists():
        raise HostError(f"this host lacks Debian's keys ({DEBIAN_KEYS}); {how_to_get(['debian-archive-keyring'])}")
    return [f"--keyring={DEBIAN_KEYS}"]


def bootstrap(
    base: Base, scratch: Path, sources: Sequence[Source], packages: Path, lists: Path, output: Callable[[str], None]
) -> Path:
    """Make the base's root file system in `scratch/data/fs`. Raises StepFailed with mmdebstrap's last lines, HostError
    where the host lacks Debian's keys."""
    goal = scratch / TREE
    (scratch / "new").mkdir(parents=True)
    goal.parent.mkdir()
    command = mmdebstrap_command(base, goal, sources, packages, lists, scratch / "new")
    tail: list[str] = []
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(base.epoch)}
    env["TMPDIR"] = str(scratch)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-TAIL + 1 :], line.rstrip()]
            output(line.rstrip())
    keep_packages(scratch / "new", packages)
    if process.returncode != 0:
        raise StepFailed("base", process.returncode, tail, None)
    return goal
