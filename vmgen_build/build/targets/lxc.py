"""lxc: a container of this host, which lxc-start starts. Its configuration is written anew: of the image's own it has
what artifacts.lxc.taken_over allows."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import ClassVar

from vmgen_build.artifacts.lxc import ENTRY, config_text, nics_of, parse_config, taken_over
from vmgen_build.build.targets.model import Action, Install, Put, Run, Site, Target, Wish, refuse_taken
from vmgen_build.errors import BuildError
from vmgen_build.text import clean

LXCPATH = "/var/lib/lxc"
"""Where lxc has its containers unless its own configuration says otherwise (lxc.system.conf(5))."""

BRIDGE = "lxcbr0"
"""Of Debian's lxc-net, which a device joins whose own bridge is not there."""

_BRIDGES = 'cd /sys/class/net && for one in */bridge; do [ ! -d "$one" ] || echo "${one%/bridge}"; done'
_ADDRESSES = "sed -n 's/^ *lxc.net.[0-9]*.hwaddr *= *//p' \"$1\"/*/config 2>/dev/null || true"

_CHECK = '[ -d "$1/rootfs" ] && [ ! -L "$1/rootfs" ] || { echo "the image has no folder rootfs" >&2; exit 1; }'
_PATH = re.compile(r"/[A-Za-z0-9_./-]{1,200}")
_DECOMPRESS = {".zst": "--zstd", ".gz": "--gzip", ".xz": "--xz"}


class LxcTarget(Target):
    name: ClassVar[str] = "lxc"
    title: ClassVar[str] = "LXC"
    programs: ClassVar[tuple[str, ...]] = ("lxc-start",)
    package: ClassVar[str] = "lxc"
    takes: ClassVar[Mapping[tuple[str, str], str]] = {
        ("lxc", "tar"): ".",
        ("lxc", "lxd"): ".",
        ("lxc", "rootfs"): "rootfs",
        ("lxc", "pct"): "rootfs",
    }
    """Where its root goes: the tar holds a folder rootfs, or is one."""

    def install(self, wish: Wish, site: Site) -> Install:
        folder = site.says(LXCPATH, "lxc-config", "lxc.lxcpath")
        if not _PATH.fullmatch(folder):
            raise BuildError(f"lxc-config names a folder of containers that is none: {clean(folder)}")
        home, part = f"{folder}/{wish.name}", f"{folder}/.{wish.name}.vmgen-part"
        if site.holds(home):
            raise refuse_taken("a container", wish)
        entries, notes = _fitted(wish, site, folder)
        config = config_text([*_head(wish, home), *entries, *_older(entries)])
        inside = self.takes[wish.image.backend.name, wish.image.format.name]
        actions: list[Action] = [
            *([Run(("rm", "-rf", "--", part))] if site.holds(part) else []),
            Run(
                ("mkdir", "-p", "-m", "0770", "--", f"{part}/{inside}".removesuffix("/.")),
                undo=("rm", "-rf", "--", part),
            ),
            Run(_unpack(wish, f"{part}/{inside}".removesuffix("/.")), wish.image.path),
            Run(("sh", "-euc", f'{_CHECK}; rm -rf -- "$1/config"', "sh", part)),
            Put(config, f"{part}/config"),
            Run(("mv", "-nT", "--", part, home), undo=("rm", "-rf", "--", home)),
        ]
        enter = f"lxc-attach -n {wish.name}"
        return Install(tuple(actions), ("lxc-start", "-n", wish.name), enter, tuple(notes))


def _unpack(wish: Wish, folder: str) -> tuple[str, ...]:
    """tar, of its standard input. What an image has in /dev every container gets anew."""
    method = _DECOMPRESS.get(wish.image.path.suffix)
    options = ("--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*", "--anchored", "--exclude=rootfs/dev/*")
    return ("tar", *options, "--exclude=./dev/*", *([method] if method else []), "-C", folder, "-xf", "-")


def _head(wish: Wish, home: str) -> Iterator[ENTRY]:
    yield "lxc.include", "/usr/share/lxc/config/common.conf"
    yield "lxc.rootfs.path", f"dir:{home}/rootfs"
    yield "lxc.apparmor.profile", "generated"
    yield "lxc.apparmor.allow_nesting", "1"
    if wish.renamed:
        yield "lxc.uts.name", wish.name


def _fitted(wish: Wish, site: Site, folder: str) -> tuple[list[ENTRY], list[str]]:
    """The image's own entries as this host can have them, and what is otherwise than they say."""
    text = str(wish.image.manifest["build_recipe"].get("config", ""))
    try:
        entries = taken_over(parse_config(text))
    except ValueError as error:
        raise BuildError(f"{wish.image.path}: its lxc configuration is unusable: {error}; build it anew") from error
    bridges = site.ask("sh", "-c", _BRIDGES).out.split()
    addresses = site.ask("sh", "-c", _ADDRESSES, "sh", folder).out.lower().split()
    notes, changed = [], dict(entries)
    if wish.renamed:
        changed.pop("lxc.uts.name", None)
    for nic in nics_of(entries):
        link, own = f"lxc.net.{nic.index}.link", f"lxc.net.{nic.index}.hwaddr"
        if site.known and link in changed and nic.bridge not in bridges:
            other = next(iter([one for one in (BRIDGE, *bridges) if one in bridges]), "")
            where = f"joins {other}" if other else "joins none: make one, and name it in the container's config"
            notes.append(f"this host has no bridge {nic.bridge}: {nic.name} {where}")
            changed[link] = other
        if own in changed and (wish.renamed or changed[own].lower() in addresses):
            changed[own] = _new_address()
    return [(key, value) for key, value in changed.items() if value], notes


def _older(entries: list[ENTRY]) -> Iterator[ENTRY]:
    """The limits as cgroup v1 has them."""
    for key, value in entries:
        if key == "lxc.cgroup2.memory.max":
            yield "lxc.cgroup.memory.limit_in_bytes", value
        if key == "lxc.cgroup2.cpu.max":
            yield "lxc.cgroup.cpu.cfs_quota_us", value.split()[0]


def _new_address() -> str:
    """Of the range that is Xen's and that all containers take theirs of."""
    return ":".join(("00", "16", "3e", *(f"{byte:02x}" for byte in secrets.token_bytes(3))))


TARGET = LxcTarget()
