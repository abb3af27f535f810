"""What a build writes beside an artifact: lists of what it holds, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmgen_build.artifacts.beside import PROVENANCE, beside, remove_beside
from vmgen_build.artifacts.manifest import manifest_there
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.job import Build
from vmgen_build.build.provenance import Run, provenance_text
from vmgen_build.build.sbom.contents import contents_of
from vmgen_build.build.sbom.table import SBOMS
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, sha256_of, write_whole
from vmgen_build.store.record import Record


@dataclass(frozen=True, slots=True)
class Described:
    """written: name -> sha256 of what lies beside an artifact. gone: names of what was there of an earlier one."""

    written: dict[str, str]
    gone: frozenset[str]


def describe(build: Build, packing: PackOptions, packed: Sequence[Written], record: Record) -> Described:
    """Write what was asked for, and remove what is about another file of this name. record: of how it was made. The
    manifest that lies there may still be that of an earlier file. Raises HostError."""
    main, options = packed[0].path, build.options
    written: dict[str, str] = {}
    contents = contents_of(build.plan, packed, record.packages)
    for name in options.sbom:
        written |= _put(main.name, packed, SBOMS[name].ending, SBOMS[name].text(contents))
    if options.provenance:
        run = Run(
            plan=build.plan,
            options=options,
            packing=packing,
            files=packed,
            began=record.began,
            ended=record.ended,
            byproducts=written,
        )
        written |= _put(main.name, packed, PROVENANCE, provenance_text(run))
    if _is_same(packed):
        return Described(written, frozenset())
    anew = [name.removeprefix(main.name) for name in written]
    try:
        return Described(written, frozenset(remove_beside(main, anew)))
    except OSError as error:
        raise HostError(f"cannot remove what describes an earlier {main}: {error.strerror}") from error


def _put(name: str, packed: Sequence[Written], ending: str, text: str) -> dict[str, str]:
    """Written where it is another text; the file and its sha256."""
    path = beside(packed[0].path, ending)
    try:
        same = path.is_file() and path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        same = False
    if not same:
        write_whole(path, text)
    return {path.name: sha256_of(path)}


def _is_same(packed: Sequence[Written]) -> bool:
    """Whether the manifest beside it, that of the last build, describes these very files."""
    listed = {file["name"]: file["sha256"] for file in manifest_there(packed[0].path).get("files", ())}
    return all(listed.get(file.path.name) == file.sha256 for file in packed)
