"""[users]: groups and users."""

from __future__ import annotations

# ruff: noqa: RUF009 - option, named and free make dataclass fields
from dataclasses import dataclass

from vmgen_build.recipe import types as t
from vmgen_build.recipe.schema import Section, named, option, recipe_section
from vmgen_build.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Group(Section):
    login: str = option(t.unix_name, key="name", doc="Name of the group.", example="students")
    gid: int | None = option(t.integer(0, 4294967293), default=None, doc="Numeric id; the next free one by default.")


@dataclass(frozen=True, kw_only=True)
class User(Section):
    """`group` is the primary one; without it, the guest makes a group of the user's name."""

    login: str = option(
        t.unix_name, key="name", doc="Login name.", example="ana", also="login, user, user name, username, account"
    )
    passwd: Secret | None = option(
        t.secret,
        default=None,
        doc="Password, or env:NAME or file:PATH. Without one the account is locked for password logins.",
        also="password",
    )
    passwd_hash: Secret | None = option(
        t.crypt_hash, default=None, doc="Password as a crypt(5) hash.", also="password hash"
    )
    group: str | None = option(t.unix_name, default=None, doc="Primary group.")
    groups: tuple[str, ...] = option(t.unix_names, default=(), doc="Further groups.", example="students, sudo")
    home_dir: str | None = option(
        t.account_path, default=None, doc="Home directory; /home/NAME by default.", also="home"
    )
    shell: str = option(t.account_path, default="/bin/bash", doc="Login shell.")
    uid: int | None = option(t.integer(0, 4294967293), default=None, doc="Numeric id; the next free one by default.")
    sudo: str = option(
        t.sudo,
        default="no",
        doc="yes: may become root with the password; nopasswd: without; no.",
        also="root, admin, administrator, wheel",
    )
    ssh_keys: tuple[str, ...] = option(
        t.ssh_keys,
        default=(),
        doc="Public keys (one per line of a multi-line value) or file:PATH.",
        also="ssh key, sshkey, public key, authorized_keys",
    )
    full_name: str | None = option(t.gecos, default=None, doc="Full name.", also="gecos, comment")


@recipe_section("users")
@dataclass(frozen=True, kw_only=True)
class Users(Section):
    groups: dict[str, Group] = named(Group, doc="Groups to make.")
    users: dict[str, User] = named(User, doc="Users to make.")
