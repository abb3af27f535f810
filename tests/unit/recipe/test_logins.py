"""Warnings about who can log in: nobody, whoever guesses a little, whoever reads the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import Problem
from vmgen_build.host.owners import all_may_read
from vmgen_build.recipe.load import load

ANA = "[users]\n[[users]]\n[[[ana]]]\nname = ana\n"
HASH = "$6$saltsaltsalt$" + "a" * 86
SSHD = "[services]\nsshd = 1\n"
CODES = {"no-login", "weak-password", "clear-password"}


def problems(folder: Path, text: str, system: str = "debian-12") -> list[Problem]:
    path = folder / "r.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = {system}\n{text}")
    return [problem for problem in load(path, environ={"WORD": "hunter2"}).warnings if problem.code in CODES]


def codes(folder: Path, text: str, system: str = "debian-12") -> list[str]:
    return [problem.code for problem in problems(folder, text, system)]


@pytest.mark.parametrize(
    "text",
    ["", ANA, f"{ANA}sudo = yes\n", "[users]\n[[groups]]\n[[[staff]]]\nname = staff\n", "[config]\nlocale = C\n"],
)
def test_nobody_can_log_in(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.code, problem.path) == ("no-login", "[users]")
    assert "add a user to [[users]]" in problem.text


@pytest.mark.parametrize(
    "text",
    [
        f"{ANA}passwd = correct-horse\n",
        f"{ANA}passwd_hash = {HASH}\n",
        "[config]\nroot_passwd = correct-horse\n",
        f"[config]\nroot_passwd_hash = {HASH}\n",
        "[config]\npackages = cloud-init\n",
        "[config]\n[[scripts]]\n[[[users]]]\nrun = useradd ana\n",
    ],
)
def test_somebody_may(tmp_path: Path, text: str) -> None:
    assert codes(tmp_path, text) == []


def test_accounts_of_a_base_or_of_windows_are_not_looked_at(tmp_path: Path) -> None:
    assert codes(tmp_path, "base = images:debian/12\n") == []
    assert codes(tmp_path, "", "winxp") == []


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("hunter2", "has less than 8 characters"),
        ("env:WORD", "has less than 8 characters"),
        ("ana", "is little more than the user's name"),
        ("Ana2026!!", "is little more than the user's name"),
        ("change-me", "is one of the most common ones"),
        ("aaaaaaaaab", "is made of very few different characters"),
    ],
)
def test_a_weak_password_and_sshd(tmp_path: Path, password: str, why: str) -> None:
    (problem,) = problems(tmp_path, f"{ANA}passwd = {password}\n{SSHD}")
    assert (problem.where.line, problem.path, problem.code) == (8, "[users.users.ana] passwd", "weak-password")
    assert problem.text.startswith(f"the password {why}, and sshd") and "hunter2" not in problem.text


def test_a_weak_password_of_root(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"[config]\nroot_passwd = toor\n{SSHD}")
    assert problem.path == "[config] root_passwd"


@pytest.mark.parametrize(
    "rest", [f"passwd = correct-horse\n{SSHD}", "passwd = hunter2\n", f"passwd_hash = {HASH}\n{SSHD}"]
)
def test_a_password_that_nobody_guesses_or_no_sshd(tmp_path: Path, rest: str) -> None:
    assert codes(tmp_path, f"{ANA}{rest}") == []


@pytest.fixture
def seen_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each folder above let everybody in: those of tests do not."""
    monkeypatch.setattr("vmgen_build.recipe.profiles.all_may_read", lambda path: bool(path.stat().st_mode & 0o004))


@pytest.mark.usefixtures("seen_by_all")
def test_passwords_in_clear_are_one_warning_of_their_file(tmp_path: Path) -> None:
    two = f"{ANA}passwd = correct-horse\n[[[ben]]]\nname = ben\npasswd = correct-cart\n"
    (problem,) = problems(tmp_path, two)
    assert (problem.where.line, problem.code) == (8, "clear-password") and "chmod o= the file" in problem.text
    assert codes(tmp_path, f"{ANA}passwd = env:WORD\n") == []
    (tmp_path / "r.ini").chmod(0o640)
    assert codes(tmp_path, two) == []


def test_who_may_read_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.ini"
    path.touch(0o644)
    assert not all_may_read(path), "the folders of tests are the caller's own"
    assert all_may_read(Path("/etc/passwd")) and not all_may_read(Path("/etc/shadow"))
    assert not all_may_read(tmp_path / "none")
