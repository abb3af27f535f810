"""What a build writes beside an artifact: lists of what it holds, and how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from vmgen_build.artifacts.beside import PROVENANCE, beside, describing, remove_beside
from vmgen_build.artifacts.manifest import manifest_there
from vmgen_build.artifacts.sums import read_sums
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.job import Build
from vmgen_build.build.provenance import DoneBuild, provenance_text
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
    kept = _kept(packed)
    written: dict[str, str] = {}
    contents = contents_of(build.plan, packed, record.packages)
    for name in options.sbom:
        ending = SBOMS[name].ending
        written |= kept.get(ending) or _put(packed, ending, SBOMS[name].text(contents))
    if options.provenance and PROVENANCE in kept:
        written |= kept[PROVENANCE]
    elif options.provenance:
        run = DoneBuild(
            plan=build.plan,
            options=options,
            packing=packing,
            files=packed,
            began=record.began,
            ended=record.ended,
            byproducts=written,
        )
        written |= _put(packed, PROVENANCE, provenance_text(run))
    if _is_same(packed):
        return Described(written, frozenset())
    anew = [name.removeprefix(main.name) for name in written]
    try:
        return Described(written, frozenset(remove_beside(main, anew)))
    except OSError as error:
        raise HostError(f"cannot remove what describes an earlier {main}: {error.strerror}") from error


def _put(packed: Sequence[Written], ending: str, text: str) -> dict[str, str]:
    """The file and its sha256."""
    path = beside(packed[0].path, ending)
    write_whole(path, text)
    return {path.name: hashlib.sha256(text.encode()).hexdigest()}


def _kept(packed: Sequence[Written]) -> dict[str, dict[str, str]]:
    """What describes these very files since their last build, and is as it was written: ending -> file and its
    sha256."""
    main = packed[0].path
    if not _is_same(packed):
        return {}
    listed, found = read_sums(main.parent), {}
    for path in describing(main):
        with suppress(OSError):
            if listed.get(path.name) == (digest := sha256_of(path)):
                found[path.name.removeprefix(main.name)] = {path.name: digest}
    return found


def _is_same(packed: Sequence[Written]) -> bool:
    """Whether the manifest beside it, that of the last build, describes these very files."""
    listed = {file["name"]: file["sha256"] for file in manifest_there(packed[0].path).get("files", ())}
    return all(listed.get(file.path.name) == file.sha256 for file in packed)
