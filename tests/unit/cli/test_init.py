"""init: the first recipe passes check, whatever was answered; profiles: what a recipe can take in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.terminals import at_terminal
from vmgen_build.cli import main
from vmgen_build.recipe.load import load
from vmgen_build.recipe.shipped import profile_names, shipped_profile
from vmgen_build.recipe.starter import Answers, check_system, recipe_text
from vmgen_build.secret import Secret
from vmgen_build.systems.parse import known_systems

HASH = Secret("$6$saltsaltsalt$" + "a" * 86)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_yes_asks_nothing_and_the_recipe_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["init", "--yes"]) == 0
    shown = capsys.readouterr().out
    recipe = load(Path("lab.ini"), strict=True)
    assert recipe.warnings == () and (recipe.name, recipe.hardware.os.name) == ("lab", "debian-12")
    (user,) = recipe.users.users.values()
    assert (user.login, user.sudo) == ("student", "yes") and user.passwd_hash is not None
    assert "  vmgen-build lab.ini            as root: builds it, into output/" in shown
    password = shown.split("the password of student: ")[1].split()[0]
    assert password not in Path("lab.ini").read_text() and len(password) == 24


def test_options_say_what_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--os",
        "debian-13",
        "--profile",
        "server,development",
        "--profile",
        "teaching",
        "--user",
        "ana",
        "--no-ssh",
    ]
    assert main.run(["init", "web.ini", *words, "--yes"]) == 0
    recipe = load(Path("web.ini"), strict=True)
    assert recipe.config.profiles == ("server", "development", "teaching") and "ana" in recipe.users.users
    assert recipe.hardware.os.name == "debian-13" and "[services]" not in Path("web.ini").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--os", "debain-12"], "--os: 'debain-12' is not a known system"),
        (["--os", "win11"], "--os: win11 is made from a medium of your own: docs/windows.md"),
        (["--profile", "sever"], "there is no profile 'sever'; did you mean 'server'?"),
        (["--profile", "x"], "known are desktop, development, networking, server, teaching"),
        (["--user", "a b"], "--user: 'a b' is not a name"),
        (["--user", "root"], "--user: root is there already"),
        (["a/b"], "NAME: 'a/b' is not a machine's name"),
        (["old"], "old.ini is there already; give another name, or --force"),
    ],
)
def test_a_wrong_option_is_an_error_and_nothing_is_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.ini").write_text("mine\n")
    assert main.run(["init", *words, "--yes"]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["old.ini"] and Path("old.ini").read_text() == "mine\n"


def test_force_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lab.ini").write_text("mine\n")
    assert main.run(["init", "--yes", "--force"]) == 0
    assert load(Path("lab.ini")).name == "lab"


def test_without_a_terminal_it_says_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["init"]) == 2
    assert "this is no terminal; add --yes" in capsys.readouterr().err


def test_questions_have_defaults_and_wrong_answers_are_asked_again(tmp_path: Path) -> None:
    words = (sys.executable, "-m", "vmgen_build", "init")
    with at_terminal(words, {"PYTHONPATH": str(Path(main.__file__).parents[2])}) as user:
        answers = (
            ("[lab]: ", "desk"),
            ("[debian-12]: ", "debain-12"),
            ("[debian-12]: ", ""),
            ("[none]: ", "sever"),
            ("[none]: ", "teaching"),
            ("[student]: ", ""),
            ("ssh [Y/n]: ", ""),
            ("(Enter makes one): ", "correct-horse"),
            ("once more: ", "correct-cart"),
            ("(Enter makes one): ", ""),
        )
        shown = ""
        for question, answer in answers:
            shown += user.read_until(question)
            user.type(answer)
        shown += user.read_until("into output/")
        assert user.process.wait() == 0
    assert "correct-horse" not in shown
    for hint in ("did you mean 'debian-12'", "did you mean 'server'?", "these were two"):
        assert hint in shown
    recipe = load(Path("desk.ini"), strict=True)
    assert (recipe.hardware.os.name, recipe.config.profiles) == ("debian-12", ("teaching",))


def test_a_recipe_of_each_system_with_each_profile_is_right() -> None:
    names = profile_names()
    assert names == ("desktop", "development", "networking", "server", "teaching")
    systems = [name for name in known_systems() if not name.startswith("win")][::6]
    assert len(systems) >= 8
    for number, system in enumerate(systems):
        profile = shipped_profile(names[number % len(names)])
        Path("r.ini").write_text(recipe_text(Answers("r", system, (profile,), "ana", HASH, True)))
        load(Path("r.ini"))
        check_system(system)


@pytest.mark.parametrize("system", ["debian-12", "debian-13", "fedora-42", "opensuse-15.6", "arch"])
def test_all_profiles_together_lack_nothing(system: str) -> None:
    profiles = tuple(map(shipped_profile, profile_names()))
    Path("r.ini").write_text(recipe_text(Answers("r", system, profiles, "ana", HASH, True)))
    assert [str(problem) for problem in load(Path("r.ini")).warnings if problem.code != "not-built"] == []


def test_profiles_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["profiles"]) == 0
    listed = capsys.readouterr().out
    assert "networking   Looking at networks" in listed and "  [services] sshd httpd chrony" in listed
    assert main.run(["profiles", "server"]) == 0
    assert capsys.readouterr().out == shipped_profile("server").text
    assert main.run(["profiles", "--json", "desktop"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["profile"] == "desktop" and "xfce" in found["programs"]["gui"]
    assert main.run(["profiles", "desktpo"]) == 2
    assert "did you mean 'desktop'?" in capsys.readouterr().err
