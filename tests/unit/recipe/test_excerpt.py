"""The user's own line below a message: where the caret stands, how a long line is cut, and that no password shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.limits import RECIPE
from vmgen_build.recipe import types
from vmgen_build.recipe.excerpt import Excerpt, Excerpts
from vmgen_build.recipe.load import load
from vmgen_build.recipe.schema import recipe_sections
from vmgen_build.recipe.types import secrets
from vmgen_build.recipe.types.base import Type

CANARY = "hunter2"
HEAD = "[hardware]\nvm_id = lab\nos = debian-12\n"


def problems(path: Path, text: str) -> list[Problem]:
    """Every problem and warning of a recipe."""
    path.write_text(text, encoding="utf-8", newline="")
    try:
        return list(load(path).warnings)
    except RecipeError as error:
        return [*error.problems, *error.warnings]


def excerpts(path: Path, text: str, room: int = 92) -> list[Excerpt]:
    source = Excerpts()
    found = (source.of(problem, room) for problem in problems(path, text))
    return [excerpt for excerpt in found if excerpt is not None]


def marked(excerpt: Excerpt) -> str:
    """What stands above the carets."""
    at, shown = 0, ""
    for char in excerpt.text:
        if excerpt.start <= at < excerpt.start + excerpt.width:
            shown += char
        at += cell_len(char)
    return shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ram = much", "much"),
        ("\tram\t=\tmuch\t# a comment", "much"),
        ("'ram' = 'much of it'", "'much of it'"),
        ("ram = much\r", "much"),
        ("ram = 一二三", "一二三"),
        ("ram = e\u0301e", "e\u0301e"),
        ("rma = 1G", "rma"),
        ("ram = \u202emuch", "\\u202emuch"),
        ("[[eths]]\n[[[eth0]]]\nhw_addr = x", "x"),
        ("[[eths]]\n[[[a name that is too long]]]", "a name that is too long"),
        ("[[hdds]]\n[[[hdd0]]]\nsize = 1G,", "1G,"),
    ],
)
def test_the_carets_stand_below_what_is_meant(tmp_path: Path, line: str, shown: str) -> None:
    assert shown in [marked(excerpt) for excerpt in excerpts(tmp_path / "r.ini", f"{HEAD}{line}\n")]


def test_an_item_of_a_list_is_meant_alone(tmp_path: Path) -> None:
    text = f"{HEAD}[network]\nnameservers = 1.1.1.1, 'a, b', c , 2.2.2.2\n[config]\npackages = good, two bad!, 3\n"
    assert [marked(found) for found in excerpts(tmp_path / "r.ini", text)][:3] == ["'a, b'", "c", "two bad!"]


def test_an_empty_value_has_a_caret_behind_the_equals(tmp_path: Path) -> None:
    (found,) = excerpts(tmp_path / "r.ini", "[hardware]\nvm_id =\nos = debian-12\n[config]\nroot_passwd = env:A\n")[:1]
    assert (found.text, found.start, found.width) == ("vm_id =", 7, 1)


@given(before=st.integers(0, 300), behind=st.integers(0, 300), room=st.integers(20, 120))
def test_a_long_line_is_cut_around_what_is_meant(
    tmp_path_factory: pytest.TempPathFactory, before: int, behind: int, room: int
) -> None:
    names = ["x" * 7] * (before // 8) + ["wrong!"] + ["一" * 3] * (behind // 8)
    path = tmp_path_factory.getbasetemp() / "long.ini"
    (found,) = (e for e in excerpts(path, f"{HEAD}[config]\npackages = {','.join(names)}\n", room) if e.line == 5)
    assert cell_len(found.text) <= room
    assert found.start + found.width <= room
    assert marked(found) == "wrong!"


def test_a_line_as_long_as_a_recipe_may_be(tmp_path: Path) -> None:
    text = f"{HEAD}[config]\npackages = wrong!, {'a' * (RECIPE.amount - 100)}\n"
    (found,) = (e for e in excerpts(tmp_path / "r.ini", text) if e.line == 5)
    assert marked(found) == "wrong!" and cell_len(found.text) == 92


def test_lines_that_are_not_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "r.ini"
    problem = Problem(Position(str(path), 3, 1, 2), "", "is wrong")
    assert Excerpts().of(problem, 80) is None
    path.write_text("[a]\n")
    assert Excerpts().of(problem, 80) is None
    path.write_text("[a]\n\n#\n")
    found = Excerpts().of(problem, 80)
    assert found is not None and CANARY not in found.text


PRIVATE = [
    "passwd = {}",
    "passwd = '{}",
    "passwd = '{}' x",
    "passwd = {} #x",
    "passwd =   # {}",
    "passwd = '''{}\n{}''' x",
    "passwd = '''\n{}\n",
    "passwd_hash = {}",
    "ssh_keys = {}",
    "ssh_keys = '''-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n'''",
    "passwd {}",
    "passwd: {}",
    "{}",
    "= {}",
    "'{}",
    "pasword = {}",
    "p = {}",
    "'passwd' = '{}",
    "passwd = 1\npasswd = {}",
    "passwd = 1\npasswd = '''{}\n{}'''\n",
    "[[[[passwd]]]] {}",
    "[[[[passwd = {}",
    "uid = x # {}",
    "[[[ana]]] # {}\n[[[ana]]] {}",
    "[passwd]\nx = {}",
    "[confg]\nroot_passwd = {}\n[config]\nroot_passwd = '{}",
    "[config]\n[[repos]]\n[[[a]]]\nurl = gopher://me:{}@example.org/",
    "[config]\n[[repos]]\n[[[a]]]\nurl = http://{}@example.org/ x\nsuite = a/b/c d",
    "[config]\nproduct_key = {}",
    "[hardware]\nlogin_password = '{}",
    "[services]\nmysql_password = {}",
    "[[users]]\n[[ana]]\npasswd = '{}",
]


@pytest.mark.parametrize("lines", PRIVATE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_no_password_shows(tmp_path: Path, lines: str, end: str) -> None:
    """Each password, right or wrong, on every line of the file."""
    path = tmp_path / "r.ini"
    text = f"{HEAD}[users]\n[[users]]\n[[[ana]]]\nname = ana\n{lines.replace('{}', CANARY)}\n"
    text = text.replace("\n", end)
    assert CANARY not in "".join(excerpt.text for excerpt in excerpts(path, text))
    for number in range(1, text.count("\n") + 1):
        for column, last in ((0, 0), (1, 0), (5, 9), (12, 13), (99, 0)):
            found = Excerpts().of(Problem(Position(str(path), number, column, last), "", "is wrong"), 92)
            assert found is None or CANARY not in found.text


def secret_types() -> list[Type[object]]:
    modules = [vars(secrets), vars(types)]
    return [thing for module in modules for thing in module.values() if isinstance(thing, Type)]


def test_every_type_of_secrets_is_private() -> None:
    found = [
        t for t in secret_types() if re.search("Secret", str(getattr(t.read, "__annotations__", {}).get("return")))
    ]
    assert len(found) > 5
    assert [t.takes for t in found if not t.private] == []


def test_profiles_and_programs_have_their_own_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.ini").write_text("[network]\ngateway = here\n")
    (tmp_path / "own.ini").write_text("[greeter]\npackages = $\n")
    text = f"{HEAD}[config]\nprofiles = mine.ini\ncatalogue = own.ini\n"
    found = excerpts(tmp_path / "r.ini", text)
    assert [e.text for e in found if e.text.split()[0] in ("gateway", "packages")] == ["gateway = here", "packages = $"]


def test_the_sections_of_a_recipe_can_be_named() -> None:
    """What says whether a word may show knows each of them."""
    assert {"hardware", "network", "users", "config"} <= recipe_sections().keys()
