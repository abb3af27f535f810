"""ARTIFACT.manifest.json: what an artifact is, beside it.

{
  "format": 1,                      raised when the meaning of a field changes
  "tool": {"name": "vmgen-build", "version": "0.1.0"},
  "name": "lab",                    the recipe's vm_id
  "recipe": {"file": "lab.ini", "sha256": "..."},      over its values, without the secrets
  "os": "debian-12", "arch": "amd64", "backend": "lxc",
  "packed_as": "tar",               what --format says; "" is not known
  "plan": "...",                    the plan's id
  "base": {"method", "source", "sha256"},              what it starts from; "" where it is made of packages
  "epoch": 1700000000,              SOURCE_DATE_EPOCH, seconds
  "steps": [{"name", "title", "id", "seconds", "outcome": "built" | "cached"}],     in order, base and packing included
  "packages": [{"name", "version", "arch"}],           every package in the image, sorted
  "skipped": [{"section", "program", "reason"}],       programs asked for that the distribution lacks
  "warnings": ["lab.ini:3: warning: ..."],
  "files": [{"name", "size", "sha256"}],               the artifacts, the main one first
  "build_recipe": {"config": "..."},                   the backend's own files, as text, by name
  "probes": [{"name", "setting", "kind", "script", "expected", "retry"}]
}

The same plan gives the same manifest, apart from `seconds` and `outcome`. No secret stands in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vmgen_build import __version__
from vmgen_build.artifacts.beside import describing
from vmgen_build.artifacts.checked import checked_manifest
from vmgen_build.artifacts.sums import read_sums, update_sums
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, sha256_of, write_whole
from vmgen_build.host.regular import read_regular
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import MANIFEST
from vmgen_build.plan.model import Plan, Probe

FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class Package:
    name: str
    version: str
    arch: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What was done for a step. seconds: wall time; outcome: "built" or "cached"."""

    name: str
    title: str
    id: str
    seconds: float
    outcome: str


def manifest_path(artifact: Path) -> Path:
    """Where the manifest of an artifact lies: out/lab.ova -> out/lab.ova.manifest.json. Each has its own, so that one
    recipe's images in several formats lie side by side."""
    return artifact.with_name(f"{artifact.name}.manifest.json")


def manifest_of(
    plan: Plan,
    files: Sequence[Written],
    steps: Iterable[StepRecord],
    packages: Iterable[Package],
    warnings: Iterable[str] = (),
    packed_as: str = "",
) -> dict[str, Any]:
    """The manifest as data, in the form above."""
    return {
        "format": FORMAT,
        "tool": {"name": "vmgen-build", "version": __version__},
        "name": plan.name,
        "recipe": {"file": Path(plan.recipe_path).name, "sha256": plan.recipe_digest},
        "os": plan.os,
        "arch": plan.arch,
        "backend": plan.backend,
        "packed_as": packed_as,
        "plan": plan.id,
        "base": dict(plan.base.origin()),
        "epoch": plan.epoch,
        "steps": [asdict(step) | {"seconds": round(step.seconds, 3)} for step in steps],
        "packages": [asdict(package) for package in sorted(packages)],
        "skipped": [{"section": s, "program": p, "reason": r} for s, p, r in plan.skipped],
        "warnings": list(warnings),
        "files": [{"name": file.path.name, "size": file.size, "sha256": file.sha256} for file in files],
        "build_recipe": dict(plan.build_recipe),
        "probes": [probe.as_dict() for probe in plan.all_probes()],
    }


def put_manifest(
    path: Path, data: Mapping[str, Any], beside: Mapping[str, str] | None = None, no_more: Collection[str] = ()
) -> None:
    """Write the manifest where it differs from what is there, and it and its files into the folder's SHA256SUMS. What
    the earlier one lists and is gone stands there no more.

    beside: what else describes the artifact, name -> sha256; no_more: names of what did. Raises HostError.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    gone = {file["name"] for file in _there(path).get("files", ()) if not path.with_name(file["name"]).exists()}
    if _text_of(path) != text:
        write_whole(path, text)
    gone |= set(no_more)
    sums = {file["name"]: file["sha256"] for file in data["files"]} | dict(beside or {})
    sums[path.name] = hashlib.sha256(text.encode()).hexdigest()
    before = read_sums(path.parent)
    if sums.items() - before.items() or gone & before.keys():
        update_sums(path.parent, sums, gone)


def withdraw(files: Sequence[Written]) -> bool:
    """Remove an artifact whose manifest was not written, and what an earlier one says of files by these names. One that
    its manifest describes, as the same build has made it before, stays, and so does a file that another artifact has
    too. Whether SHA256SUMS is another now. Raises HostError.
    """
    path = manifest_path(files[0].path)
    listed = {file["name"]: file["sha256"] for file in _there(path).get("files", ())}
    if all(listed.get(file.path.name) == file.sha256 for file in files):
        return False
    kept = _of_others(path)
    described = () if files[0].path.name in kept else describing(files[0].path)
    gone = (*(file.path for file in files if file.path.name not in kept), path, *described)
    for one in gone:
        one.unlink(missing_ok=True)
    listed_there = read_sums(path.parent).keys() & {one.name for one in gone}
    if listed_there:
        update_sums(path.parent, {}, listed_there)
    return bool(listed_there)


def _of_others(manifest: Path) -> set[str]:
    """Names of the files that other manifests of its folder list."""
    others = (one for one in manifest.parent.glob("*.manifest.json") if one != manifest)
    return {file["name"] for one in others for file in _there(one).get("files", ())}


def manifest_there(artifact: Path) -> Mapping[str, Any]:
    """The manifest beside an artifact, whatever file it describes; empty where there is none that can be read."""
    return _there(manifest_path(artifact))


def _there(path: Path) -> Mapping[str, Any]:
    try:
        return parse_manifest(read_regular(path, MANIFEST))
    except (OSError, ValueError):
        return {}


def parse_manifest(data: bytes) -> dict[str, Any]:
    """The known fields of a manifest's text, each checked. Raises ValueError that says which is wrong."""
    return checked_manifest(parse_json(data, MANIFEST), FORMAT)


def _text_of(path: Path) -> str | None:
    try:
        return read_regular(path, MANIFEST).decode()
    except (OSError, ValueError):
        return None


def read_manifest(artifact: Path) -> dict[str, Any]:
    """The manifest beside an artifact that it truly describes: same size, same sha256. Raises HostError."""
    if not artifact.is_file():
        raise HostError(f"there is no file {artifact}; name an artifact that vmgen-build made")
    path = manifest_path(artifact)
    try:
        data = manifest_in(manifest_bytes(path), path)
    except FileNotFoundError as error:
        raise HostError(
            f"{artifact} has no manifest: there is no {path.name} beside it, which says what to verify;"
            " keep the two together, or build the image anew"
        ) from error
    check_described(artifact, data, path)
    return data


def manifest_bytes(path: Path) -> bytes:
    """What a manifest's file holds. Raises FileNotFoundError where there is none, HostError where it is unreadable."""
    try:
        return read_regular(path, MANIFEST)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(path, f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _unusable(path, str(error)) from error


def manifest_in(data: bytes, path: Path) -> dict[str, Any]:
    """As parse_manifest, of the bytes read from `path`. Raises HostError."""
    try:
        return parse_manifest(data)
    except ValueError as error:
        raise _unusable(path, str(error)) from error


def check_described(artifact: Path, data: Mapping[str, Any], path: Path) -> None:
    """Raises HostError where the manifest `data` of `path` describes no such file, or one of another digest."""
    entry = next((file for file in data["files"] if file["name"] == artifact.name), None)
    if entry is None:
        raise _unusable(path, f"it does not describe {artifact.name}")
    try:
        same = artifact.stat().st_size == entry["size"] and sha256_of(artifact) == entry["sha256"]
    except OSError as error:
        raise HostError(f"cannot read {artifact}: {error.strerror}") from error
    if not same:
        raise HostError(
            f"{artifact} is not the file that {path.name} describes: its size or sha256 differs;"
            " build it anew, or fetch both files again"
        )


def probes_of(manifest: Mapping[str, Any]) -> tuple[Probe, ...]:
    return tuple(Probe.from_dict(probe) for probe in manifest["probes"])


def _unusable(path: Path, why: str) -> HostError:
    return HostError(f"{path} is not a manifest to verify by: {why}; build the image anew")
