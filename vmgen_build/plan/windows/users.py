"""Groups, users and their passwords, the Administrator's too. What Unix alone knows is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmgen_build.plan.batch import WindowsWork, carried, refused, secret_text, step_of
from vmgen_build.plan.context import LeftOut, PlanContext
from vmgen_build.plan.model import Probe, Step
from vmgen_build.plan.windowsprobe import WindowsQuestion, probe_of
from vmgen_build.recipe.sections.users import User
from vmgen_build.secret import Secret

ORDER = 310

LONGEST_LOGIN = 20
"""Characters of a user's name (net user)."""

ADMINISTRATOR = "Administrator"

SIDS = {
    "administrators": "S-1-5-32-544",
    "users": "S-1-5-32-545",
    "guests": "S-1-5-32-546",
    "power users": "S-1-5-32-547",
    "remote desktop users": "S-1-5-32-555",
}
"""Groups that every Windows has, by names that are others in other languages ("Well-known SIDs")."""


@dataclass(frozen=True)
class _WindowsUser:
    """As the templates take it. secret: name of the file with the password, "" for none: nobody can log in then.
    profile: "" for Windows' own choice."""

    login: str
    secret: str
    full_name: str
    profile: str
    groups: tuple[str, ...]


def steps(ctx: PlanContext) -> Iterator[Step | LeftOut]:
    users, config = ctx.recipe.users, ctx.recipe.config
    if config.root_passwd_hash is not None:
        raise refused(config.at("root_passwd_hash"), "[config] root_passwd_hash", _NO_HASH.format("root_passwd"))
    groups = [g.login for g in users.groups.values() if g.login not in ctx.family.groups]
    accounts = [_account(ctx, user) for user in users.users.values()]
    yield from (left for user in users.users.values() for left in _left_out(user))
    secrets = dict(_secrets(ctx))
    if not (groups or accounts or secrets):
        return
    values = {"groups": groups, "users": accounts, "administrator": ADMINISTRATOR if ADMINISTRATOR in secrets else ""}
    probes = tuple(_probes(ctx, groups, accounts))
    work = WindowsWork(name="users", title="users and groups", values=values, secrets=secrets, probes=probes)
    yield step_of(ctx, work)


def _probes(ctx: PlanContext, groups: list[str], accounts: list[_WindowsUser]) -> Iterator[Probe]:
    """Of a password it is asked whether its account is active: who has none cannot log in."""
    for group in groups:
        yield _probe(ctx, f"group-{group}", f"[users] group {group}", ("present",), "group", {"group": group})
    for user in accounts:
        setting, login = f"[users] {user.login}", user.login
        known = (f"Disabled={not user.secret}", *([f"FullName={user.full_name}"] if user.full_name else []))
        yield _probe(ctx, f"user-{login}", setting, known, "account", {"login": login})
        if user.profile:
            values: dict[str, object] = {"login": login, "profile": user.profile}
            yield _probe(ctx, f"user-{login}-home", f"{setting}: home_dir", (user.profile,), "profile", values)
        for group in user.groups:
            values = {"group": group, "sid": SIDS.get(group, "")}
            yield _probe(ctx, f"user-{login}-{group}", f"{setting}: groups", (login,), "member", values)
    if ctx.recipe.config.root_passwd is not None:
        yield _probe(ctx, "user-Administrator", "[config] root_passwd", ("Disabled=False",), "account", {"login": ""})


def _probe(
    ctx: PlanContext, name: str, setting: str, expected: tuple[str, ...], template: str, values: dict[str, object]
) -> Probe:
    question = WindowsQuestion(name=name, setting=setting, expected=expected, template=template, values=values)
    return probe_of(ctx, question)


_NO_HASH = "Windows takes no crypt(5) hash; write {} with the password, as env:NAME or file:PATH"


def _secrets(ctx: PlanContext) -> Iterator[tuple[str, Secret]]:
    """Name of the file -> its text."""
    config = ctx.recipe.config
    if config.root_passwd is not None:
        place = config.at("root_passwd")
        yield ADMINISTRATOR, secret_text(ctx, "users", config.root_passwd, place, "[config] root_passwd")
    for user in ctx.recipe.users.users.values():
        if user.passwd is not None:
            option = f"[users] {user.login}: passwd"
            yield user.login, secret_text(ctx, "users", user.passwd, user.at("passwd"), option)


def _account(ctx: PlanContext, user: User) -> _WindowsUser:
    option = f"[users] {user.login}"
    if user.passwd_hash is not None:
        raise refused(user.at("passwd_hash"), f"{option}: passwd_hash", _NO_HASH.format("passwd"))
    if len(user.login) > LONGEST_LOGIN or user.login.endswith("$"):
        text = f"'{user.login}' is no user of Windows; write up to {LONGEST_LOGIN} letters, digits, - and _"
        raise refused(user.at("login"), f"{option}: name", text)
    name = carried(ctx, "users", user.full_name or "", user.at("full_name"), f"{option}: full_name")
    profile = windows_path(user.home_dir or "")
    profile = carried(ctx, "users", profile, user.at("home_dir"), f"{option}: home_dir")
    return _WindowsUser(
        login=user.login,
        secret=user.login if user.passwd is not None else "",
        full_name=name,
        profile=profile,
        groups=tuple(dict.fromkeys(filter(None, (user.group, *user.groups, _admins(ctx, user))))),
    )


def _admins(ctx: PlanContext, user: User) -> str:
    return ctx.family.admin_group if user.sudo != "no" else ""


def _left_out(user: User) -> Iterator[LeftOut]:
    """What the recipe names of it and Windows has no such thing for."""
    for option in ("uid", "shell", "ssh_keys"):
        if option in user.places:
            yield LeftOut("users", f"{user.login}: {option}", "users of Windows have no such thing here")


def windows_path(path: str) -> str:
    r"""A path of Windows: "/home/ana" is C:\home\ana."""
    if not path:
        return ""
    return ("C:" if path.startswith("/") else "") + path.replace("/", "\\")
