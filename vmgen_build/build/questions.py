"""Whose questions an artifact is asked: its own manifest's, another manifest's, or those of a recipe at hand.

Where another asks, only the files' digests are compared of a manifest that came with the artifact: it is as foreign as
the artifact itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.manifest import (
    check_described,
    manifest_bytes,
    manifest_in,
    manifest_path,
    probes_of,
    read_manifest,
)
from vmgen_build.backends.base import Backend
from vmgen_build.backends.format import Format
from vmgen_build.backends.registry import all_backends, backend_named, format_by_name, formats_of
from vmgen_build.build.engine import plan_for
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.signed import signer_of
from vmgen_build.errors import HostError
from vmgen_build.events import ProbeDone
from vmgen_build.host.files import Written
from vmgen_build.host.regular import open_regular
from vmgen_build.plan.model import WINDOWS_KINDS, Plan, Probe
from vmgen_build.recipe.recipe import Recipe

OWN = "its own manifest"

_EMPTY = re.compile(r"(#.*|set -.*|:|true|exit( 0)?|(echo|printf)\b.*)?")
"""A command that succeeds wherever it runs."""


@dataclass(frozen=True, slots=True)
class Questions:
    """whose: for a person: "lab.ini", "its own manifest", "reference.manifest.json". own: whether the artifact's own
    manifest asks. manifest: the machine, in the keys of artifacts.manifest; its `files` are the artifact's. digest:
    what came of comparing the file with its own manifest. format: what the artifact is. signer: who signed the manifest
    that asks, where a keyring asks for a signature; else "". looked: what came of comparing the files with a list that
    is signed."""

    whose: str
    own: bool
    manifest: Mapping[str, Any]
    probes: tuple[Probe, ...]
    digest: ProbeDone
    format: Format
    signer: str = ""
    looked: tuple[ProbeDone, ...] = ()

    @property
    def asked(self) -> str:
        """Whose, and who signed it."""
        return f"{self.whose}, signed by {self.signer}" if self.signer else self.whose


Asker = Callable[[Path], Questions]
"""An artifact -> the questions to it. Raises HostError where it does not fit them, or its own manifest."""


def own_questions(artifact: Path) -> Questions:
    """Those of the manifest beside it. Raises HostError where there is none, or it describes another file."""
    return of_own(artifact, read_manifest(artifact))


def signed_questions(keyring: Path) -> Asker:
    """As own_questions, where the manifest bears a good signature by a key of the keyring. Raises HostError."""

    def ask(artifact: Path) -> Questions:
        path = manifest_path(artifact)
        data, signer = _signed_manifest(path, keyring)
        check_described(artifact, data, path)
        return replace(of_own(artifact, data), signer=signer)

    return ask


def manifest_questions(path: Path, keyring: Path | None = None) -> Asker:
    """Those of one manifest, to every artifact. keyring: of whose keys one must have signed it. Raises HostError where
    it is none, or not so signed."""
    data, signer = _signed_manifest(path, keyring)

    def ask(artifact: Path) -> Questions:
        return replace(_of_others(artifact, path.name, data, probes_of(data)), signer=signer)

    return ask


def recipe_questions(recipe: Recipe, options: BuildOptions, backend: str = "") -> Asker:
    """Those of a recipe, planned for the artifact's backend, passwords too. backend: what all artifacts are of; "" for
    what each one's manifest, or else its name, says."""

    @cache
    def planned(name: str) -> Plan:
        return plan_for(recipe, name, options)

    def ask(artifact: Path) -> Questions:
        plan = planned(backend or _backend_of(artifact))
        data = {
            "name": plan.name,
            "os": plan.os,
            "arch": plan.arch,
            "backend": plan.backend,
            "build_recipe": dict(plan.build_recipe),
        }
        return _of_others(artifact, recipe.path.name, data, plan.private_probes())

    return ask


def refuse_empty(questions: Questions) -> None:
    """Raises HostError where nothing is asked that could fail."""
    if not any(asks_something(probe) for probe in questions.probes):
        raise HostError(
            f"{questions.whose} asks nothing: it has no probes, or only such as always hold, and so proves nothing;"
            " ask your own questions by --recipe or --manifest, or look at the file alone by --no-boot"
        )


def asks_something(probe: Probe) -> bool:
    """Whether its answer could be no: not for a script of nothing but comments, `echo` and `exit 0`."""
    if probe.kind in ("guest", *WINDOWS_KINDS):
        return any(_EMPTY.fullmatch(command.strip()) is None for command in re.split(r"[\n;]|&&", probe.script))
    return probe.kind in ("tcp-open", "tcp-closed")


def of_own(artifact: Path, data: Mapping[str, Any]) -> Questions:
    """Those of the artifact's own manifest, which describes it."""
    form = _format_of(artifact, data, "its manifest")
    return Questions(OWN, True, data, probes_of(data), _digest("holds", "the sha256 of its manifest"), form)


def _format_of(artifact: Path, data: Mapping[str, Any], whose: str) -> Format:
    """data: what says which backend it is of. Raises UsageError where this version has no such one, HostError where the
    artifact is none of its formats."""
    backend = backend_named(str(data.get("backend")))
    form = format_by_name(backend, artifact, str(data.get("packed_as", "")))
    if form is None:
        raise HostError(
            f"{artifact} is no artifact of the backend {backend.name}, which {whose} asks for: {_endings(backend)}"
        )
    return form


def _endings(backend: Backend) -> str:
    return " or ".join(dict.fromkeys(one.endings[0] for one in formats_of(backend)))


def _of_others(artifact: Path, whose: str, data: Mapping[str, Any], probes: tuple[Probe, ...]) -> Questions:
    """The questions of `whose` to a file that others made."""
    if not artifact.is_file():
        raise HostError(f"there is no file {artifact}; name an artifact that vmgen-build made")
    form = _format_of(artifact, data, whose)
    own = _own_manifest(artifact)
    digest = _digest("holds", "the sha256 of its own manifest")
    if own is None:
        digest = _digest("skipped", "it has no manifest of its own, so the file is compared with nothing")
    files = [_file(artifact.with_name(name), own or {}) for name in form.files_of(artifact, data)]
    return Questions(whose, False, {**data, "files": files}, probes, digest, form)


def _signed_manifest(path: Path, keyring: Path | None) -> tuple[dict[str, Any], str]:
    """A manifest, and whose signature over these very bytes it bears; "" where no keyring asks for one."""
    try:
        data = manifest_bytes(path)
    except FileNotFoundError as error:
        raise HostError(f"there is no manifest {path}; name the .manifest.json of a build of yours") from error
    signer = signer_of(data, path, keyring) if keyring else ""
    return manifest_in(data, path), signer


def _own_manifest(artifact: Path) -> Mapping[str, Any] | None:
    """What lies beside it and describes it; None where nothing lies there. Raises HostError."""
    path = manifest_path(artifact)
    try:
        data = manifest_in(manifest_bytes(path), path)
    except FileNotFoundError:
        return None
    check_described(artifact, data, path)
    return data


def _file(path: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a manifest's `files`. Raises HostError where there is no such file."""
    entry = next((file for file in own.get("files", []) if file["name"] == path.name), None)
    if entry is not None:
        return dict(entry)
    try:
        with open_regular(path):
            written = Written.of(path)
    except OSError as error:
        raise HostError(f"cannot read {path}, a file of the machine: {error.strerror}") from error
    return {"name": path.name, "size": written.size, "sha256": written.sha256}


def _backend_of(artifact: Path) -> str:
    """Raises HostError where nothing says it, or its manifest is none."""
    path = manifest_path(artifact)
    if path.is_file():
        return str(manifest_in(manifest_bytes(path), path).get("backend"))
    forms = {name: format_by_name(backend, artifact) for name, backend in all_backends().items()}
    able = {name: form.name for name, form in forms.items() if form is not None}
    named = [name for name in able if f"-{name}-" in artifact.name]
    packed = [name for name, form in able.items() if f"-{form}-" in artifact.name or f".{form}." in artifact.name]
    found = named or packed or list(able)
    if len(found) == 1:
        return found[0]
    raise HostError(
        f"what made {artifact} is not known: it has no manifest, and its name may be of"
        f" {' or '.join(found) or 'no backend'}; say so by --backend"
    )


def _digest(outcome: str, found: str) -> ProbeDone:
    return ProbeDone(probe="digest", setting="the file", outcome=outcome, found=found, origin=OWN)
