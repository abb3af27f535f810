"""The JSON Schema of the recipe, by a validator of others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from vmgen_build.recipe.edit import read_document
from vmgen_build.recipe.jsonschema import json_schema
from vmgen_build.recipe.reference import options
from vmgen_build.recipe.settings import as_data

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted([*ROOT.glob("recipes/*.ini"), *ROOT.glob("recipes/samples/*.ini")])

WRONG = "no-such-word"


@cache
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(json_schema())
    return Draft202012Validator(json_schema())


def data_of(path: Path, reveal: bool = False) -> Any:
    """As vmgctl -f json prints it."""
    return as_data(read_document(path.read_text(), str(path)).root, reveal)


def wrong(data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:200] for error in validator().iter_errors(data)]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """All schemas in a schema that describe a value or a section."""
    if isinstance(node, dict):
        if "type" in node or "anyOf" in node:
            yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def at(path: str) -> Any:
    """What the schema says of an option, as its path goes."""
    node: Any = json_schema()
    for name in path.split("."):
        node = next((one for one in node.get("anyOf", ()) if one.get("type") == "object"), node)
        node = node["additionalProperties"] if name == "NAME" else node["properties"][name]
    return node


@pytest.mark.parametrize("reveal", [False, True])
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_are_valid(path: Path, reveal: bool) -> None:
    assert wrong(data_of(path, reveal)) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/profiles/*.ini")), ids=lambda path: path.stem)
def test_a_profile_lacks_nothing_but_what_is_required(path: Path) -> None:
    assert [text for text in wrong(data_of(path)) if "is a required property" not in text] == []


def test_a_recipe_that_sets_nearly_all_is_valid() -> None:
    """That of the planner's tests."""
    path = ROOT / "tests/unit/plan/kitchen-sink.ini"
    assert wrong(data_of(path, reveal=True)) == []


def test_every_option_is_there_with_all_that_the_reference_says() -> None:
    for option in options():
        node = at(option.path)
        one = node["anyOf"][0] if option.free and "anyOf" in node else node
        assert one["description"].startswith(option.doc), option.path
        assert one.get("default", "") == option.default, option.path
        assert one.get("examples", [""]) == [option.example], option.path
        assert "type" in one or "anyOf" in one, option.path


def test_defaults_and_examples_of_words_and_numbers_are_valid() -> None:
    for node in walk(json_schema()):
        for value in (node.get("default"), *node.get("examples", ())):
            if value is not None:
                assert list(Draft202012Validator(node).iter_errors(value)) == [], value


@pytest.mark.parametrize("path", [option.path for option in options() if "enum" in str(at(option.path))])
def test_a_wrong_word_is_refused(path: str) -> None:
    data = copy.deepcopy(data_of(ROOT / "recipes/first.ini"))
    node, names = data, path.replace("NAME", "one").split(".")
    for name in names[:-1]:
        node = node.setdefault(name, {})
    for word in at(path)["enum"]:
        node[names[-1]] = word
        assert not [text for text in wrong(data) if f".{names[-1]}: " in text], word
    node[names[-1]] = WRONG
    assert any(WRONG in text and f".{names[-1]}: " in text for text in wrong(data))


@pytest.mark.parametrize(
    ("section", "more"),
    [
        ("hardware", {"num_cpu": "two"}),
        ("hardware", {"num_cpu": 2}),
        ("hardware", {"numcpu": "2"}),
        ("network", {"eths": {"eth0": {"adress": "10.0.0.1"}}}),
        ("network", {"eths": {"eth0": "10.0.0.1"}}),
        ("users", {"users": {"ana": {"shell": "/bin/sh"}}}),
        ("devel", {"gdb": True}),
        ("hardwear", {}),
    ],
)
def test_what_is_no_recipe(section: str, more: dict[str, Any]) -> None:
    data = copy.deepcopy(data_of(ROOT / "recipes/first.ini"))
    data[section] = data.get(section, {}) | more
    assert wrong(data)


def test_a_list_is_an_array_or_one_string() -> None:
    data = data_of(ROOT / "recipes/first.ini")
    for packages in (["htop", "tmux"], "htop, tmux"):
        data.setdefault("config", {})["packages"] = packages
        assert wrong(data) == []
    for servers in (["1.1.1.1"], "1.1.1.1", {"any": "1.1.1.1"}):
        data.setdefault("network", {})["nameservers"] = servers
        assert wrong(data) == []
