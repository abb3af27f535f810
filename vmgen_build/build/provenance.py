"""How an artifact was made: an in-toto Statement v1 with a SLSA provenance v1 as its predicate.

Formats: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
No secret stands in it, and no address of this host's own mirror.
"""

from __future__ import annotations

import datetime
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmgen_build import __version__
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.sbom.contents import downloads_of
from vmgen_build.host.files import Written
from vmgen_build.plan.bases import Bootstrapped
from vmgen_build.plan.model import Plan
from vmgen_build.text import without_passwords

STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"

BUILD_TYPE = "pkg:pypi/vmgen-build#recipe-v1"
"""What the parameters mean: docs/trust.md."""

BUILDER = "VMGEN_BUILDER_ID"
"""Variable: the address of who ran the build, as of a CI's workflow; without it, this tool by its purl."""

_SPACE = uuid.UUID("9b8a4c6e-0a5b-5f55-8f0c-5d7a6c0c2b41")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneBuild:
    """A build that was done. began, ended: epoch seconds. byproducts: what describes the artifact, name -> sha256."""

    plan: Plan
    options: BuildOptions
    packing: PackOptions
    files: Sequence[Written]
    began: int
    ended: int
    byproducts: Mapping[str, str]


def provenance_text(run: DoneBuild) -> str:
    return json.dumps(statement(run), indent=2) + "\n"


def statement(run: DoneBuild) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": file.path.name, "digest": {"sha256": file.sha256}} for file in run.files],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": _definition(run), "runDetails": _details(run)},
    }


def _definition(run: DoneBuild) -> dict[str, Any]:
    plan = run.plan
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "recipe": {"name": Path(plan.recipe_path).name, "digest": {"sha256": plan.recipe_digest}},
            "os": plan.os,
            "arch": plan.arch,
            "backend": plan.backend,
            "format": run.packing.format,
            "compression": run.packing.compression,
            "set": sorted({one.partition("=")[0] for one in run.options.sets}),
            "host": without_passwords(run.options.host),
        },
        "internalParameters": {"plan": plan.id, "epoch": plan.epoch},
        "resolvedDependencies": _dependencies(plan),
    }


def _dependencies(plan: Plan) -> list[dict[str, Any]]:
    """The base, the archives of packages, what steps download, and this host's files that they take."""
    origin = plan.base.origin()
    base: dict[str, Any] = {"name": "base", "uri": f"urn:vmgen-build:base:{origin['method']}:{_word(origin['source'])}"}
    if origin["sha256"]:
        base["digest"] = {"sha256": origin["sha256"]}
    elif isinstance(plan.base, Bootstrapped):
        base["annotations"] = {"release": plan.base.release}
    archives = [
        {"name": f"packages: {suite}", "uri": archive.uri, "annotations": {"suite": suite}}
        for archive in plan.system.archives
        for suite in archive.suites
    ]
    fetched = [
        {"name": one.name, "uri": one.url, "digest": {"sha256": one.sha256}, "downloadLocation": one.url}
        for one in downloads_of(plan)
    ]
    own = [
        {"name": f"{step.name}: {file.name}", "digest": {"sha256": file.sha256}}
        for step in plan.steps
        for file in step.files
        if file.source and not file.private and not file.urls
    ]
    return [base, *archives, *fetched, *own]


def _details(run: DoneBuild) -> dict[str, Any]:
    own = f"pkg:pypi/vmgen-build@{__version__}"
    made = json.dumps([run.plan.id, run.began, run.ended, [file.sha256 for file in run.files]])
    return {
        "builder": {"id": os.environ.get(BUILDER) or own, "version": {"vmgen-build": __version__}},
        "metadata": {
            "invocationId": f"urn:uuid:{uuid.uuid5(_SPACE, made)}",
            "startedOn": _time(run.began),
            "finishedOn": _time(run.ended),
        },
        "byproducts": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(run.byproducts.items())],
    }


def _word(text: str) -> str:
    from urllib.parse import quote

    return quote(without_passwords(text), safe="")


def _time(seconds: int) -> str:
    """RFC 3339."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
