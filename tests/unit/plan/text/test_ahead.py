"""Templates whose code is made ahead: they say what they say without it, and a changed one is read anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from jinja2 import Environment

from vmgen_build import resources
from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.compiling import code_of_templates
from vmgen_build.plan.text.quote import TEXT, Dialect
from vmgen_build.plan.text.render import Renderer

TEMPLATE = '#!/bin/sh\n{% if x %}\necho {{ x }} {{ "$y" }}\n{% endif %}\necho {{ words[1] }}\n'
CODE = "linux/t.sh.j2.py"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the tool's own, with one template and its code."""
    folder = tmp_path / "shipped"
    (folder / "linux").mkdir(parents=True)
    (folder / "linux/t.sh.j2").write_text(TEMPLATE)
    make(folder)
    monkeypatch.setattr(resources, "templates_dir", lambda: folder)
    return folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the templates that Jinja compiles meanwhile."""
    found: list[str] = []
    true = Environment._compile

    def compiling(self: Environment, source: str, filename: str) -> object:
        found.append(filename)
        return true(self, source, filename)

    monkeypatch.setattr(Environment, "_compile", compiling)
    yield found


def make(folder: Path) -> None:
    for path, code in code_of_templates(folder):
        path.write_text(code)


def rendered(words: tuple[str, ...] = ("a", "b c")) -> str:
    return Renderer(None).sh("linux/t.sh.j2", x="it's", words=words)


def test_the_code_says_what_the_template_says(shipped: Path, compiled: list[str]) -> None:
    ahead = rendered()
    assert compiled == []
    (shipped / CODE).unlink()
    assert rendered() == ahead
    assert compiled == [str(shipped / "linux/t.sh.j2")]
    assert "echo 'it'\"'\"'s' '$y'\necho 'b c'\n" in ahead


def test_two_renderers_do_not_share_what_they_set(shipped: Path, compiled: list[str]) -> None:
    (shipped / "linux/t.sh.j2").write_text("cd {{ step_folder }}\n")
    make(shipped)
    one, other = Renderer(None, step_folder="/run/one"), Renderer(None, step_folder="/run/other")
    assert [each.sh("linux/t.sh.j2") for each in (one, other, one)] == [
        "cd /run/one\n",
        "cd /run/other\n",
        "cd /run/one\n",
    ]
    assert compiled == []


@pytest.mark.parametrize("way", ["template", "jinja", "another jinja", "code of before", "cut off"])
def test_code_that_was_made_of_something_else_is_not_used(
    shipped: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    expected = rendered()
    if way == "template":
        (shipped / "linux/t.sh.j2").write_text(TEMPLATE + "true\n")
        expected += "true\n"
    elif way == "jinja":
        monkeypatch.setattr(jinja2, "__version__", "3.0")
    else:
        codes = {
            "code of before": "made_of = 'else'\n",
            "another jinja": "from jinja2.runtime import Unknown\n",
            "cut off": "x = (",
        }
        (shipped / CODE).write_text(codes[way])
    assert rendered() == expected
    assert compiled == [str(shipped / "linux/t.sh.j2")]


def test_errors_name_the_template_and_its_line(shipped: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        rendered(words=("a",))
    assert str(caught.value) == f"{shipped}/linux/t.sh.j2:5: template: tuple object has no element 1"


def test_a_template_of_the_users_brings_no_code(shipped: Path, tmp_path: Path) -> None:
    """Code beside it, of the very digest, is a file like any other."""
    own = tmp_path / "templates/linux"
    own.mkdir(parents=True)
    shutil.copy(shipped / "linux/t.sh.j2", own)
    (own / "t.sh.j2.py").write_text((shipped / CODE).read_text() + "raise SystemExit('it runs')\n")
    assert Renderer(own.parent).sh("linux/t.sh.j2", x="it's", words=("a", "b c")) == rendered()


def test_code_is_made_of_every_shipped_template() -> None:
    """Each passes its guard, and becomes Python."""
    made = {str(path): code for path, code in code_of_templates(resources.templates_dir())}
    assert len(made) == len(list(resources.templates_dir().rglob("*.j2")))
    for path, code in made.items():
        compile(code, path, "exec")
        assert "finalize" not in code or "environment.finalize(context.eval_ctx, " in code, path


def test_a_constant_of_a_template_is_quoted_by_the_dialect_that_renders_it(shipped: Path, compiled: list[str]) -> None:
    """Code of templates without a guard is made once for all dialects."""
    (shipped / "t.txt.j2").write_text('{{ "a b" }}\n')
    make(shipped)
    upper = Dialect("upper", str.upper)
    assert [Renderer(None, one).render("t.txt.j2") for one in (TEXT, upper)] == ["'a b'\n", "A B\n"]
    assert compiled == []
