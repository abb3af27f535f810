"""vmgen-build inspect: what an artifact is and holds."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmgen_build.cli import common
from vmgen_build.text import clean, table

if TYPE_CHECKING:
    from vmgen_build.artifacts.contents import FileEntry
    from vmgen_build.build.inspection import Inspection

_TYPES = {"dir": stat.S_IFDIR, "link": stat.S_IFLNK, "char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}


@click.command("inspect", context_settings=common.CONTEXT, short_help="Say what an image is and what it holds.")
@click.argument("artifact", type=click.Path(path_type=Path), metavar="ARTIFACT")
@click.option("--files", is_flag=True, help="List the files of its root: mode, owner, size, path.")
@click.option("--packages", is_flag=True, help="List its packages: name, version, architecture.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object of all that is asked for.")
def inspect_command(artifact: Path, files: bool, packages: bool, as_json: bool) -> None:
    """Say what ARTIFACT is and what it holds, without unpacking or booting it. ARTIFACT may be a manifest, too.

    Its manifest tells, where one beside it describes this very file; else the file itself is read. It may come from
    anywhere. Disks are read without being mounted: ext2, ext3, ext4 and squashfs. Needs no root. 'vmgen-build verify'
    says whether it holds what it promises.

    \b
      vmgen-build inspect output/lab-lxc-amd64.tar.zst
      vmgen-build inspect output/lab.ova --packages
      vmgen-build inspect output/lab-lxc-amd64.tar.zst --files --json
    """
    from vmgen_build.build.inspection import inspect

    found = inspect(artifact, files=files)
    if as_json:
        common.show(json.dumps(_as_dict(found, files=files, packages=packages)))
        return
    if not (files or packages):
        _show_facts(found)
    if packages:
        _show_packages(found)
    if files:
        _show_files(found.files)


def _as_dict(found: Inspection, *, files: bool, packages: bool) -> dict[str, Any]:
    """The words of `facts` are names; each has a list."""
    data: dict[str, Any] = {"artifact": str(found.path), "kind": found.kind.name if found.kind else "manifest"}
    if found.written is not None:
        data |= {"bytes": found.written.size}
    data |= {word.replace(" ", "_"): list(values) for word, values in found.facts if word != "packages"}
    listed = found.packages
    data["packages_total"] = None if listed is None else len(listed)
    if packages:
        data["packages"] = [asdict(package) for package in listed or ()]
    if files:
        data["files"] = [{"path": path, **_file(entry)} for path, entry in found.files.items()]
    return data


def _file(entry: FileEntry) -> dict[str, Any]:
    fields = {"kind": entry.kind, "mode": f"{entry.mode:04o}", "uid": entry.uid, "gid": entry.gid, "size": entry.size}
    return {**fields, **({"target": entry.target} if entry.target else {})}


def _show_facts(found: Inspection) -> None:
    common.show(str(found.path), bold=True)
    facts = found.facts
    widest = max(len(word) for word, _ in facts)
    for word, values in facts:
        indent = " " * (widest + 4)
        for number, value in enumerate(_folded(values)):
            head = f"  {word:<{widest}}  " if number == 0 else indent
            common.show_wrapped(value, head, indent)


def _folded(values: Sequence[str]) -> Sequence[str]:
    """Short ones share a line."""
    return ["; ".join(values)] if all(len(value) < 30 for value in values) else values


def _show_packages(found: Inspection) -> None:
    listed = found.packages
    if listed is None:
        from vmgen_build.errors import HostError

        unknown = f"{found.path}: nothing is known of its packages: it has no manifest, and no list that is read"
        raise HostError(found.unread or unknown)
    for line in table([(package.name, package.version, package.arch) for package in listed]):
        common.show(line)


def _show_files(files: Mapping[str, FileEntry]) -> None:
    """As ls -l shows them."""
    for path, entry in files.items():
        mode = stat.filemode(_TYPES.get(entry.kind, stat.S_IFREG) | entry.mode)
        target = f" -> {entry.target}" if entry.kind in ("link", "hardlink") else ""
        shown = entry.target if entry.kind in ("char", "block") else str(entry.size)
        common.show(f"{mode} {entry.uid:>5} {entry.gid:>5} {shown:>11} {clean(path)}{clean(target)}")
