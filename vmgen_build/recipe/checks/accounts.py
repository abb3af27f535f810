"""Users, groups and shells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, did_you_mean, place, shown
from vmgen_build.recipe.sections.users import Group, User
from vmgen_build.systems import Family, families


@dataclass(frozen=True)
class _Known:
    """What a user may have without the recipe's making it.

    groups: of the family, and those that the recipe makes. program_groups: group -> the programs or packages that bring
    it. wished: programs and packages that the recipe asks for.
    """

    groups: frozenset[str]
    program_groups: Mapping[str, tuple[str, ...]]
    wished: frozenset[str]

    @classmethod
    def of(cls, draft: Draft) -> _Known:
        """While the system is not known, what any family has passes."""
        all_families = (draft.system.family,) if draft.system else families()
        return cls(
            groups=_made(draft).union(*(_standing(family) for family in all_families)),
            program_groups={g: brings for family in all_families for g, brings in family.program_groups.items()},
            wished=frozenset({wish.name for wish in draft.wishes}.union(draft.config.packages)),
        )

    def has(self, group: str) -> bool:
        return group in self.groups or not self.wished.isdisjoint(self.program_groups.get(group, ()))


def check(draft: Draft, problems: Problems) -> None:
    users, groups = draft.users.users, draft.users.groups
    for kind, entries, number in (("groups", groups, "gid"), ("users", users, "uid")):
        unique(_places(kind, entries, "login", "name"), kind[:-1], problems)
        unique(_places(kind, entries, number, number), number, problems)
    known = _Known.of(draft)
    for user in users.values():
        _groups(user, known, problems)
        _shell(draft, user, known, problems)
        if user.passwd is not None and user.passwd_hash is not None:
            path = place(("users", "users", user.name), "passwd_hash")
            problems.error(user.at("passwd_hash"), path, "stands beside passwd; keep one of them", "both")
    config = draft.config
    if config.root_passwd is not None and config.root_passwd_hash is not None:
        where = config.at("root_passwd_hash")
        problems.error(where, "[config] root_passwd_hash", "stands beside root_passwd; keep one of them", "both")


def _places(
    kind: str, entries: dict[str, Group] | dict[str, User], field: str, key: str
) -> Iterator[tuple[object, Position, str]]:
    for entry in entries.values():
        yield getattr(entry, field), entry.at(key), place(("users", kind, entry.name), key)


def _made(draft: Draft) -> frozenset[str]:
    """Groups that the recipe makes: its own, and one of the name of each user without a primary one."""
    users, groups = draft.users.users.values(), draft.users.groups.values()
    own = {group.login for group in groups if "login" not in group.faulty}
    return frozenset(own | {user.login for user in users if user.group is None and "login" not in user.faulty})


def _standing(family: Family) -> frozenset[str]:
    return family.groups | {family.admin_group} - {""}


def _groups(user: User, known: _Known, problems: Problems) -> None:
    wanted = [("group", user.group)] if user.group else []
    wanted += [("groups", name) for name in user.groups]
    for key, name in wanted:
        if not known.has(name):
            path = place(("users", "users", user.name), key)
            problems.error(user.at(key, name), path, _unknown(name, known), "unknown-group")


def _unknown(name: str, known: _Known) -> str:
    if programs := known.program_groups.get(name):
        return f"group {shown(name)} comes with {programs[0]}; add that program, or the group to [[groups]]"
    near = did_you_mean(name, known.groups)
    return f"there is no group {shown(name)}; add it to [[groups]]{near}"


def _shell(draft: Draft, user: User, known: _Known, problems: Problems) -> None:
    """A shell that nothing brings; where the recipe has packages, files or scripts of its own, one of them may."""
    family = draft.system.family if draft.system else None
    if family is None or not family.base_shells or "shell" in user.faulty:
        return
    name, config = PurePosixPath(user.shell).name, draft.config
    if name in family.base_shells or name in family.shells or name in known.wished:
        return
    if config.packages or config.files or config.scripts:
        return
    near = did_you_mean(name, {*family.base_shells, *family.shells})
    text = f"nothing brings the shell {shown(user.shell)}; add its package to [config] packages{near}"
    problems.warn(user.at("shell"), place(("users", "users", user.name), "shell"), text, "unknown-shell")
