"""Issue 8, item 10: nothing that is public is a cheaper way of guessing at a password than its hash in the image."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.manifest import manifest_of
from vmgen_build.plan.model import Plan, Probe, Step
from vmgen_build.plan.steps.users import salt_of
from vmgen_build.recipe.load import load

Planner = Callable[..., Plan]

HEAD = "[hardware]\nvm_id = lab\nos = debian-12-amd64\n"
ACCOUNTS = "[config]\nroot_passwd = {}\n[users]\n[[users]]\n[[[a]]]\nname = ana\npasswd = {}\n"


def digest(folder: Path, text: str, *sets: str, **environ: str) -> str:
    path = folder / "lab.ini"
    path.write_text(HEAD + text)
    return load(path, sets, environ=environ).digest


def users_step(plan: Plan) -> Step:
    return next(step for step in plan.steps if step.name == "users")


def hashes(plan: Plan) -> dict[str, str]:
    return dict(line.split(":", 1) for line in users_step(plan).secrets["passwords"].reveal().splitlines())


def test_the_recipes_digest_says_nothing_of_a_password(tmp_path: Path) -> None:
    one = digest(tmp_path, ACCOUNTS.format("summer24", "winter"))
    assert one == digest(tmp_path, ACCOUNTS.format("autumn99", "spring"))
    assert one == digest(tmp_path, ACCOUNTS.format("x", "y"), "config.root_passwd=summer24")
    assert one == digest(tmp_path, ACCOUNTS.format("env:SECRET", "y"), SECRET="summer24")
    assert one != digest(tmp_path, ACCOUNTS.format("x", "y") + "shell = /bin/sh\n")


def test_a_comment_and_a_misspelled_password_are_not_in_the_digest(tmp_path: Path) -> None:
    one = digest(tmp_path, "[config]\nroot_paswd = summer24\n# it was winter23\n")
    assert one == digest(tmp_path, "[config]\nroot_paswd = other\n")


def test_a_mirrors_password_is_in_no_digest_and_no_plan(tmp_path: Path, planned: Planner) -> None:
    text = "[config]\nmirror = http://ana:{}@mirror.example/debian\n"
    assert digest(tmp_path, text.format("summer24")) == digest(tmp_path, text.format("other"))
    assert "summer24" not in planned(text.format("summer24")).to_json()


def test_the_salt_comes_from_the_password_by_scrypt(planned: Planner) -> None:
    raw = hashlib.scrypt(b"summer24", salt=b"lab\0root", n=8192, r=8, p=1, dklen=12)
    salt = base64.b64encode(raw, b"./").decode()
    assert salt_of("summer24", "lab\0root") == salt
    crypted = hashes(planned(ACCOUNTS.format("summer24", "summer24")))
    assert crypted["root"].split("$")[2] == salt != crypted["ana"].split("$")[2]
    assert hashes(planned(ACCOUNTS.format("other", "summer24")))["root"].split("$")[2] != salt


def test_manifest_and_plan_hold_no_digest_of_a_hash(planned: Planner) -> None:
    plan = planned(ACCOUNTS.format("summer24", "winter"))
    public = plan.to_json() + json.dumps(manifest_of(plan, [], [], []))
    for crypted in hashes(plan).values():
        for shown in (crypted, hashlib.sha256(crypted.encode()).hexdigest(), crypted.split("$")[2]):
            assert shown not in public
    assert repr(plan).count(hashlib.sha256(hashes(plan)["root"].encode()).hexdigest()) == 0


def test_the_same_manifest_for_every_password_but_for_ids(planned: Planner) -> None:
    def public(plan: Plan) -> list[object]:
        return [plan.recipe_digest, [p.as_dict() for p in plan.all_probes()]]

    assert public(planned(ACCOUNTS.format("a", "b"))) == public(planned(ACCOUNTS.format("c", "d")))


def answer(probe: Probe, field: str, folder: Path) -> tuple[int, str]:
    """What a probe finds where getent gives this field of /etc/shadow."""
    getent = folder / "getent"
    getent.write_text(f"#!/bin/sh\nprintf '%s\\n' '{getent.name}:{field}:19000::::::'\n")
    getent.chmod(0o755)
    ran = subprocess.run(
        ["sh", "-c", probe.script], capture_output=True, text=True, env={"PATH": f"{folder}:{os.environ['PATH']}"}
    )
    return ran.returncode, ran.stdout.strip()


@pytest.mark.parametrize(
    ("field", "public", "private"),
    [
        ("HASH", (0, "set"), (0, "as given")),
        ("$6$othersalt$" + "x" * 86, (0, "set"), (1, "another password")),
        ("$1$salt$" + "x" * 22, (1, "another password"), (1, "another password")),
        ("!HASH", (1, "locked"), (1, "locked")),
        ("*", (1, "locked"), (1, "locked")),
        ("", (1, "no password needed"), (1, "no password needed")),
        ("$6$", (1, "another password"), (1, "another password")),
    ],
)
def test_a_probe_asks_for_the_scheme_and_the_private_one_for_the_hash(
    planned: Planner, tmp_path: Path, field: str, public: tuple[int, str], private: tuple[int, str]
) -> None:
    plan = planned(ACCOUNTS.format("summer24", "winter"))
    field = field.replace("HASH", hashes(plan)["root"])
    named = {p.name: p for p in plan.all_probes()}
    asked = {p.name: p for p in plan.private_probes()}
    assert list(named) == list(asked)
    assert answer(named["password-root"], field, tmp_path) == public
    assert answer(asked["password-root"], field, tmp_path) == private


def test_a_slip_among_the_programs_does_not_count(tmp_path: Path) -> None:
    text = "[services]\n{} = {}\n"
    assert digest(tmp_path, text.format("mysql_root_passwd", "a")) == digest(
        tmp_path, text.format("mysql_root_passwd", "b")
    )
    assert digest(tmp_path, text.format("mysql_root_passwd", "a")) != digest(tmp_path, text.format("other", "a"))
    assert digest(tmp_path, text.format("mail_client", "claws-mail")) != digest(
        tmp_path, text.format("mail_client", "1")
    )
