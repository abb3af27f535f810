"""The first recipe of a new user, from a few answers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import Problem, UsageError
from vmgen_build.host.files import write_whole
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.load import load
from vmgen_build.recipe.shipped import Profile
from vmgen_build.recipe.types.base import Context, Type
from vmgen_build.recipe.types.unix import machine_id, unix_name
from vmgen_build.secret import Secret
from vmgen_build.systems.model import System
from vmgen_build.systems.parse import parse_system

SYLLABLES = tuple(f"{first}{second}" for first in "bdfgklmnprstvz" for second in "aeiou")
"""70: what passwords are made of that a person types."""


@dataclass(frozen=True, slots=True)
class Answers:
    """name: of the machine and the file. system: as the recipe names it. hash: crypt(5) of the user's password.
    ssh: whether people log in over the network."""

    name: str
    system: str
    profiles: tuple[Profile, ...]
    user: str
    hash: Secret
    ssh: bool


def check_name(text: str) -> str:
    """A machine's name. Raises UsageError."""
    return _checked(machine_id, text, "NAME")


def check_user(text: str) -> str:
    """A login name. Raises UsageError."""
    if text == "root":
        raise UsageError("--user: root is there already; name a user who may become root, such as student")
    return _checked(unix_name, text, "--user")


def _checked(type_: Type[str], text: str, what: str) -> str:
    try:
        return type_.read(Value("", text, (text,), "", 0), Context())
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from error


def check_system(text: str) -> System:
    """A system that a recipe can begin with, without a machine of the user's own. Raises UsageError."""
    try:
        system = parse_system(text)
    except ValueError as error:
        raise UsageError(f"--os: {error}") from error
    if system.needs is not None:
        raise UsageError(f"--os: {system.name} is made from a medium of your own: docs/windows.md has a recipe for it")
    return system


def new_password() -> Secret:
    """Five groups of two syllables: 61 bits."""
    return Secret("-".join("".join(secrets.choice(SYLLABLES) for _ in range(2)) for _ in range(5)))


def hashed(password: Secret) -> Secret:
    """crypt(5), SHA-512, with a random salt and the 5000 rounds that any system's own tools take."""
    from passlib.hash import sha512_crypt

    return Secret(str(sha512_crypt.using(rounds=5000).hash(password.reveal())))


def recipe_text(answers: Answers) -> str:
    """The recipe, commented, which `check` passes."""
    return "\n".join((*_head(answers), *_network(answers), *_users(answers), *_rest(answers), ""))


def _head(answers: Answers) -> list[str]:
    name = answers.name
    return [
        f"# {name}: made by `vmgen-build init`.",
        "#",
        f"#   vmgen-build check {name}.ini            its mistakes, each at its line",
        f"#   vmgen-build {name}.ini                  builds it into output/; as root",
        "#",
        "# `vmgen-build options` explains every option, `vmgen-build programs` lists every program.",
        "",
        "[hardware]",
        f"    vm_id = {name}",
        f"    os = {answers.system}",
        "    num_cpu = 2",
        "    ram = 1024                  # MB; 1G would do as well",
        "",
    ]


def _network(answers: Answers) -> list[str]:
    lines = [
        "[network]",
        "    [[eths]]",
        "        [[[eth0]]]",
        "            type = dhcp         # or address = 192.168.1.2/24 and gateway = 192.168.1.1",
    ]
    if answers.ssh:
        lines += [
            "    [[open_ports]]              # all other ports are closed",
            "        [[[ssh]]]",
            "            port = 22",
        ]
    return [*lines, ""]


def _users(answers: Answers) -> list[str]:
    return [
        "[users]",
        "    [[users]]",
        f"        [[[{answers.user}]]]",
        f"            name = {answers.user}",
        "            # Of the password; `openssl passwd -6` makes another. Or write passwd = env:NAME_OF_A_VARIABLE.",
        f"            passwd_hash = {answers.hash.reveal()}",
        "            sudo = yes          # may become root with the password",
        "",
    ]


def _rest(answers: Answers) -> list[str]:
    lines = ["[config]", f"    hostname = {answers.name}", "    timezone = UTC              # such as Europe/Bucharest"]
    if answers.profiles:
        names = ", ".join(profile.name for profile in answers.profiles)
        lines.append(f"    profiles = {names}      # `vmgen-build profiles NAME` shows what one brings")
    lines += ["", "[devel]", "    vim = 1                     # 1 asks for a program, 0 leaves out one of a profile"]
    if answers.ssh:
        lines += ["", "[services]", "    sshd = 1"]
    return lines


def write(path: Path, answers: Answers) -> tuple[Problem, ...]:
    """Write the recipe, once it was checked; what is odd with it. Raises RecipeError and HostError."""
    text = recipe_text(answers)
    warnings = load(path, text=text).warnings
    write_whole(path, text)
    return warnings
