"""vmgen-build init: the first recipe, from a few questions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from vmgen_build.cli import common
from vmgen_build.errors import UsageError
from vmgen_build.text import table

if TYPE_CHECKING:
    from vmgen_build.recipe.shipped import Profile
    from vmgen_build.secret import Secret

Answer = TypeVar("Answer")


@click.command("init", context_settings=common.CONTEXT, short_help="Write a first recipe, from a few questions.")
@click.argument("name", required=False)
@click.option("--os", "system", metavar="OS", help="The operating system; debian-12 by default.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAMES",
    help="Profiles to take in, comma-separated; 'vmgen-build profiles' lists them. May be repeated.",
)
@click.option("--user", metavar="NAME", help="The user that is made, who may become root; student by default.")
@click.option("--ssh/--no-ssh", default=None, help="Whether people log in over ssh; they do by default.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: what no option gives is the default.")
@click.option("-f", "--force", is_flag=True, help="Replace a recipe of that name.")
def init_command(name: str | None, yes: bool, force: bool, **values: object) -> None:
    """Write NAME.ini, a commented recipe that is right as it stands: 'lab' where no name is given.

    What no option says is asked for, with a default that Enter takes. The user's password is asked for too; Enter, or
    --yes, makes one, which is shown once: the recipe holds its hash alone.

    \b
      vmgen-build init
      vmgen-build init web --os debian-13 --profile server --user ana --yes
    \f
    values: the options that are named as the fields of _Given are.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError("init asks questions, and this is no terminal; add --yes, and options for what you want")
    questions = _Questions(_Given(**values), asks=not yes)  # type: ignore[arg-type]
    if not yes:
        common.show("A few questions; Enter takes what stands in brackets.", bold=True)
    _write(questions, questions.name(name), force)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What the options say; None, or nothing, where they are silent."""

    system: str | None
    profiles: tuple[str, ...]
    user: str | None
    ssh: bool | None


@dataclass(frozen=True, slots=True)
class _Questions:
    """Each answer by its option, or asked for, or the default. A wrong option raises UsageError; a wrong answer is
    asked for again."""

    given: _Given
    asks: bool

    def name(self, given: str | None) -> str:
        from vmgen_build.recipe.starter import check_name

        return self._one("name of the machine", given and given.removesuffix(".ini"), "lab", check_name)

    def system(self) -> str:
        from vmgen_build.recipe.starter import check_system

        return self._one("system", self.given.system, "debian-12", lambda text: check_system(text).name and text)

    def profiles(self) -> tuple[Profile, ...]:
        from vmgen_build.recipe.shipped import profile_names, shipped_profile

        if self.asks and not self.given.profiles:
            for known in profile_names():
                common.show_wrapped(shipped_profile(known).about, f"  {known:<12} ", " " * 15, dim=True)
        given = ",".join(self.given.profiles) or None
        return self._one("profiles, comma-separated, or none", given, "none", _profiles)

    def user(self) -> str:
        from vmgen_build.recipe.starter import check_user

        return self._one("user", self.given.user, "student", check_user)

    def ssh(self) -> bool:
        if self.given.ssh is not None or not self.asks:
            return self.given.ssh is not False
        return click.confirm("logins over ssh", default=True)

    def password(self, user: str) -> tuple[Secret, bool]:
        """And whether it was made here."""
        from vmgen_build.recipe.starter import new_password
        from vmgen_build.secret import Secret

        prompt = f"password of {user} (Enter makes one)"
        typed = self.asks and click.prompt(prompt, "", hide_input=True, show_default=False, confirmation_prompt=False)
        if not typed:
            return new_password(), True
        if typed != click.prompt("once more", "", hide_input=True, show_default=False):
            common.complain("these were two; type it twice, or Enter for one that is made", fg="yellow")
            return self.password(user)
        return Secret(str(typed)), False

    def _one(self, question: str, given: str | None, default: str, check: Callable[[str], Answer]) -> Answer:
        if given is not None or not self.asks:
            return check(given or default)
        while True:
            try:
                return check(str(click.prompt(question, default)).strip())
            except UsageError as error:
                common.complain(str(error), fg="yellow")


def _profiles(text: str) -> tuple[Profile, ...]:
    from vmgen_build.recipe.shipped import shipped_profile

    names = [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    return tuple(shipped_profile(name) for name in dict.fromkeys(names))


def _write(questions: _Questions, name: str, force: bool) -> None:
    from vmgen_build.recipe import starter

    path = Path(f"{name}.ini")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already; give another name, or --force to replace it")
    system, profiles, user, ssh = questions.system(), questions.profiles(), questions.user(), questions.ssh()
    password, made = questions.password(user)
    answers = starter.Answers(name, system, profiles, user, starter.hashed(password), ssh)
    common.show_problems(starter.write(path, answers))
    common.show(f"{path}: written", bold=True)
    if made:
        common.show(f"  the password of {user}: {password.reveal()}")
        common.show("  keep it: the recipe holds its hash alone")
    common.show("Next:")
    commands = (
        (f"vmgen-build check {path}", "finds its mistakes, after you changed it"),
        (f"vmgen-build {path} --dry-run", "shows what a build would do"),
        (f"vmgen-build {path}", "as root: builds it, into output/"),
    )
    for line in table(commands):
        common.show(f"  {line}")
