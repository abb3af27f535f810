"""The INI reader: its grammar against ConfigObj's, and what it adds."""

from __future__ import annotations

import string
from typing import Any

import pytest
from configobj import ConfigObj, ConfigObjError
from hypothesis import given
from hypothesis import strategies as st

from vmgen_build.recipe.ini import IniSection, Value, parse, parse_items
from vmgen_build.recipe.problems import Problems


def read(text: str) -> IniSection:
    problems = Problems("t.ini")
    root = parse(text, "t.ini", problems).root
    assert not problems.errors(), problems.errors()
    return root


def value(raw: str) -> Value:
    return read(f"k = {raw}").values["k"]


VALUES: list[tuple[str, str, tuple[str, ...]]] = [
    ("", "", ()),
    ("abc", "abc", ("abc",)),
    ("a, b", "a, b", ("a", "b")),
    ("a,", "a,", ("a",)),
    (",", ",", ()),
    (",abc", ",abc", ("", "abc")),
    ("a,,b", "a,,b", ("a", "", "b")),
    ("abc#def", "abc#def", ("abc#def",)),
    ("abc # comment", "abc", ("abc",)),
    ("# comment", "", ()),
    ("a, # comment", "a,", ("a",)),
    ("a,#b", "a,#b", ("a", "#b")),
    ('"abc # def"', "abc # def", ("abc # def",)),
    ('"abc"#comment', "abc", ("abc",)),
    ("'a, b'", "a, b", ("a, b",)),
    ("'a, b', c", "'a, b', c", ("a, b", "c")),
    ("'a', \"b\"", "'a', \"b\"", ("a", "b")),
    ('""', "", ("",)),
    ("it's", "it's", ("it's",)),
    ("'it's'", "it's", ("it's",)),
    ('-m comment --comment "a, b"', '-m comment --comment "a, b"', ('-m comment --comment "a', 'b"')),
    ("a = b", "a = b", ("a = b",)),
    ("%(x)s ${x} $x", "%(x)s ${x} $x", ("%(x)s ${x} $x",)),
    ("'''one'''", "one", ("one",)),
    ("'''one''' # comment", "one", ("one",)),
    ('"""\n two\n  lines """', "\n two\n  lines ", ("\n two\n  lines ",)),
    ("'''a, # b\n[x]\n'''", "a, # b\n[x]\n", ("a, # b\n[x]\n",)),
    ("[a]", "[a]", ("[a]",)),
]


@pytest.mark.parametrize(("raw", "text", "items"), VALUES)
def test_values(raw: str, text: str, items: tuple[str, ...]) -> None:
    found = value(raw)
    assert (found.text, found.items) == (text, items)


def test_positions_and_nesting() -> None:
    root = read("\na = 1\n\n[s] # c\n  b = '''x\ny'''\n\t[[t]]\nc=2\n[[u]]\n[ [ [v] ] ]\n['w # x']\nd =\n")
    assert root.values["a"].line == 2
    s = root.sections["s"]
    assert (s.line, s.values["b"].line, s.sections["t"].values["c"].line) == (4, 5, 8)
    assert s.sections["u"].sections["v"].line == 10
    assert root.sections["w # x"].values["d"].text == ""


def test_line_ends_of_all_kinds() -> None:
    root = read("[s]\r\na = 1\r\nb = '''x\r\ny'''\r\n")
    assert {k: v.text for k, v in root.sections["s"].values.items()} == {"a": "1", "b": "x\ny"}


def test_separators_of_unicode_are_data() -> None:
    assert value("a\u2028b\x0bc").text == "a\u2028b\x0bc"


def test_quoted_names() -> None:
    assert read("\"a = b\" = 1\n'c#' = 2").values.keys() == {"a = b", "c#"}


def test_values_from_the_command_line_have_no_comments() -> None:
    assert parse_items('a #b, "c, d" , e') == ("a #b", "c, d", "e")
    assert parse_items("it\"s, 'b") == ('it"s', "'b")


WORD = st.text(alphabet=string.ascii_letters + string.digits + "-_.:/@$%(){}é€", min_size=1, max_size=8)
SPACE = st.sampled_from(["", " ", "  ", "\t"])
INSIDE = st.text(alphabet=string.ascii_letters + " ,#=[]é%", max_size=8)
QUOTED = st.builds(lambda quote, text: f"{quote}{text}{quote}", st.sampled_from("'\""), INSIDE)
ITEM = WORD | QUOTED
COMMENT = st.sampled_from(["", " # a, 'comment'", "\t#x"])
SINGLE = st.builds(lambda item, comment: item + comment, ITEM, COMMENT)
LIST = st.builds(
    lambda items, tail, comment: " , ".join(items) + tail + comment,
    st.lists(ITEM, min_size=2, max_size=4),
    st.sampled_from(["", ","]),
    COMMENT,
)
LONG = st.builds(
    lambda quote, lines, comment: quote + "\n".join(lines) + quote + comment,
    st.sampled_from(["'''", '"""']),
    st.lists(st.text(alphabet=string.ascii_letters + " ,#=[]$\\", max_size=8), min_size=1, max_size=4),
    COMMENT,
)
OPTION = st.builds(
    lambda indent, key, gap, raw: f"{indent}{key}{gap}={gap}{raw}",
    SPACE,
    WORD,
    SPACE,
    SINGLE | LIST | LONG | st.just(""),
)
NOISE = st.sampled_from(["", "   ", "# comment", "  # [[x]]"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A well-formed file: sections go at most one level deeper than the one before."""
    lines, depth = draw(st.lists(OPTION | NOISE, max_size=3)), 0
    for _ in range(draw(st.integers(0, 6))):
        depth = draw(st.integers(1, depth + 1))
        lines.append(f"{draw(SPACE)}{'[' * depth}{draw(WORD)}{']' * depth}{draw(COMMENT)}")
        lines += draw(st.lists(OPTION | NOISE, max_size=3))
    return "\n".join(lines)


def plainly(section: IniSection, like: Any) -> dict[str, Any]:
    """Our tree in ConfigObj's shape: an option is a list where ConfigObj's is one."""
    found: dict[str, Any] = {}
    for key, option in section.values.items():
        found[key] = list(option.items) if isinstance(like.get(key), list) else option.text
    for name, child in section.sections.items():
        found[name] = plainly(child, like.get(name, {}))
    return found


@given(files())
def test_well_formed_files_read_as_configobj_reads_them(text: str) -> None:
    problems = Problems("t.ini")
    root = parse(text, "t.ini", problems).root
    if problems.errors():
        assert all("already" in p.text for p in problems.errors())
        with pytest.raises(ConfigObjError):
            ConfigObj(text.split("\n"), interpolation=False)
        return
    oracle = ConfigObj(text.split("\n"), interpolation=False)
    assert plainly(root, oracle) == oracle.dict()


@given(st.text(alphabet="ab=[]'\"#, \n\t\\\x00é", max_size=60))
def test_any_text_is_read_or_reported(text: str) -> None:
    problems = Problems("t.ini")
    document = parse(text, "t.ini", problems)
    assert all(1 <= p.where.line <= text.count("\n") + 1 for p in problems.errors())
    assert document.complete or problems.errors()
