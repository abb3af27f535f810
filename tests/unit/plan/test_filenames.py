"""Issue 8, item 4: a name of a recipe, a plan or a manifest that becomes a file is one plain file name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmgen_build.build.logfile import open_log
from vmgen_build.cli.main import run
from vmgen_build.errors import HostError, RecipeError
from vmgen_build.filenames import wrong_file_name
from vmgen_build.plan.export import export
from vmgen_build.plan.model import Plan, Step, StepFile
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
BAD = ["../../up", "/etc/cron.d/x", "a/b", ".", "..", "n" * 101, "tab\there", "del\x7f", "c1\x9b", "ä" * 51]
GOOD = ["motd", ".profile", "-x", "two words", "ä" * 50, "n" * 100, "a..b"]


@pytest.mark.parametrize("name", GOOD)
def test_issue_8_4_plain_names_are_taken(name: str) -> None:
    assert wrong_file_name(name, 100) == ""


@pytest.mark.parametrize(
    ("kind", "option"), [("files", "source = a\ndest = /b"), ("scripts", "run = x"), ("repos", "url = http://a/b")]
)
@pytest.mark.parametrize("name", BAD)
def test_issue_8_4_a_section_of_another_name_is_refused_at_its_line(
    tmp_path: Path, kind: str, option: str, name: str
) -> None:
    recipe = tmp_path / "r.ini"
    recipe.write_text(f'{HEAD}[config]\n[[{kind}]]\n[[["{name}"]]]\n{option}\n', encoding="utf-8")
    (tmp_path / "a").write_text("")
    with pytest.raises(RecipeError) as caught:
        load(recipe)
    assert f"{recipe}:6: [config.{kind}." in str(caught.value)
    assert "give the section one plain file name: no /, no control character" in str(caught.value)


@pytest.mark.parametrize("name", [*BAD[:5], *BAD[6:9], "", "n" * 256, "nul\0", "\udcff"])
def test_issue_8_4_no_step_plan_or_file_can_be_made_with_another_name(sink: Plan, name: str) -> None:
    for make in (
        lambda: StepFile.of(name, b""),
        lambda: Step(name=name, title="", script=""),
        lambda: Step(name="x", title="", script="", secrets={name: Secret("s")}),
        lambda: replace(sink, name=name),
        lambda: replace(sink, backend=name),
        lambda: replace(sink, build_recipe={name: ""}),
    ):
        with pytest.raises(ValueError, match="must be one plain file name"):
            make()


@pytest.mark.parametrize("mode", [-1, 0o10000])
def test_issue_8_4_no_file_of_a_step_has_a_mode_out_of_range(mode: int) -> None:
    with pytest.raises(ValueError, match="is none from 0 to 7777"):
        StepFile.of("x", b"", mode)


def test_issue_8_4_no_step_has_a_dialect_that_is_a_path() -> None:
    with pytest.raises(ValueError, match="dialect"):
        Step(name="x", title="", script="", dialect="../x")


def test_issue_8_4_no_log_lies_outside_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        open_log(tmp_path / "logs", "../x")


def test_issue_8_4_compile_writes_through_no_link(sink: Plan, tmp_path: Path) -> None:
    """The folder of a hostile checkout: what lies there already leads elsewhere."""
    out, victim = tmp_path / "out", tmp_path / "victim"
    names = [path.relative_to(out) for path in export(sink, out)]
    for name in names:
        (out / name).unlink()
        victim.write_text("mine")
        (out / name).symlink_to(victim)
    export(sink, out)
    assert victim.read_text() == "mine"
    assert not any((out / name).is_symlink() for name in names)


@pytest.mark.parametrize("link", ["files", "files/11-files"])
def test_issue_8_4_compile_enters_no_folder_by_a_link(sink: Plan, tmp_path: Path, link: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "11-files").mkdir()
    (elsewhere / "11-files" / "mine").write_text("mine")
    (out / link).parent.mkdir(parents=True)
    (out / link).symlink_to(elsewhere)
    with pytest.raises(HostError, match=f"cannot write '{out / link}'.*choose another folder"):
        export(sink, out)
    assert [path.name for path in elsewhere.rglob("*")] == ["11-files", "mine"]


def test_issue_8_4_compile_enters_no_backends_folder_by_a_link(sink: Plan, tmp_path: Path) -> None:
    """The folder that the caller names may be a link; what a checkout has prepared in it may not."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "real").mkdir()
    out.symlink_to(tmp_path / "real")
    (out / "lxc").symlink_to(elsewhere)
    with pytest.raises(HostError, match=f"cannot write '{out / 'lxc'}'.*choose another folder"):
        export(sink, out, "lxc")
    assert list(elsewhere.iterdir()) == []
    assert out / "kvm" / "plan.json" in export(sink, out, "kvm")


def test_issue_8_4_compile_for_two_backends_enters_no_folder_by_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out, elsewhere = tmp_path / "lab.ini", tmp_path / "out", tmp_path / "elsewhere"
    recipe.write_text(HEAD)
    for folder in (out, elsewhere):
        folder.mkdir()
    (out / "openvz").symlink_to(elsewhere)
    words = ["--backend", "lxc", "--backend", "openvz", "--offline", "--cache", str(tmp_path / "cache")]
    assert run(["compile", str(recipe), "-o", str(out), *words]) == 1
    assert "choose another folder" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_issue_8_4_compile_waits_for_no_fifo(sink: Plan, planned: Callable[..., Plan], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("plan.json", "01-repositories.sh", "config"):
        os.mkfifo(out / name)
    export(sink, out)
    assert all(path.is_file() for path in (out / "plan.json", out / "01-repositories.sh", out / "config"))
