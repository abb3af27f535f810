"""Who can log in: nobody, or anybody who guesses a little."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.checks.programs import asks_for
from vmgen_build.recipe.problems import Problems, place
from vmgen_build.secret import Secret

SHORTEST = 8
"""Characters of a password that a login over the network stands on (NIST SP 800-63B, 5.1.1.1)."""

COMMON = frozenset(
    {
        *("password", "passw0rd", "p@ssw0rd", "p@ssword", "password1", "password123", "changeme", "change-me"),
        *("letmein1", "welcome1", "qwerty123", "qwertyuiop", "iloveyou", "sunshine", "princess", "football"),
        *("baseball", "superman", "trustno1", "whatever", "administrator", "administrator1", "adminadmin"),
        *("rootroot", "testtest", "vagrant123", "student1", "student123", "teacher1", "teacher123", "12345678"),
        *("123456789", "1234567890", "87654321", "11223344", "1q2w3e4r", "abcd1234", "abc12345"),
    }
)
"""Of at least that length, and among the first that anybody tries."""


def check(draft: Draft, problems: Problems) -> None:
    if not _has_login(draft):
        text = (
            "nobody can log in: no user has a password or a key, and root has no password; add a user to [[users]], or"
            " write root_passwd in [config]"
        )
        problems.warn(draft.users.where, "[users]", text, "no-login")
    if asks_for("sshd", draft) is None:
        return
    for where, path, login, password in _passwords(draft):
        if why := _weak(password.reveal(), login):
            text = f"the password {why}, and sshd lets everybody try; give a longer one, or ssh_keys in its place"
            problems.warn(where, path, text, "weak-password")


def _has_login(draft: Draft) -> bool:
    """Whether somebody can log in, or may: by an account of the base's own, or one that scripts or packages make."""
    config, users = draft.config, draft.users.users.values()
    of_others = draft.hardware.base is not None or "base" in draft.hardware.faulty or config.faulty
    if of_others or config.scripts or config.files or config.packages or draft.system is None:
        return True
    if draft.system.family.dialect != "sh" or config.root_passwd or config.root_passwd_hash:
        return True
    return any(user.passwd or user.passwd_hash or user.ssh_keys or user.faulty for user in users)


def _passwords(draft: Draft) -> Iterator[tuple[Position, str, str, Secret]]:
    """Place, option, login and password of each account that has one in the recipe."""
    for user in draft.users.users.values():
        if user.passwd is not None:
            yield user.at("passwd"), place(("users", "users", user.name), "passwd"), user.login, user.passwd
    config = draft.config
    if config.root_passwd is not None:
        yield config.at("root_passwd"), "[config] root_passwd", "root", config.root_passwd


def _weak(password: str, login: str) -> str:
    """Why a password is easily guessed; "" where it is not. The text does not hold it."""
    folded = password.casefold()
    if login and folded.strip("0123456789!.") == login.casefold():
        return "is little more than the user's name"
    if len(password) < SHORTEST:
        return f"has less than {SHORTEST} characters"
    if folded in COMMON:
        return "is one of the most common ones"
    if len(set(folded)) < 4:
        return "is made of very few different characters"
    return ""
