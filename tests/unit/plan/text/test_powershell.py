"""Values in PowerShell, read by tree-sitter's grammar of it; where a template may hold one; how a script is run."""

import base64
import re
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell
from hypothesis import example, given
from hypothesis import strategies as st

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.batch import LONGEST_LINE
from vmgen_build.plan.text.powershell import (
    POWERSHELL,
    as_file,
    encoded,
    encoded_command,
    file_command,
    powershell_script,
    powershell_word,
)
from vmgen_build.plan.text.render import Renderer
from vmgen_build.secret import Secret

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
NASTY = "'\"`$(){}[]<>|&;!*?~#=%^ -\u2018\u2019\u201a\u201b\u201c\u201d\u201eéß中😀ab@,01"
sayable = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


def nodes(script: str, kind: str) -> list[str]:
    """The texts of all nodes of a kind, in a script without an error."""
    tree = PARSER.parse(script.encode())
    assert not tree.root_node.has_error, script
    found, left = [], [tree.root_node]
    while left:
        node = left.pop()
        left += reversed(node.children)
        if node.type == kind:
            found.append((node.text or b"").decode())
    return found


@example(["", "a'b", "''", "$(x)", "`", "#", "\u2019", "'; Remove-Item C:\\ #"])
@given(values=st.lists(st.one_of(sayable, st.text(NASTY)), min_size=1, max_size=8))
def test_values_are_one_string_each(values: list[str]) -> None:
    strings = nodes(
        f"Write-Host {' '.join(powershell_word(value) for value in values)}\n", "verbatim_string_characters"
    )
    assert [string[1:-1].replace("''", "'") for string in strings] == [
        re.sub("[\u2018-\u201b]", r"\g<0>\g<0>", value) for value in values
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [("a\u2019b", "'a\u2019\u2019b'"), ("\u2018\u201a\u201b", "'" + "\u2018\u2018\u201a\u201a\u201b\u201b" + "'")],
)
def test_typographic_quotes_end_no_string(text: str, word: str) -> None:
    """PowerShell takes them for ', which tree-sitter's grammar does not know."""
    assert powershell_word(text) == word


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x1b", "a\tb", "\u2028", "\u2029", "\x85", "\udcff"])
def test_what_no_value_may_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="holds a control character"):
        powershell_word(text)


def render(source: str, folder: Path) -> str:
    (folder / "t.ps1.j2").write_text(source)
    return Renderer(folder, POWERSHELL).render("t.ps1.j2", x="it's $x", names=["a", "b c"], nothing=[])


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("Get-Item {{ x }}", "Get-Item 'it''s $x'"),
        ("$a = @({{ names }})", "$a = @('a','b c')"),
        ("$a = @({{ nothing }})", "$a = @()"),
        ("f -Name:{{ x }};", "f -Name:'it''s $x';"),
        ('"$a `" b" + {{ x }}', "\"$a `\" b\" + 'it''s $x'"),
        ("'a''b' + {{ x }}", "'a''b' + 'it''s $x'"),
        ("# it's\nf {{ x }}", "# it's\r\nf 'it''s $x'"),
        ("<# it's\n#>f {{ x }}", "<# it's\r\n#>f 'it''s $x'"),
        ("$a = @'\nit's\n'@\nf {{ x }}", "$a = @'\r\nit's\r\n'@\r\nf 'it''s $x'"),
        ("f a#b {{ x }}", "f a#b 'it''s $x'"),
        ("{% if x %}\nf {{ x }}\n{% endif %}\n", "f 'it''s $x'\r\n"),
        ("{{ 'f' | trusted }}\n", "f\r\n"),
    ],
)
def test_a_value_may_stand(source: str, rendered: str, tmp_path: Path) -> None:
    assert render(source, tmp_path) == rendered
    nodes(rendered.replace("\r\n", "\n") + "\n", "program")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('f "{{ x }}"', "inside double quotes"),
        ("f '{{ x }}'", "inside single quotes"),
        ("f \u201c{{ x }}\u201d", "inside double quotes"),
        ("f \u2018{{ x }}\u2019", "inside single quotes"),
        ("# {{ x }}", "in a comment"),
        ("f <# {{ x }} #>", "in a comment"),
        ("f @'\n{{ x }}\n'@", "in a here-string"),
        ('f @"\n{{ x }}\n"@', "in a here-string"),
        ("f `{{ x }}", "directly behind '`'"),
        ("f a{{ x }}", "directly behind 'a'"),
        ("f ${{ x }}", "directly behind '$'"),
        ("f {{ x }}{{ x }}", "directly behind another value"),
        ("f {{ x }}a", "'a' directly behind a value"),
        ("f {{ x }}'a'", '"\'" directly behind a value'),
        ('f "{% if x %}{% endif %}"', "a tag inside double quotes"),
        ("f 'open", "it ends inside single quotes"),
    ],
)
def test_elsewhere_it_is_refused(source: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not allowed in a PowerShell template") as caught:
        render(source, tmp_path)
    assert why in str(caught.value)


def test_a_secret_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "t.ps1.j2").write_text("f {{ x }}")
    with pytest.raises(RecipeError, match="a Secret is no value"):
        Renderer(tmp_path, POWERSHELL).render("t.ps1.j2", x=Secret("hunter2"))


def script(body: str) -> str:
    return powershell_script(Renderer(None, POWERSHELL), body)


def test_a_script_stops_at_its_first_failure_and_ends_with_a_code() -> None:
    lines = script("Get-Item 'é'\n").split("\r\n")
    assert lines[0] == "$ErrorActionPreference = 'Stop'"
    assert lines[-2:] == ["exit 0", ""]
    assert "    exit 1" in lines
    assert nodes("\n".join(lines), "try_statement") != []


def test_a_script_is_one_line_of_batch() -> None:
    line = encoded_command(script("Get-Item 'é'"))
    program, _, data = line.rpartition(" ")
    assert program == "powershell -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand"
    assert base64.b64decode(data).decode("utf-16-le") == script("Get-Item 'é'")
    assert encoded("é") == "6QA="
    assert len(encoded_command("x" * 3030)) <= LONGEST_LINE
    with pytest.raises(ValueError, match="give it to the step as a file"):
        encoded_command("x" * 3100)


def test_a_longer_script_is_a_file() -> None:
    assert file_command("users.ps1").endswith(r'Bypass -File "%~dp0files\users.ps1"')
    assert as_file("é\r\n") == b"\xef\xbb\xbf\xc3\xa9\r\n"
    for name in ("a b.ps1", "x", "..\\x.ps1", "%x%.ps1", "-x.ps1"):
        with pytest.raises(ValueError, match="is no name for a PowerShell script"):
            file_command(name)
