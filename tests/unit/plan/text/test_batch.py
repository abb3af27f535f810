"""Values in batch files: what is written for each place. That cmd.exe reads it so: tests/integration/wine."""

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.batch import (
    BATCH,
    LONGEST_INPUT,
    argument,
    assigned,
    batch_word,
    called,
    echoed,
    plain,
    quoted,
)
from vmgen_build.plan.text.quote import Trusted
from vmgen_build.plan.text.render import Renderer
from vmgen_build.secret import Secret

UNSAYABLE = ["a\rb", "a\nb", "\0", "a\x1a", "\x07", "a\tb", "\x7f", "café", "日本", "\u2019", "\udcff"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ana", "ana"),
        (r"C:\Windows\Temp\x.log", r"C:\Windows\Temp\x.log"),
        ("/add", "/add"),
        ("a=b", "a=b"),
        ("", '""'),
        ("a b", '"a b"'),
        ("C:\\", '"C:\\\\"'),
        ("a b\\\\", '"a b\\\\\\\\"'),
        ("%PATH%", '"%%PATH%%"'),
        ("100%", '"100%%"'),
        ("a&b|c<d>e^f(g)!h", '"a&b|c<d>e^f(g)!h"'),
        ('say "hi"', '^"say \\^"hi\\^"^"'),
        ('"', '^"\\^"^"'),
        ('\\"', '^"\\\\\\^"^"'),
        ('"&%x%', '^"\\^"^&%%x%%^"'),
        ('a"\\', '^"a\\^"\\\\^"'),
        ("a,b", '"a,b"'),
        ("*", '"*"'),
    ],
)
def test_a_word(text: str, word: str) -> None:
    assert batch_word(text) == word


@pytest.mark.parametrize("quoting", [batch_word, argument, echoed, quoted, called, plain])
@pytest.mark.parametrize("text", UNSAYABLE)
def test_what_batch_cannot_carry_is_refused(quoting: object, text: str) -> None:
    assert callable(quoting)
    with pytest.raises(ValueError, match=r"write it in ASCII|remove it|change it"):
        quoting(text)


@pytest.mark.parametrize("text", UNSAYABLE)
def test_nor_does_a_variable(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it in ASCII|remove it"):
        assigned("X", text)


@pytest.mark.parametrize("quoting", [argument, quoted, called, lambda text: assigned("X", text)])
def test_a_double_quote_is_refused_where_it_would_end_the_value(quoting: object) -> None:
    assert callable(quoting)
    with pytest.raises(ValueError, match="holds a double quote"):
        quoting('x" & del y')


def test_through_a_variable_percent_signs_stay() -> None:
    assert argument("5% of %PATH%") == '"5% of %PATH%"'
    assert argument("Secret1") == "Secret1"
    assert argument("a\\") == '"a\\\\"'
    with pytest.raises(ValueError, match="too long: a variable takes 1021 characters"):
        argument("x" * (LONGEST_INPUT + 1))


def test_other_places() -> None:
    assert assigned("NAME", "5% & ^more!") == 'set "NAME=5%% & ^more!"'
    assert echoed('5% "a" & b | <c> (d) ^e!') == '5%% ^"a^" ^& b ^| ^<c^> ^(d^) ^^e^!'
    assert quoted("C:\\a b\\%x%") == '"C:\\a b\\%%x%%"'
    assert called("a & b") == '"a & b"'
    assert plain("00:50:56:ab-cd_e.f") == "00:50:56:ab-cd_e.f"


def test_more_that_is_refused() -> None:
    for text in ("a^b", "5%"):
        with pytest.raises(ValueError, match="which call reads twice"):
            called(text)
    with pytest.raises(ValueError, match="no name for a variable"):
        assigned("A=B", "x")
    with pytest.raises(ValueError, match=r"letters, digits and _ . : - only"):
        plain("a b")


def render(source: str, folder: Path, **values: object) -> str:
    (folder / "t.bat.j2").write_text(source)
    return Renderer(folder, BATCH).render("t.bat.j2", **values)


def test_templates_quote_by_default_and_end_lines_with_crlf(tmp_path: Path) -> None:
    source = 'net user {{ name }} /add\n{{ name | assigned("WHO") }}\necho for {{ name | echoed }}\nx {{ many }}\n'
    rendered = render(source, tmp_path, name="Ana & Co", many=["a b", 7, True])
    assert rendered == ('net user "Ana & Co" /add\r\nset "WHO=Ana & Co"\r\necho for Ana ^& Co\r\nx "a b" 7 1\r\n')


def test_a_fragment_ends_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "f.bat.j2").write_text("one\ntwo\n")
    fragment = Renderer(tmp_path, BATCH).fragment("f.bat.j2")
    assert fragment == "one\r\ntwo" and isinstance(fragment, Trusted)


@pytest.mark.parametrize("value", [Secret("hunter2"), None, ["a"]])
def test_a_filter_takes_no_secret_and_no_list(value: object, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"t.bat.j2:2: template: a \w+ is no") as caught:
        render('rem\n{{ x | assigned("X") }}\n', tmp_path, x=value)
    assert "hunter2" not in str(caught.value)


def test_a_word_that_is_refused_names_the_template_and_its_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"t.bat.j2:2: template: 'caf\\xe9' is not ASCII"):
        render("rem\nnet user {{ x }}\n", tmp_path, x="café")
