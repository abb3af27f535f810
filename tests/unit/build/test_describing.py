"""What lies beside an image: written with it, the same twice, gone with it, and no more than it about another file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from tests.unit.build.test_sbom import DEBIAN, contents
from vmgen_build.artifacts.beside import CYCLONEDX, ENDINGS, PROVENANCE, SPDX, beside
from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.artifacts.sums import NAME, read_sums
from vmgen_build.backends.format import PackOptions
from vmgen_build.build.job import Made
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.provenance import BUILDER
from vmgen_build.build.results import found_again, publish, take_again
from vmgen_build.build.sbom import table
from vmgen_build.build.signed import withdraw_signed
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, sha256_of
from vmgen_build.plan.model import StepFile
from vmgen_build.store.cachedir import claim_cache

PACKING = PackOptions("zstd", "tar")
BEGAN = 1_790_000_000
SECRET = "canary-in-an-option"


@pytest.fixture
def build(tmp_path: Path) -> Any:
    """All that publishing needs of a build."""
    out = tmp_path / "out"
    out.mkdir()
    claim_cache(tmp_path / "cache")
    options = BuildOptions(
        cache=tmp_path / "cache",
        output=out,
        sbom=("cyclonedx", "spdx"),
        provenance=True,
        sets=(f"config.root_passwd={SECRET}",),
        host="ssh://ana:geheim@node",
    )
    plan = contents().plan
    private = StepFile("private.txt", "f" * 64, source=tmp_path / "private.txt", private=True)
    public = StepFile("motd", "9" * 64, source=tmp_path / "motd")
    plan = replace(plan, steps=(replace(plan.steps[0], files=(*plan.steps[0].files, private, public)),))
    return SimpleNamespace(
        plan=plan, options=options, recipe=SimpleNamespace(warnings=()), stages=(), packings=(PACKING,)
    )


def without(build: Any) -> Any:
    options = replace(build.options, sbom=(), provenance=False)
    return SimpleNamespace(**{**vars(build), "options": options})


def pack(build: Any, content: bytes = b"an image") -> tuple[Written, ...]:
    path = build.options.output / "lab-lxc-amd64.tar.zst"
    path.write_bytes(content)
    return (Written.of(path),)


def made(build: Any, content: bytes = b"an image") -> Path:
    files = pack(build, content)
    publish(build, Made({PACKING: files}, (), DEBIAN), BEGAN)
    return files[0].path


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_issue_14_it_is_listed_with_the_image_and_holds_no_secret(build: Any) -> None:
    main = made(build)
    names = {main.name, manifest_path(main).name, *(beside(main, ending).name for ending in ENDINGS)}
    assert everything(main.parent).keys() == {*names, NAME}
    assert read_sums(main.parent) == {name: sha256_of(main.with_name(name)) for name in names}
    for data in everything(main.parent).values():
        assert not any(word in data for word in (SECRET.encode(), b"geheim", b"private.txt", b"f" * 64))


def test_issue_14_the_provenance_is_a_statement_of_slsa(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUILDER, "https://ci.example.org/lab")
    main = made(build)
    data = json.loads(beside(main, PROVENANCE).read_text())
    statement = Statement.copy_from_pb(Parse(json.dumps(data), statement_pb2.Statement()))
    statement.validate()
    found = ParseDict(data["predicate"], Provenance())
    assert data["predicateType"] == "https://slsa.dev/provenance/v1"
    assert data["subject"] == [{"name": main.name, "digest": {"sha256": sha256_of(main)}}]
    assert found.run_details.builder.id == "https://ci.example.org/lab"
    assert found.run_details.metadata.started_on.seconds == BEGAN
    assert found.run_details.metadata.finished_on.seconds >= BEGAN
    definition = data["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["set"] == ["config.root_passwd"]
    assert definition["externalParameters"]["recipe"] == {"name": "lab.ini", "digest": {"sha256": "b" * 64}}
    used = {one["name"]: one for one in definition["resolvedDependencies"]}
    assert used["base"]["annotations"] == {"release": "c" * 64}
    assert used["packages: bookworm-security"]["uri"].endswith("/debian-security")
    assert used["source-hello"]["digest"] == {"sha256": "a" * 64} and "***@" in used["source-hello"]["uri"]
    assert used["source-hello: motd"]["digest"] == {"sha256": "9" * 64}
    names = {beside(main, ending).name for ending in (CYCLONEDX, SPDX)}
    assert {one["name"] for one in data["predicate"]["runDetails"]["byproducts"]} == names


def test_issue_14_the_model_refuses_another_field(build: Any) -> None:
    data = json.loads(beside(made(build), PROVENANCE).read_text())
    data["predicate"]["buildDefinition"]["parameters"] = {}
    with pytest.raises(ParseError):
        ParseDict(data["predicate"], Provenance())


def test_issue_14_an_unchanged_build_leaves_every_byte(build: Any) -> None:
    main = made(build)
    before = everything(main.parent)
    record = found_again(build.plan, build.options)[PACKING]
    assert record.packages == tuple(DEBIAN)
    take_again(build, PACKING, record)
    assert everything(main.parent) == before


def test_issue_14_what_is_asked_for_later_is_written_without_packing_again(build: Any) -> None:
    main = made(without(build))
    assert not any(beside(main, ending).exists() for ending in ENDINGS)
    record = found_again(build.plan, build.options)[PACKING]
    take_again(build, PACKING, record)
    later = everything(main.parent)
    other = made(build)
    assert everything(other.parent) == later | {beside(main, PROVENANCE).name: beside(main, PROVENANCE).read_bytes()}


def test_issue_14_what_was_tampered_with_is_written_anew(build: Any) -> None:
    main = made(build)
    before = everything(main.parent)
    beside(main, SPDX).write_text("{}")
    take_again(build, PACKING, found_again(build.plan, build.options)[PACKING])
    assert everything(main.parent) == before


def test_issue_14_nothing_is_kept_that_is_about_another_file(build: Any) -> None:
    main = made(build)
    made(without(build), b"another image")
    assert everything(main.parent).keys() == {main.name, manifest_path(main).name, NAME}
    assert read_sums(main.parent).keys() == {main.name, manifest_path(main).name}


def test_issue_14_the_same_image_keeps_what_is_true_of_it(build: Any) -> None:
    main = made(build)
    before = everything(main.parent)
    made(without(build))
    assert everything(main.parent) == before


def test_issue_14_a_build_that_fails_leaves_none_of_it(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise HostError("no room")

    formats = {**table.SBOMS, "spdx": replace(table.SBOMS["spdx"], text=broken)}
    monkeypatch.setattr("vmgen_build.build.describing.SBOMS", formats)
    with pytest.raises(HostError, match="no room"):
        made(build)
    assert everything(build.options.output) == {}


def test_issue_14_a_withdrawn_image_takes_it_along(build: Any) -> None:
    main = made(build)
    withdraw_signed(pack(build, b"half"))
    assert everything(main.parent) == {NAME: b""}
