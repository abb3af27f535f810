"""Any sequence of edits: the file says what was meant, by this reader and by ConfigObj; all other bytes stay."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from configobj import ConfigObj
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgen_build.errors import UsageError
from vmgen_build.recipe.edit import Change, NotSet, edited, find, read_document
from vmgen_build.recipe.ini import IniSection, Value
from vmgen_build.recipe.outline import is_several
from vmgen_build.recipe.writing import meant_items

Tree = dict[str, Any]
"""As ConfigObj has it: an option is a text or a list of texts."""

ODD = st.text(alphabet="ab.=#'\"[]{} ,é-", min_size=1, max_size=5).filter(lambda name: name.strip() == name)
NAME = st.sampled_from(["eth0", "eth1", "x", "a.b"]) | ODD
PATHS = st.one_of(
    st.sampled_from(
        [
            *(("hardware", "ram"), ("hardware", "os"), ("config", "packages"), ("config", "hostname")),
            *(("network", "gateway"), ("network", "nameservers"), ("devel", "gdb"), ("services", "sshd")),
        ]
    ),
    st.builds(lambda name, key: ("network", "eths", name, key), NAME, st.sampled_from(["address", "type", "odd"])),
    st.builds(lambda name, key: ("users", "users", name, key), NAME, st.sampled_from(["passwd", "groups", "name"])),
    st.builds(lambda name: ("config", "scripts", name, "run"), NAME),
    st.builds(lambda name: ("network", "firewall_rules", name), NAME),
    st.builds(lambda name: ("gui", name), NAME),
    st.builds(lambda names: ("unknown", *names), st.lists(NAME, min_size=1, max_size=3)),
)
TEXT = st.one_of(
    st.sampled_from(
        ["", "1", "a,b", "a, b,", ",", "a # b", "it's", '"x"', "'''", '"""', " x ", "a\nb\n", "\n#\n[x]\n"]
    ),
    st.text(alphabet="ab ,#=[]'\"\\%$\t\né", max_size=8),
)
PLAIN = st.text(alphabet="ab0./:-", min_size=1, max_size=5)
WRITTEN = st.one_of(
    PLAIN,
    st.builds(lambda a, b: f"{a}, {b}", PLAIN, PLAIN),
    st.sampled_from(["", "a,", "''", "'q, #'", '"it\'s"', "'''one\n two'''", "'a', \"b c\"", "'''\n# none\n\n'''"]),
)
COMMENT = st.sampled_from(["", "", " # why", "    # far", "\t#t"])
NOISE = st.sampled_from(["", "# a comment", "    # an indented one", "   "])
STYLE = st.tuples(
    st.sampled_from(["", "  ", "    ", "\t"]), st.sampled_from([" = ", "=", "= ", "\t=  "]), st.sampled_from([0, 1, 2])
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file in one style, with sections of recipes and others, comments, and line ends of one kind."""
    step, equals, blank = draw(STYLE)
    lines = draw(st.lists(st.sampled_from(["# top", ""]), max_size=2))
    tree: Tree = {}
    for path in draw(st.lists(PATHS, max_size=8)):
        section = tree
        for name in path[:-1]:
            section = section.setdefault(name, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            section.setdefault(path[-1], f"{draw(WRITTEN)}{draw(COMMENT)}")
    _write(tree, 0, (step, equals, blank), lines, draw)
    newline, end = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(["", "\n", "\n\n"]))
    return ("\n".join(lines) + end).replace("\n", newline)


def _write(tree: Tree, depth: int, style: tuple[str, str, int], lines: list[str], draw: st.DrawFn) -> None:
    step, equals, blank = style
    for name, value in tree.items():
        if not isinstance(value, dict) and depth and not set(name) & set("=#'\"[]"):
            lines += draw(st.lists(NOISE, max_size=1))
            lines.append(f"{step * depth}{name}{equals}{value}")
    for name, value in tree.items():
        if isinstance(value, dict) and not set(name) & set("#'\"[]"):
            lines += [""] * blank + draw(st.lists(NOISE, max_size=2))
            lines.append(f"{step * depth}{'[' * (depth + 1)}{name}{']' * (depth + 1)}")
            _write(value, depth + 1, style, lines, draw)


CHANGES = st.lists(
    st.builds(Change, PATHS, TEXT)
    | st.builds(Change, PATHS, st.none())
    | st.builds(lambda path, depth: Change(path[:depth], None), PATHS, st.integers(1, 3)),
    min_size=1,
    max_size=6,
)


def by_configobj(text: str) -> Tree:
    found: Tree = ConfigObj(io.BytesIO(text.encode()), encoding="utf-8", interpolation=False).dict()
    return found


def by_us(section: IniSection, like: Tree) -> Tree:
    """In ConfigObj's shape: an option is a list where it is one there."""
    found: Tree = {k: list(v.items) if isinstance(like.get(k), list) else v.text for k, v in section.values.items()}
    return found | {name: by_us(child, like.get(name, {})) for name, child in section.sections.items()}


def meant(names: Sequence[str], text: str) -> str | list[str]:
    items = meant_items(text, is_several(names))
    if items and is_several(names) and "\n" not in text and "," in text and (len(items) != 1 or text.endswith(",")):
        return list(items)
    return items[0] if items else ""


def put(tree: Tree, change: Change) -> None:
    for name in change.names[:-1]:
        tree = tree.setdefault(name, {})
    if change.value is None:
        del tree[change.names[-1]]
    else:
        tree[change.names[-1]] = meant(change.names, change.value)


def in_the_way(tree: Tree, change: Change) -> bool:
    """Whether an option stands where a section is needed, or the other way round."""
    there: Any = tree
    for name in change.names[:-1]:
        there = there.get(name, {})
        if not isinstance(there, dict):
            return True
    return isinstance(there.get(change.names[-1]), dict)


def common_start(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def assert_the_rest_stays(before: str, after: str, change: Change) -> None:
    """Only what was named is another: bytes before and behind it are the same."""
    found = find(read_document(before, "t.ini").root, change.names)
    if isinstance(found, Value):
        assert found.spans is not None
        start, end = found.spans.key_end, found.spans.end
        if change.value is None:
            assert after == before[: found.spans.start] + before[end:]
            return
        if found.spans.comment.of(before):
            assert after.endswith(before[found.spans.comment_start :])
    elif found is not None:
        assert found.head is not None
        start, end = len(before[: found.head.line.start].rstrip(" \t\r\n")), found.end
        kept = before[: found.head.line.start] + before[end:]
        assert len(after.split()) >= len(kept.split())
    else:
        start = end = min(common_start(before, after), len(before))
    assert after.startswith(before[:start]) and after.endswith(before[end:])


@settings(max_examples=100, deadline=None)
@given(files(), CHANGES)
def test_any_sequence_of_edits(text: str, changes: Sequence[Change]) -> None:
    tree = by_configobj(text)
    assert by_us(read_document(text, "t.ini").root, tree) == tree
    done = []
    now = text
    for change in changes:
        try:
            after = edited(now, "t.ini", [change])
        except NotSet:
            assert change.value is None and find(read_document(now, "t.ini").root, change.names) is None
            continue
        except UsageError as error:
            strange = "".join((*change.names, change.value or ""))
            assert in_the_way(tree, change) or {"'", '"'} <= set(strange), error
            continue
        if after != now:
            assert_the_rest_stays(now, after, change)
        done.append(change)
        put(tree, change)
        now = after
        found = by_configobj(now)
        assert by_us(read_document(now, "t.ini").root, found) == found == tree
    assert edited(text, "t.ini", done) == now


def written_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


@settings(max_examples=50, deadline=None)
@given(files(), st.builds(Change, PATHS, TEXT))
def test_what_is_set_and_deleted_again_leaves_nothing(text: str, change: Change) -> None:
    root = read_document(text, "t.ini").root
    top = find(root, change.names[:1])
    if top is not None or len(change.names) < 2 or not text.endswith("\n"):
        return
    try:
        there = edited(text, "t.ini", [change])
    except UsageError:
        return
    gone = edited(there, "t.ini", [Change(change.names[:1], None)])
    assert written_lines(gone) == written_lines(text)
    assert edited(there, "t.ini", [change]) == there
