"""How machines of ours are known on a server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.guests.vsphere.reaping import Found, left_by_the_dead
from vmgen_build.guests.vsphere.tags import (
    LONGEST,
    Mark,
    build_name,
    builder_of,
    kept_name,
    layer_name,
    mark_of,
    owner_of,
)
from vmgen_build.store.cachedir import claim_cache

OWNER, OTHER, TAG = "0123456789ab", "ba9876543210", "4242-0123abcd"
MARK = Mark("build", OWNER, "host", TAG, 1700000000, "s" * 64, "a title", ("below",))


def test_a_mark_comes_back_as_it_was() -> None:
    assert mark_of(MARK.to_text()) == MARK
    of_setup = replace(MARK, discs=3, setup=True)
    assert mark_of(of_setup.to_text()) == of_setup
    earlier = json.loads(MARK.to_text())
    del earlier["vmgen-build"]["setup"]
    assert mark_of(json.dumps(earlier)) == MARK


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "a note of a person",
        "{}",
        "[]",
        json.dumps({"vmgen-build": 1}),
        json.dumps({"vmgen-build": {"kind": "build"}}),
        json.dumps({"vmgen-build": {**json.loads(MARK.to_text())["vmgen-build"], "started": "x"}}),
        "[" * 100_000,
        MARK.to_text() + " " * 100_000,
    ],
)
def test_what_is_no_mark(text: object) -> None:
    assert mark_of(text) is None


@pytest.mark.parametrize("part", ["", "base", "layer"])
def test_the_owner_and_tag_of_a_name(part: str) -> None:
    name = build_name(OWNER, TAG, part)
    assert builder_of(name) == (OWNER, TAG) and len(name) <= LONGEST


@pytest.mark.parametrize(
    "name", [layer_name("a" * 64), kept_name("x"), "vmgen-build-lab", f"x{build_name(OWNER, TAG)}"]
)
def test_names_of_others(name: str) -> None:
    assert builder_of(name) is None


def test_a_kept_machine_s_name_is_one_that_servers_take() -> None:
    assert len(kept_name("x" * 200)) == LONGEST


def test_an_owner_is_a_cache_on_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        claim_cache(tmp_path / name)
    own = owner_of(tmp_path / "one")
    assert own == owner_of(tmp_path / "one") != owner_of(tmp_path / "two")
    # A copy of a cache, as images of containers hold one, is another owner.
    (tmp_path / "two/vsphere/owner").write_text((tmp_path / "one/vsphere/owner").read_text())
    assert owner_of(tmp_path / "two") != own
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert owner_of(tmp_path / "one") != own


def test_only_what_dead_builds_of_this_owner_left_is_reaped() -> None:
    def found(name: str, mark: Mark | None) -> Found:
        return Found(None, name, mark)

    def marked(kind: str, owner: str) -> Mark:
        return Mark(kind, owner, "host", TAG)

    left = [
        found(build_name(OWNER, TAG), marked("build", OWNER)),
        found(build_name(OWNER, TAG, "layer"), marked("layer", OTHER)),
        found(build_name(OWNER, TAG, "base"), None),
    ]
    stays = [
        found(build_name(OWNER, "77-0123abcd"), marked("build", OWNER)),
        found(build_name(OTHER, TAG), marked("build", OTHER)),
        found(build_name(OWNER, TAG), marked("build", OTHER)),
        found(layer_name("a" * 64), marked("layer", OWNER)),
        found(kept_name("lab"), marked("kept", OWNER)),
        found("vmgen-build-lab", None),
    ]
    assert left_by_the_dead([*stays, *left], OWNER, lambda tag: tag.startswith("77")) == left
