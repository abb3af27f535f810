"""The users step: what it is handed, what its script says, and what its probes must not hold."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from passlib.hash import sha512_crypt

from vmgen_build.errors import RecipeError
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Part, Plan, Probe, Step
from vmgen_build.plan.planner import make_plan
from vmgen_build.plan.steps import users
from vmgen_build.recipe.load import load
from vmgen_build.secret import Secret

Planner = Callable[..., Plan]

HASH = "$6$saltsaltsaltsalt$" + "x" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL1CF1wCAZTSZZGCdYyHaZyCUBqrLsS4dLFhreffAiAM ana $(id)"
USERS = f"""
[users]
    [[groups]]
        [[[g0]]]
            name = julius
        [[[g1]]]
            name = vmg
            gid = 1500
    [[users]]
        [[[u0]]]
            name = caesar
            passwd = "al, es#ia $(id)"
            group = julius
            groups = vmg
            home_dir = /srv/caesar
            full_name = '''Gaius "J" $(touch /x) 'C' é `id`'''
            sudo = yes
        [[[u1]]]
            name = ana
            uid = 1000
            passwd_hash = {HASH}
            sudo = nopasswd
            ssh_keys = "{KEY}"
        [[[u2]]]
            name = zoe
            shell = /usr/bin/zsh
[config]
    root_passwd = student
"""


def users_step(plan: Plan) -> Step:
    return next(s for s in plan.steps if s.name == "users")


def probe(step: Step, name: str) -> Probe:
    return next(p for p in step.probes if p.name == name)


def passwords(step: Step) -> dict[str, str]:
    return dict(line.split(":", 1) for line in step.secrets["passwords"].reveal().splitlines())


def test_nothing_asked_for_is_no_step(planned: Planner) -> None:
    assert not [s for s in planned().steps if s.name == "users"]


def test_passwords_are_hashed_on_this_side(planned: Planner) -> None:
    found = passwords(users_step(planned(USERS)))
    assert sorted(found) == ["ana", "caesar", "root"]
    assert found["ana"] == HASH
    assert sha512_crypt.verify("al, es#ia $(id)", found["caesar"])
    assert sha512_crypt.verify("student", found["root"])


SALT = "G/WikRtn6sTBltzE"
CRYPT = {
    "student": "YKVke2b58QQfrr1dhMJnS3LBK9ZZ3AmG28fRu2xAa8bYeWiNIRz0ka9n.QvK3Y.JnFgVxz41X.OWs8LLwiE/8.",
    "pârolă 🎃": "2XS5H8Z0aRQ4lVXHIPv6DBe8CAMuUEjbSeYTy9oRxH98CuJj.7x8nuRKLPXY7I1bopy9/ilqPAmAqGkK75URq1",
    "x" * 511: "jAml6fLXQbltD/TE2HUdgLFqeK10TlaO9jcIoM4KxKFBB1H3zBBolTlOiH.Q5yZnVX2ggBeFMl7H0vkZIoieW/",
}
"""What crypt(3) of libxcrypt 4.4.33 (Debian 12) makes of these passwords, by that salt."""


@pytest.mark.parametrize("password", CRYPT)
def test_a_hash_is_the_one_that_crypt_of_libc_makes(
    planned: Planner, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "salt_of", lambda *_: SALT)
    step = users_step(planned(f"[config]\nroot_passwd = {password}\n"))
    assert passwords(step)["root"] == f"$6${SALT}${CRYPT[password]}"


@pytest.mark.parametrize("password", ["with\0NUL", "x" * 512, "ă" * 256])
def test_what_no_login_takes_is_refused_at_its_line(tmp_path: Path, password: str) -> None:
    path = tmp_path / "lab.ini"
    path.write_text("[hardware]\nvm_id = lab\nos = debian-12-amd64\n[config]\nroot_passwd = x\n")
    recipe = load(path)
    recipe = replace(recipe, config=replace(recipe.config, root_passwd=Secret(password)))
    with pytest.raises(RecipeError, match=r"lab.ini:5: .*cannot be hashed; use at most 511 bytes of text without NUL"):
        make_plan(recipe, "lxc", Part(), Facts("release", 1700000000), None)


def test_the_same_recipe_gives_the_same_hashes_and_no_two_users_share_a_salt(planned: Planner) -> None:
    text = USERS.replace("passwd_hash = " + HASH, 'passwd = "al, es#ia $(id)"')
    first, second = (passwords(users_step(planned(text))) for _ in range(2))
    assert first == second
    assert first["ana"] != first["caesar"]
    other = passwords(users_step(planned(text, sets=("hardware.vm_id=other",))))
    assert other["caesar"] != first["caesar"]


def test_no_secret_and_no_hash_in_what_the_manifest_holds(planned: Planner) -> None:
    plan = planned(USERS)
    shown = plan.to_json()
    for secret in ("al, es#ia", "student", HASH, *passwords(users_step(plan)).values()):
        assert secret not in shown


def test_another_password_is_another_step(planned: Planner) -> None:
    one, other = planned(USERS), planned(USERS.replace("= student", "= teacher"))
    assert users_step(one).script == users_step(other).script
    assert users_step(one).id != users_step(other).id


def test_fixed_ids_go_first(planned: Planner) -> None:
    lines = users_step(planned(USERS)).script.splitlines()
    order = [line.split()[1] for line in lines if line.startswith(("group ", "user ")) and "(" not in line.split()[1]]
    assert order == ["vmg", "julius", "ana", "caesar", "zoe"]


def test_keys_and_sudo_rules_travel_as_files(planned: Planner) -> None:
    files = {f.name: f for f in users_step(planned(USERS)).files}
    assert files["keys-ana"].content == f"{KEY}\n".encode()
    assert files["sudoers"].content == b"ana ALL=(ALL:ALL) NOPASSWD: ALL\ncaesar ALL=(ALL:ALL) ALL\n"
    assert files["sudoers"].mode == 0o440


def test_sudo_and_shells_are_installed(planned: Planner) -> None:
    plan = planned(USERS)
    script = next(s for s in plan.steps if s.name == "packages-config").script
    assert {"sudo", "zsh"} <= set(script.split())


def test_root_alone_makes_a_step_and_users_without_a_password_are_probed_as_locked(planned: Planner) -> None:
    step = users_step(planned("[config]\nroot_passwd = student\n"))
    assert list(passwords(step)) == ["root"]
    assert probe(users_step(planned(USERS)), "password-zoe").expected == "locked"
    without = USERS.replace("root_passwd = student", "")
    assert probe(users_step(planned(without)), "password-root").expected == "locked"


def test_a_user_named_root_wins_over_root_passwd(planned: Planner) -> None:
    text = "[users]\n[[users]]\n[[[r]]]\nname = root\npasswd = own\n[config]\nroot_passwd = student\n"
    found = passwords(users_step(planned(text)))["root"]
    assert sha512_crypt.verify("own", found)


@pytest.mark.parametrize("shell", ["sh", "dash"])
def test_hostile_values_reach_the_guests_commands_as_data(planned: Planner, tmp_path: Path, shell: str) -> None:
    """The script's own calls run; the functions behind them are replaced by ones that print their arguments."""
    script = users_step(planned(USERS)).script
    calls = [line for line in script.splitlines() if line.startswith("user ") and "()" not in line]
    show = "user() { for word in \"$@\"; do printf '%s\\0' \"$word\"; done; printf '\\n'; }\n"
    ran = subprocess.run(
        [shell, "-c", show + "\n".join(calls)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    caesar = next(line for line in ran.stdout.splitlines() if line.startswith("caesar\0"))
    assert caesar.split("\0")[:-1] == [
        "caesar", "", "julius", "vmg", "/srv/caesar", "/bin/bash", "Gaius \"J\" $(touch /x) 'C' é `id`",
    ]  # fmt: skip


def test_scripts_and_probes_are_clean_shell(planned: Planner, tmp_path: Path) -> None:
    step = users_step(planned(USERS))
    for index, script in enumerate((step.script, *(p.script for p in step.probes))):
        path = tmp_path / f"{index}.sh"
        path.write_text(script)
        subprocess.run(["dash", "-n", path], check=True)
        subprocess.run(["shellcheck", path], check=True)
