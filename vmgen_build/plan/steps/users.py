"""Groups, users and their passwords, keys and rights."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from vmgen_build.errors import Position, Problem, RecipeError
from vmgen_build.plan.context import PlanContext
from vmgen_build.plan.model import Probe, Step, StepFile
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.sections.users import User
from vmgen_build.recipe.types.secrets import LONGEST_PASSWORD
from vmgen_build.secret import Secret

ORDER = 310

ROUNDS = 5000
"""crypt(5): what SHA-512 takes where the hash names no rounds."""

SCRYPT_COST = 2**13
"""scrypt's N: with r = 8, 8 MB of memory and about 16 ms for each password."""

SCHEMES = re.compile(r"\$[a-z0-9]+\$")
"""What a crypt(5) hash begins with."""

SUDOERS = {"yes": "ALL=(ALL:ALL) ALL", "nopasswd": "ALL=(ALL:ALL) NOPASSWD: ALL"}


@dataclass(frozen=True)
class _Account:
    """A user as the templates take it: every value as text, "" where the guest chooses; groups comma-separated."""

    login: str
    uid: str
    group: str
    groups: str
    home: str
    shell: str
    full_name: str

    @classmethod
    def of(cls, user: User) -> _Account:
        return cls(
            user.login,
            _text(user.uid),
            user.group or "",
            ",".join(g for g in user.groups if g != user.group),
            user.home_dir or "",
            user.shell,
            user.full_name or "",
        )


def needs(ctx: PlanContext) -> Iterator[str]:
    users = ctx.recipe.users.users.values()
    if any(u.sudo in SUDOERS for u in users):
        yield "sudo"
    for user in users:
        if package := ctx.family.shells.get(PurePosixPath(user.shell).name):
            yield package


def steps(ctx: PlanContext) -> Iterator[Step]:
    """One step. Fixed ids go first, lest the guest hands them to someone else."""
    groups = sorted(ctx.recipe.users.groups.values(), key=lambda g: g.gid is None)
    users = sorted(ctx.recipe.users.users.values(), key=lambda u: u.uid is None)
    hashes = _hashes(ctx.recipe)
    if not (groups or users or hashes):
        return
    keys = {u.login: StepFile.of(f"keys-{u.login}", _lines(u.ssh_keys), 0o600) for u in users if u.ssh_keys}
    sudoers = _lines(line for u in users for line in _sudoers(u, ctx.family.sudo_defaults))
    yield Step(
        name="users",
        title="users and groups",
        script=ctx.renderer.sh(
            "linux/users.sh.j2",
            groups=[(g.login, _text(g.gid)) for g in groups],
            users=[_Account.of(u) for u in users],
            passwords=bool(hashes),
            keys=[(login, file.name) for login, file in keys.items()],
            sudoers=bool(sudoers),
        ),
        files=(*keys.values(), *([StepFile.of("sudoers", sudoers, 0o440)] if sudoers else [])),
        secrets={"passwords": Secret(_lines(f"{k}:{v.reveal()}" for k, v in hashes.items()))} if hashes else {},
        probes=tuple(_probes(ctx, hashes, keys)),
        private_probes=tuple(_hash_probe(ctx, login, crypted) for login, crypted in hashes.items()),
    )


def _sudoers(user: User, defaults: str) -> Iterator[str]:
    """sudoers(5). defaults: as in Family.sudo_defaults."""
    if defaults and user.sudo == "yes":
        yield f"Defaults:{user.login} {defaults}"
    if user.sudo in SUDOERS:
        yield f"{user.login} {SUDOERS[user.sudo]}"


def _hashes(recipe: Recipe) -> dict[str, Secret]:
    """Login -> crypt(5) string. What stands under a user named root wins over root_passwd."""
    config = recipe.config
    wanted = [("root", config.at("root_passwd"), "[config] root_passwd", config.root_passwd, config.root_passwd_hash)]
    for user in recipe.users.users.values():
        option = f"[users] {user.login}: passwd"
        wanted.append((user.login, user.at("passwd"), option, user.passwd, user.passwd_hash))
    found: dict[str, Secret] = {}
    for login, place, option, clear, given in wanted:
        if given is not None:
            found[login] = given
        elif clear is not None:
            found[login] = _crypted(clear, f"{recipe.name}\0{login}", place, option)
    return found


def salt_of(password: str, account: str) -> str:
    """16 characters of crypt(5), by scrypt (RFC 7914) from the password itself. account: the machine and the login.

    The same password of the same account has the same salt on every host. A salt of public names alone would let a
    table of hashes be made beforehand; a quick digest of the password would be cheaper to guess at than the hash.
    """
    raw = hashlib.scrypt(password.encode(), salt=account.encode(), n=SCRYPT_COST, r=8, p=1, dklen=12)
    return base64.b64encode(raw, b"./").decode()


def _crypted(clear: Secret, account: str, place: Position, option: str) -> Secret:
    """Raises RecipeError for what crypt(3) does not take."""
    from passlib.hash import sha512_crypt

    text = clear.reveal()
    if "\0" in text or len(text.encode()) > LONGEST_PASSWORD:
        reason = f"this password cannot be hashed; use at most {LONGEST_PASSWORD} bytes of text without NUL"
        raise RecipeError([Problem(place, option, reason, code="value")])
    sha512_crypt.set_backend("builtin")
    return Secret(sha512_crypt.using(salt=salt_of(text, account), rounds=ROUNDS).hash(text))


def _probes(ctx: PlanContext, hashes: Mapping[str, Secret], keys: Mapping[str, StepFile]) -> Iterator[Probe]:
    for group in ctx.recipe.users.groups.values():
        gid = _text(group.gid)
        script = ctx.renderer.sh("linux/probes/group.sh.j2", name=group.login, gid=gid)
        expected = f"gid {gid}" if gid else "present"
        yield Probe(f"group-{group.login}", f"[users] group {group.login}", script, expected)
    for user in ctx.recipe.users.users.values():
        yield from _user_probes(ctx, user, keys.get(user.login))
    for login in dict.fromkeys(("root", *(u.login for u in ctx.recipe.users.users.values()))):
        yield _password_probe(ctx, login, hashes.get(login))


def _user_probes(ctx: PlanContext, user: User, keys: StepFile | None) -> Iterator[Probe]:
    sh, login, setting = ctx.renderer.sh, user.login, f"[users] {user.login}"
    account = _Account.of(user)
    known = [f"uid {account.uid}" if account.uid else "", account.full_name, account.home, account.shell]
    yield Probe(f"user-{login}", setting, sh("linux/probes/account.sh.j2", u=account), ", ".join(filter(None, known)))
    if groups := tuple(filter(None, (user.group, *user.groups))):
        script = sh("linux/probes/membership.sh.j2", login=login, primary=user.group or "", groups=groups)
        yield Probe(f"user-{login}-groups", f"{setting}: groups", script, " ".join(dict.fromkeys(groups)))
    if user.sudo in SUDOERS:
        script = sh("linux/probes/sudo.sh.j2", login=login, nopasswd=user.sudo == "nopasswd")
        yield Probe(f"user-{login}-sudo", f"{setting}: sudo", script, user.sudo)
    if keys:
        script = sh("linux/probes/ssh_keys.sh.j2", login=login, digest=keys.sha256)
        yield Probe(f"user-{login}-keys", f"{setting}: ssh_keys", script, f"600 {login}")


def _password_probe(ctx: PlanContext, login: str, crypted: Secret | None) -> Probe:
    """Whether it is set, of this scheme, and not locked. Nothing of the hash: a manifest is public."""
    scheme = SCHEMES.match(crypted.reveal()) if crypted else None
    return _probe_of(ctx, login, scheme=scheme[0] if scheme else "", expected="set" if crypted else "locked")


def _hash_probe(ctx: PlanContext, login: str, crypted: Secret) -> Probe:
    """Whether it is this very hash."""
    return _probe_of(ctx, login, digest=hashlib.sha256(crypted.reveal().encode()).hexdigest(), expected="as given")


def _probe_of(ctx: PlanContext, login: str, *, expected: str, scheme: str = "", digest: str = "") -> Probe:
    script = ctx.renderer.sh("linux/probes/password.sh.j2", login=login, scheme=scheme, digest=digest)
    setting = "[config] root_passwd" if login == "root" else f"[users] {login}: passwd"
    return Probe(f"password-{login}", setting, script, expected)


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{item}\n" for item in items)


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
