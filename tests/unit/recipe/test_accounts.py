"""Groups and shells: what a system's family has of its own, what programs bring, and what nothing brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.recipe.load import load

USER = "[users]\n[[users]]\n[[[ana]]]\nname = ana\n"


def problems(folder: Path, os: str, text: str) -> list[str]:
    """Errors, else warnings, without their lines; those that such a recipe always has are left out."""
    path = folder / "r.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = {os}\n{text}", encoding="utf-8")
    try:
        found = load(path).warnings
    except RecipeError as error:
        found = tuple(error.problems)
    return [f"{problem.path}: {problem.text}" for problem in found if problem.code not in ("not-built", "no-login")]


@pytest.mark.parametrize(
    ("os", "group"),
    [
        ("debian-12", "sudo"),
        ("debian-12", "www-data"),
        ("fedora-42", "wheel"),
        ("opensuse-15.6", "trusted"),
        ("arch", "wheel"),
        ("win11", "administrators"),
    ],
)
def test_groups_of_the_family_are_there(tmp_path: Path, os: str, group: str) -> None:
    assert problems(tmp_path, os, f"{USER}groups = {group}\n") == []


@pytest.mark.parametrize(
    ("os", "group"),
    [("debian-12", "wheel"), ("fedora-42", "sudo"), ("fedora-42", "www-data"), ("arch", "sudo"), ("win11", "wheel")],
)
def test_groups_of_another_family_are_not(tmp_path: Path, os: str, group: str) -> None:
    (problem,) = problems(tmp_path, os, f"{USER}groups = {group}\n")
    assert problem.startswith(f"[users.users.ana] groups: there is no group '{group}'; add it to [[groups]]")
    made = f"{USER}groups = {group}\n[[groups]]\n[[[g]]]\nname = {group}\n"
    assert problems(tmp_path, os, made) == []


@pytest.mark.parametrize("os", ["debian-12", "fedora-42", "opensuse-15.6", "arch"])
def test_a_group_comes_with_its_program(tmp_path: Path, os: str) -> None:
    text = f"{USER}groups = docker\n"
    (problem,) = problems(tmp_path, os, text)
    assert problem.endswith("group 'docker' comes with docker; add that program, or the group to [[groups]]")
    assert problems(tmp_path, os, f"{text}[services]\ndocker = 1\n") == []


def test_while_the_system_is_not_known_groups_of_any_family_pass(tmp_path: Path) -> None:
    found = problems(tmp_path, "fedroa-42", f"{USER}groups = wheel, sudo, weel\n")
    assert [text for text in found if "group" in text] == [
        "[users.users.ana] groups: there is no group 'weel'; add it to [[groups]]; did you mean 'wheel'?"
    ]


@pytest.mark.parametrize("shell", ["/bin/bash", "/usr/bin/zsh", "/usr/sbin/nologin", "/usr/bin/git-shell"])
def test_shells_of_the_family_are_there(tmp_path: Path, shell: str) -> None:
    assert problems(tmp_path, "debian-12", f"{USER}shell = {shell}\n") == []


def test_a_shell_that_nothing_brings_is_a_warning(tmp_path: Path) -> None:
    text = f"{USER}shell = /usr/bin/zhs\n"
    (problem,) = problems(tmp_path, "debian-12", text)
    assert problem == (
        "[users.users.ana] shell: nothing brings the shell '/usr/bin/zhs'; add its package to [config] packages;"
        " did you mean 'zsh'?"
    )


@pytest.mark.parametrize("more", ["packages = xonsh", "[[scripts]]\n[[[s]]]\nrun = make install"])
def test_a_shell_that_the_recipe_may_bring_is_none(tmp_path: Path, more: str) -> None:
    assert problems(tmp_path, "debian-12", f"{USER}shell = /opt/xonsh/bin/xonsh\n[config]\n{more}\n") == []


def test_package_names_are_those_of_the_family(tmp_path: Path) -> None:
    text = "[config]\npackages = gcc-c++, ImageMagick, @development-tools\n"
    assert problems(tmp_path, "fedora-42", text) == []
    assert problems(tmp_path, "debian-12", text) == [
        f"[config] packages: '{name}' is not a Debian package's name; write lower-case letters, digits, + - and dots"
        for name in ("ImageMagick", "@development-tools")
    ]


def test_a_second_gateway_is_a_warning_where_the_family_takes_several(tmp_path: Path) -> None:
    eth = "[[[eth{0}]]]\naddress = 10.{0}.0.2/24\ngateway = 10.{0}.0.1\n"
    text = f"[network]\n[[eths]]\n{eth.format(0)}{eth.format(1)}"
    path = tmp_path / "r.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = win11\n{text}")
    assert "two-gateways" in {problem.code for problem in load(path).warnings}
    (problem,) = problems(tmp_path, "debian-12", text)
    assert "is a second IPv4 default gateway" in problem
