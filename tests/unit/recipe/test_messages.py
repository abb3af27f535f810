"""Every mistake gives its exact message, at its line, all of them at once; what is odd passes with a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.recipe.load import load

DATA = Path(__file__).parent / "data"


def cases(file: str) -> list[object]:
    """(recipe, messages) of each case of a table in data/, with the case's name as the test's."""
    found: list[object] = []
    for block in (DATA / file).read_text(encoding="utf-8").split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        recipe, _, messages = rest.partition("\n---")
        found.append(pytest.param(recipe + "\n", messages.strip(), "strict" in name, id=name.replace(" ", "-")))
    return found


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("r.ini")


@pytest.mark.parametrize(("recipe", "messages", "strict"), cases("bad.txt"))
def test_mistakes(written: Path, recipe: str, messages: str, strict: bool) -> None:
    written.write_text(recipe, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load(written, strict=strict)
    assert str(caught.value) == messages
    assert caught.value.exit_code == 2
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("recipe", "messages", "strict"), cases("odd.txt"))
def test_oddities(written: Path, recipe: str, messages: str, strict: bool) -> None:
    written.write_text(recipe, encoding="utf-8")
    warnings = [warning for warning in load(written).warnings if warning.code != "no-login"]
    assert "\n".join(map(str, warnings)) == messages


@pytest.mark.parametrize(("recipe", "messages", "strict"), cases("odd.txt"))
def test_strict_refuses_unknown_things_alone(written: Path, recipe: str, messages: str, strict: bool) -> None:
    written.write_text(recipe, encoding="utf-8")
    unknown = [line for line in messages.split("\n") if "is ignored" in line or "skipped" in line]
    if not unknown:
        load(written, strict=True)
        return
    with pytest.raises(RecipeError) as caught:
        load(written, strict=True)
    expected = "\n".join(unknown)
    for part in (" warning:", " and is ignored", "; skipped"):
        expected = expected.replace(part, "")
    assert str(caught.value) == expected


FILES: list[tuple[str, bytes | None, str]] = [
    ("missing", None, "r.ini: there is no such file; check its name"),
    ("empty", b"", "r.ini: is empty; a recipe has at least [hardware] with vm_id and os"),
    ("blank", b"\n  \r\n", "r.ini: is empty; a recipe has at least [hardware] with vm_id and os"),
    ("latin-1", b"[hardware]\nvm_id = caf\xe9\n", "r.ini:2: is not UTF-8 text (byte 0xe9); save it as UTF-8"),
    ("utf-16", "[hardware]\n".encode("utf-16"), "r.ini: is UTF-16 text; save it as UTF-8"),
    ("binary", b"\x7fELF\n\0\0", "r.ini:2: holds a NUL byte: it is binary; a recipe is plain text"),
    ("cut character", b"[hardware]\n\xe2\x82", "r.ini:2: is not UTF-8 text (byte 0xe2); save it as UTF-8"),
]


@pytest.mark.parametrize(("data", "message"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_files_that_are_no_recipe(written: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        written.write_bytes(data)
    with pytest.raises(RecipeError) as caught:
        load(written)
    assert str(caught.value) == message


def test_a_folder(written: Path) -> None:
    written.mkdir()
    with pytest.raises(RecipeError, match=r"^r\.ini: is a folder; name the recipe's file$"):
        load(written)


def test_names_that_no_file_can_have(written: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: File name too long"):
        load(Path("x" * 5000))
    with pytest.raises(RecipeError, match="cannot be read: its name holds a NUL character"):
        load(Path("a\0b"))


def test_endless_input_is_refused() -> None:
    with pytest.raises(RecipeError, match="cannot be read: it is a device, not a file"):
        load(Path("/dev/zero"))


def test_comments_alone_lack_everything(written: Path) -> None:
    written.write_text("# nothing here\n")
    with pytest.raises(RecipeError) as caught:
        load(written)
    assert [p.path for p in caught.value.problems] == ["[hardware] vm_id", "[hardware] os"]


def test_control_characters_do_not_reach_the_terminal(written: Path) -> None:
    written.write_text(
        "[hardware]\nvm_id = a\x1b[31mb\nos = debian-12\nx\x1by = 1\n[z\x07]\n[users]\n[[users]]\n"
        "[[[u\x1b]]]\nname = ana\nfull_name = A\x1bna\n[config]\nhostname = a\u202eb\n[devel]\nvim = a\x1b\nz\x1b = 1\n"
    )
    with pytest.raises(RecipeError) as caught:
        load(written, strict=True)
    text = str(caught.value)
    assert len(caught.value.problems) == 7
    assert all(c.isprintable() or c == "\n" for c in text)
    assert r"'a\x1b[31mb' is not a machine's name" in text


def test_many_problems_are_counted(written: Path) -> None:
    written.write_text("[hardware]\n" + "junk\n" * 1000)
    with pytest.raises(RecipeError) as caught:
        load(written)
    assert len(caught.value.problems) == 51
    assert str(caught.value).endswith("\nr.ini: and 952 more errors")
