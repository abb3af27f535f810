"""Templates: whose is taken, what is refused, and where the message points."""

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.plan.text.quote import Dialect
from vmgen_build.plan.text.render import Renderer, override_folder
from vmgen_build.secret import Secret


def write(folder: Path, text: str, name: str = "linux/t.sh.j2") -> Renderer:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return Renderer(folder)


def test_an_own_template_stands_for_the_shipped_one_and_others_stay(tmp_path: Path) -> None:
    renderer = write(tmp_path, "#!/bin/sh\necho mine {{ interpreter }}\n", "linux/script.sh.j2")
    assert renderer.sh("linux/script.sh.j2", interpreter="a b") == "#!/bin/sh\necho mine 'a b'\n"
    assert "debconf-set-selections" in renderer.sh(
        "linux/packages.sh.j2", install="i", debconf=["d"], units=[], setup=[]
    )


def test_the_folder_beside_the_recipe_unless_another_is_chosen(tmp_path: Path) -> None:
    assert override_folder(tmp_path, None) is None
    (tmp_path / "templates").mkdir()
    assert override_folder(tmp_path, None) == tmp_path / "templates"
    assert override_folder(tmp_path, Path("other")) == Path("other")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("true\necho {{ missing }}", 2, "'missing' is undefined"),
        ("echo {{ none }}", 1, "a NoneType is no value for a script"),
        ("\n\necho {{ secret }}", 3, "a Secret is no value for a script"),
        ("echo {{ secret | trusted }}", 1, "a Secret is no text to be trusted"),
        ("echo\necho {{ nul }}", 2, "'a\\x00b' holds a NUL character; remove it"),
        ("{% if %}", 1, "Expected an expression, got 'end of statement block'"),
        ("echo\n{{ text", 2, "unexpected end of template, expected 'end of print statement'."),
        ("{{ text.__class__.__mro__ }}", 1, "access to attribute '__class__' of 'str' object is unsafe."),
    ],
)
def test_an_error_names_the_template_and_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    renderer = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        renderer.sh("linux/t.sh.j2", none=None, secret=Secret("hunter2"), nul="a\0b", text="x")
    assert str(caught.value) == f"{tmp_path}/linux/t.sh.j2:{line}: template: {message}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["linux/none.sh.j2", "../../etc/passwd", "/etc/passwd"])
def test_a_template_that_is_not_there(name: str) -> None:
    with pytest.raises(RecipeError, match="there is no such template, of your own or shipped"):
        Renderer(None).sh(name)


def test_our_own_text_passes_and_what_is_made_of_it_is_quoted_again(tmp_path: Path) -> None:
    renderer = write(tmp_path, "{{ code | trusted }}\necho {{ code }} {{ words | join('; ') }} {{ '$x' }}\n")
    rendered = renderer.sh("linux/t.sh.j2", code="true; true", words=["a", "b"])
    assert rendered == "true; true\necho 'true; true' 'a; b' '$x'\n"


def test_another_dialect_quotes_and_ends_lines_its_own_way(tmp_path: Path) -> None:
    renderer = write(tmp_path, 'set X={{ x }}\r\nrem "{{ x }}"\n', "t.bat.j2")
    batch = Dialect("batch", lambda text: text.replace("%", "%%"), newline="\r\n")
    assert Renderer(renderer.override, batch).render("t.bat.j2", x="5%") == 'set X=5%%\r\nrem "5%%"\r\n'
