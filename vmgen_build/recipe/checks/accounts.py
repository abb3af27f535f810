"""Users and groups."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft, unique
from vmgen_build.recipe.problems import Problems, did_you_mean, place, shown
from vmgen_build.recipe.sections.users import Group, User

_BASE_GROUPS = (
    "root daemon bin sys adm tty disk lp mail news uucp man proxy kmem dialout fax voice cdrom floppy tape sudo audio "
    "dip www-data backup operator list irc src shadow utmp video sasl plugdev staff games users nogroup"
)
_OTHER_GROUPS = "systemd-journal systemd-network crontab input sgx kvm render messagebus netdev"
DEBIAN_GROUPS = frozenset(_BASE_GROUPS.split() + _OTHER_GROUPS.split())
"""Groups that are there without the recipe's doing."""

PROGRAM_GROUPS = {
    "docker": ("docker", "docker.io"),
    "libvirt": ("libvirt", "kvm", "libvirt-daemon-system"),
    "wireshark": ("wireshark", "tshark"),
    "lpadmin": ("cups",),
    "postgres": ("postgresql",),
    "mysql": ("mysql", "mariadb", "mariadb-server"),
    "ssl-cert": ("postgresql", "ssl-cert"),
    "vboxusers": ("virtualbox",),
    "wheel": (),
}
"""Groups that come with a program or package."""


def check(draft: Draft, problems: Problems) -> None:
    users, groups = draft.users.users, draft.users.groups
    for kind, entries, number in (("groups", groups, "gid"), ("users", users, "uid")):
        unique(_places(kind, entries, "login", "name"), kind[:-1], problems)
        unique(_places(kind, entries, number, number), number, problems)
    known = {group.login for group in groups.values() if "login" not in group.faulty}
    known |= {user.login for user in users.values() if user.group is None and "login" not in user.faulty}
    for user in users.values():
        _groups(draft, user, known, problems)
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


def _groups(draft: Draft, user: User, known: set[str], problems: Problems) -> None:
    wished = {wish.name for wish in draft.wishes} | set(draft.config.packages)
    wanted = [("group", user.group)] if user.group else []
    wanted += [("groups", name) for name in user.groups]
    for key, name in wanted:
        if name in known or name in DEBIAN_GROUPS or (wished & set(PROGRAM_GROUPS.get(name, ()))):
            continue
        if draft.system is not None and draft.system.installer != "apt" and name == "wheel":
            continue
        problems.error(user.at(key), place(("users", "users", user.name), key), _unknown(name, known), "unknown-group")


def _unknown(name: str, known: set[str]) -> str:
    if programs := PROGRAM_GROUPS.get(name):
        return f"group {shown(name)} comes with {programs[0]}; add that program, or the group to [[groups]]"
    near = did_you_mean(name, known | DEBIAN_GROUPS)
    return f"there is no group {shown(name)}; add it to [[groups]]{near}"
