"""Registry files that Wine's `reg import` takes, read back by `reg export` and `reg query`."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wine.prefix import Windows
from vmgen_build.plan.text.batchscript import step_script
from vmgen_build.plan.text.reg import Value, reg_file
from vmgen_build.plan.text.render import Renderer

KEY = r"HKEY_LOCAL_MACHINE\SOFTWARE\Vmgen\Tests"

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"], max_codepoint=0xFFFF), max_size=20)
numbers = st.integers(0, 2**32 - 1)
several = st.lists(texts.filter(bool), max_size=4)
entries = st.dictionaries(names.map(str.lower), st.one_of(texts, numbers, several), max_size=30)


def content(data: bytes) -> list[str]:
    """The lines of a registry file, with those that go on made one, sorted."""
    text = data.decode("utf-16").replace(",\\\r\n  ", ",")
    return sorted(line for line in text.split("\r\n") if line)


def exported(wine: Windows, renderer: Renderer, values: dict[str, Value]) -> bytes:
    body = f"reg delete {KEY} /f\nreg import files\\a.reg\nreg export {KEY} files\\b.reg /y\n"
    body = f"reg add {KEY} /f\n{body}"
    ran = wine.run_step(step_script(renderer, "registry", body).encode(), files={"a.reg": reg_file({KEY: values})})
    assert ran.succeeded, ran.output
    return (wine.step / "files" / "b.reg").read_bytes()


@settings(max_examples=6)
@example({"": "own", 'a"\\': 'C:\\x "y" %PATH% é日本😀', "n": 7, "m": ["a b", "é"], "none": []})
@given(entries)
def test_what_is_imported_comes_back(wine: Windows, renderer: Renderer, values: dict[str, Value]) -> None:
    assert content(exported(wine, renderer, values)) == content(reg_file({KEY: values}))


def test_a_value_is_taken_away(wine: Windows, renderer: Renderer) -> None:
    body = (
        f"reg add {KEY} /v Gone /d x /f\nreg import files\\a.reg\nreg query {KEY} /v Stays\nreg query {KEY} /v Gone\n"
    )
    files = {"a.reg": reg_file({KEY: {"Gone": None, "Stays": "a\\b"}})}
    ran = wine.run_step(step_script(renderer, "registry", body).encode(), files=files)
    assert "    Stays    REG_SZ    a\\b" in ran.output
    assert "command 4 (reg query) ended with code 1" in ran.output
