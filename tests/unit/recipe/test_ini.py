"""The INI reader: its grammar against ConfigObj's, and what it adds."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest
from configobj import ConfigObj, ConfigObjError
from hypothesis import assume, given
from hypothesis import strategies as st

from vmgen_build.recipe.ini import Document, IniSection, Value, parse
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.scanning import parse_items
from vmgen_build.recipe.tree import set_option


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


def test_where_things_stand() -> None:
    text = (
        "# top\r\nx=1\r\n[ 'a b' ] # head\r\n  k  =  'v, w'  # why \r\n\r\n"
        "\"q=\" = a, 'b', #\n [[t]]\nl = '''\ny\r\n z''' # end\n"
    )
    document = parse(text, "t.ini", Problems("t.ini"))
    a = document.root.sections["a b"]
    t = a.sections["t"]
    assert [span.of(text) for span in document.comments] == ["# top"]
    assert [written(text, v) for v in a.values.values()] == [
        ("  k  =  'v, w'  # why \r\n", "k", "'v, w'", "# why"),
        ("\"q=\" = a, 'b', #\n", '"q="', "a, 'b',", "#"),
    ]
    assert written(text, t.values["l"]) == ("l = '''\ny\r\n z''' # end\n", "l", "'''\ny\r\n z'''", "# end")
    assert a.head and [s.of(text) for s in a.head] == ["[ 'a b' ] # head\r\n", "'a b'", "# head"]
    assert document.root.body.of(text) == "# top\r\nx=1\r\n"
    assert a.body.of(text).startswith("  k") and a.body.end == a.whole.end - len(t.whole.of(text))
    assert a.whole.of(text) == text[text.index("[ 'a") :]
    assert (document.line_at(t.whole.start), document.line_at(t.values["l"].spans.value.end)) == (7, 10)


@pytest.mark.parametrize(
    ("raw", "key", "where"),
    [
        ("k =", "k", "|"),
        ("k=  ", "k", "|"),
        (" k = # c", "k", "|# c"),
        ("'k' =\t#", "'k'", "|#"),
        ("k = ''", "k", "''|"),
    ],
)
def test_where_an_empty_value_stands(raw: str, key: str, where: str) -> None:
    spans = read(raw).values["k"].spans
    assert spans and spans.key.of(raw) == key
    assert f"{spans.value.of(raw)}|{spans.comment.of(raw)}" == where
    assert spans.value.start > raw.index("=")


def test_what_stands_in_no_file_has_no_place() -> None:
    assert value("a, b").part("a").spans is None
    root = read("[s]\na = 1\n")
    set_option(root, "s.a=2", Problems("t.ini"))
    set_option(root, "n.b=2", Problems("t.ini"))
    assert root.sections["s"].values["a"].spans is None and root.sections["n"].head is None


def written(text: str, option: Value) -> tuple[str, str, str, str]:
    spans = option.spans
    assert spans is not None
    return spans.lines.of(text), spans.key.of(text), spans.value.of(text), spans.comment.of(text)


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
KEY = WORD | st.builds(
    lambda quote, text: f"{quote}{text}{quote}",
    st.sampled_from("'\""),
    st.text(alphabet=string.ascii_letters + " ,#=[]é%", min_size=1, max_size=6).filter(
        lambda text: text.strip() == text
    ),
)
OPTION = st.builds(
    lambda indent, key, gap, raw: f"{indent}{key}{gap}={gap}{raw}",
    SPACE,
    KEY,
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
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A file that parses, with LF or CRLF."""
    text = draw(files()).replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    problems = Problems("t.ini")
    document = parse(text, "t.ini", problems)
    assume(not problems.errors())
    return document


def sections(section: IniSection) -> Iterator[IniSection]:
    yield section
    for child in section.sections.values():
        yield from sections(child)


def options(document: Document) -> list[Value]:
    return [option for section in sections(document.root) for option in section.values.values()]


Content = tuple[dict[str, tuple[str, tuple[str, ...], str]], dict[str, Any]]


def content(section: IniSection) -> Content:
    """What a section says, wherever it stands."""
    values = {key: (option.text, option.items, option.cut) for key, option in section.values.items()}
    return values, {name: content(child) for name, child in section.sections.items()}


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


@given(documents())
def test_what_stands_there_reads_the_same(document: Document) -> None:
    for option in options(document):
        lines, key, raw, comment = written(document.text, option)
        alone = content(read(f"{key} = {raw} {comment}"))[0]
        assert alone == {option.key: (option.text, option.items, option.cut)} == content(read(lines))[0]
        assert option.spans and document.line_at(option.spans.key.start) == option.line
    for section in sections(document.root):
        if section.head is not None:
            line, name, comment = (span.of(document.text) for span in section.head)
            assert list(read(f"[{name}]{comment}").sections) == [section.name]
            assert line.strip().endswith(comment) and document.line_at(section.head.line.start) == section.line


@given(documents())
def test_every_character_stands_somewhere(document: Document) -> None:
    """Options, heads and comments overlap nowhere, and nothing but white space lies between them."""
    heads = [section.head.line for section in sections(document.root) if section.head]
    spans = sorted([*document.comments, *heads, *(option.spans.lines for option in options(document) if option.spans)])
    ends = [0, *(span.end for span in spans)]
    starts = [*(span.start for span in spans), len(document.text)]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))
    assert not "".join(document.text[end:start] for end, start in zip(ends, starts, strict=True)).strip()
    for option in options(document):
        assert option.spans and "".join(written(document.text, option)[1:]).strip()
        between = document.text[option.spans.key.end : option.spans.value.start]
        assert between.strip() == "=" and not document.text[option.spans.value.end : option.spans.comment.start].strip()


@given(documents(), st.data())
def test_another_spelling_of_a_value_changes_nothing_else(document: Document, data: st.DataObject) -> None:
    assume(options(document))
    option = data.draw(st.sampled_from(options(document)))
    quotes = [quote for quote in ("'", '"', "'''", '"""') if quote[0] not in option.text + option.cut]
    assume(quotes and option.items == (option.text,) and "\n" not in option.text)
    quote = data.draw(st.sampled_from(quotes))
    spans = option.spans
    assert spans is not None
    new = f"{quote}{option.text}{quote}"
    text = document.text[: spans.value.start] + new + document.text[spans.value.end :]
    changed = parse(text, "t.ini", Problems("t.ini"))
    assert content(changed.root) == content(document.root)
    longer = len(new) - len(spans.value.of(document.text))
    moved = [span.start + (longer if span.start > spans.value.start else 0) for span in document.comments]
    assert [span.start for span in changed.comments] == moved
    assert [written(text, one)[1:] for one in options(changed)] == [
        (key, new if one is option else raw, comment)
        for one in options(document)
        for _, key, raw, comment in [written(document.text, one)]
    ]


@given(documents(), st.data())
def test_a_section_cut_out_is_gone_and_no_other(document: Document, data: st.DataObject) -> None:
    parents = [section for section in sections(document.root) if section.sections]
    assume(parents)
    parent = data.draw(st.sampled_from(parents))
    name = data.draw(st.sampled_from(list(parent.sections)))
    gone = parent.sections.pop(name)
    rest = document.text[: gone.whole.start] + document.text[gone.whole.end :]
    assert content(read(rest)) == content(document.root)
    body = read(gone.body.of(document.text))
    assert content(body) == (content(gone)[0], {})


@given(documents(), st.data())
def test_an_option_cut_out_is_gone_and_no_other(document: Document, data: st.DataObject) -> None:
    owners = [section for section in sections(document.root) if section.values]
    assume(owners)
    owner = data.draw(st.sampled_from(owners))
    gone = owner.values.pop(data.draw(st.sampled_from(list(owner.values))))
    assert (
        gone.spans is not None and owner.body.start <= gone.spans.lines.start < gone.spans.lines.end <= owner.body.end
    )
    rest = document.text[: gone.spans.lines.start] + document.text[gone.spans.lines.end :]
    assert content(read(rest)) == content(document.root)
