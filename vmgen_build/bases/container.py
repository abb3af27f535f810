"""A root file system out of an lxc container of this host, as it stands or as one of its snapshots."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.artifacts.lxc import parse_config
from vmgen_build.bases.copy import copy_tree
from vmgen_build.bases.unpack import check_root
from vmgen_build.errors import BuildError
from vmgen_build.host.run import Word, output
from vmgen_build.plan.bases import PlacedMachine


def copy_container(base: PlacedMachine, root: Path) -> None:
    """Make the new folder `root` of a stopped container, or of a snapshot that lxc-snapshot(1) made of one.

    Raises BuildError where it is not there, runs, or keeps its root otherwise than in a folder.
    """
    where = base.title
    home = Path(output(["lxc-config", "lxc.lxcpath"], f"cannot find {where}").strip()) / base.machine
    folder = home / "snaps" / base.snapshot if base.snapshot else home
    try:
        entries = dict(parse_config((folder / "config").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BuildError(f"cannot use {where}: {error}; lxc-ls and lxc-snapshot -L list what there is") from error
    if not base.snapshot:
        _check_stopped(home, where)
    if "lxc.idmap" in entries:
        raise BuildError(f"{where} has its users shifted (lxc.idmap); give a container without, or a tar of its root")
    source = Path(entries.get("lxc.rootfs.path", "").removeprefix("dir:"))
    if not source.is_absolute() or not source.is_dir():
        raise BuildError(f"{where} keeps its root in {source}, which is no folder; give a tar of it")
    copy_tree(source, root)
    check_root(root, where)


def _check_stopped(home: Path, where: str) -> None:
    command: list[Word] = ["lxc-info", "-P", home.parent, "-n", home.name, "--state", "--no-humanize"]
    state = output(command, f"cannot look at {where}").strip()
    if state != "STOPPED":
        raise BuildError(f"{where} is {state}: stop it first (lxc-stop -n {home.name}), or take a snapshot of it")
