"""vmgen-build doctor: what this host lacks, and the one command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from vmgen_build.build.finding import Finding
from vmgen_build.cli import common
from vmgen_build.host.programs import Requirement, find_program
from vmgen_build.host.system import DEBIAN_KEYS, host_system, users_are_kept_from_namespaces
from vmgen_build.text import size, table

ROOM = {"cache": 4_000_000_000, "temporary files": 200_000_000}
"""Free bytes that a first build of a machine with the usual programs needs."""

OVERLAY = (
    "mount -t tmpfs none /mnt && cd /mnt && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m"
)

TRIALS = (
    ("namespaces", ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "true"]),
    ("overlayfs", ["unshare", "--mount", "sh", "-c", OVERLAY]),
)
"""Tried for real as root, in a mount namespace of their own."""


TRIED = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
WERE_TRIED = "Debian 12, Debian 13 and Ubuntu 24.04"


@click.command("doctor", context_settings=common.CONTEXT, short_help="Say what this host lacks, and how to mend it.")
@common.cache_option
@common.host_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def doctor_command(cache: Path, host: str, accept_new_host_key: bool, as_json: bool) -> None:
    """Look at what a build and a verification need of this host, or at what a build needs of the build host that --host
    names. Exit code 1 where something is missing.
    """
    if host:
        from vmgen_build.cli.nodedoctor import look_at

        findings = look_at(host, accept_new=accept_new_host_key)
    else:
        findings = [*_system(), *_root(), *_programs(), *_kernel(), *room(cache)]
    if as_json:
        for finding in findings:
            common.say(json.dumps(asdict(finding)))
    else:
        _show(findings)
    click.get_current_context().exit(0 if all(f.good for f in findings) else 1)


def _show(findings: list[Finding]) -> None:
    rows = [("ok" if f.good else "MISSING", f.what, f.said) for f in findings]
    for finding, line in zip(findings, table(rows), strict=True):
        common.say(line, **({} if finding.good else {"fg": "red"}))
    lacking = [f for f in findings if not f.good]
    advice = [f.advice for f in lacking if f.advice]
    _show_packages([f for f in lacking if f.package], alone=not advice)
    for text in advice:
        common.say(text, bold=True)
    if not lacking:
        common.say("Everything is there.", bold=True)


def _show_packages(lacking: list[Finding], *, alone: bool) -> None:
    """The command that installs it, or a list where there is no apt-get. alone: nothing else is wrong."""
    if not lacking:
        return
    common.say()
    if host_system().has_apt:
        common.say("This command mends it:" if alone else "This command installs what is missing:", bold=True)
        sudo = "" if os.geteuid() == 0 else "sudo "
        packages = " ".join(sorted({f.package for f in lacking}))
        common.say(f"  {sudo}apt-get update && {sudo}apt-get install -y {packages}")
        return
    common.say("This is missing; get it by this host's package manager, or build on Debian (docs/hosts.md):", bold=True)
    for line in table([("program", "Debian's package", "why"), *((f.what, f.package, f.said) for f in lacking)]):
        common.say(f"  {line}")


def _system() -> Iterator[Finding]:
    system = host_system()
    untried = "" if system.version in TRIED.get(system.ids[0], ()) else f", which was not tried; {WERE_TRIED} were"
    yield Finding("host", True, f"{system.name}{untried}")
    if not system.is_debian:
        there = DEBIAN_KEYS.exists()
        said = str(DEBIAN_KEYS) if there else "they check what a Debian base is made of"
        yield Finding("Debian's keys", there, said, "debian-archive-keyring")
    if users_are_kept_from_namespaces():
        yield Finding(
            "user namespaces", True, "AppArmor keeps them from ordinary users; a build is root's and needs none"
        )


def _root() -> Iterator[Finding]:
    root = os.geteuid() == 0
    said = "this is root" if root else "building and verifying need it"
    yield Finding("root", root, said, advice="" if root else "Build and verify by sudo, or as root.")


def _programs() -> Iterator[Finding]:
    for command, requirement in sorted({r.command: r for r in requirements()}.items()):
        found = find_program(command)
        yield Finding(command, found is not None, found or f"it {requirement.why}", requirement.package)


def requirements() -> list[Requirement]:
    """Of all backends, and of the methods of making a base (catalogue.systems.System.base)."""
    from vmgen_build.backends.registry import all_backends

    base = Requirement("mmdebstrap", "mmdebstrap", "makes the base system")
    return [base, *(r for b in all_backends().values() for r in (*b.requirements, *b.boot_requirements))]


def _kernel() -> Iterator[Finding]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        known = "overlay" in Path("/proc/filesystems").read_text().split() or _module_there("overlay")
        yield Finding(
            "overlayfs", known, "known to the kernel" if known else "the kernel lacks it", advice=_kernel_advice(known)
        )
    else:
        for what, command in TRIALS:
            ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            good = ran.returncode == 0
            said = "works" if good else (ran.stderr.strip().splitlines() or ["refused"])[-1]
            yield Finding(what, good, said, advice=_kernel_advice(good, what))
    version = cgroup_version()
    yield Finding(
        "cgroup",
        bool(version),
        version or "none is mounted",
        advice="" if version else "Mount the cgroup file system: mount -t cgroup2 none /sys/fs/cgroup",
    )


def _module_there(name: str) -> bool:
    return any(Path("/lib/modules", os.uname().release).rglob(f"{name}.ko*"))


def _kernel_advice(good: bool, what: str = "overlayfs") -> str:
    if good:
        return ""
    return f"The kernel, or the container that this runs in, does not allow {what}: use a host that does."


def cgroup_version() -> str:
    """ "version 2", "version 1", or "" where none is mounted (cgroups(7))."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "version 2"
    return "version 1" if any(Path("/sys/fs/cgroup").glob("*/tasks")) else ""


def room(cache: Path) -> Iterator[Finding]:
    for what, folder in (("cache", cache), ("temporary files", Path(os.environ.get("TMPDIR", "/tmp")))):  # noqa: S108
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        good = free >= ROOM[what]
        yield Finding(
            f"disk space ({what})",
            good,
            f"{size(free)} free in {folder}",
            advice=""
            if good
            else f"Make room in {folder}: {size(ROOM[what])} are needed; see 'vmgen-build cache prune'.",
        )
