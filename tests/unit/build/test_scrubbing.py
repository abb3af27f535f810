"""What steps print, without the recipe's secrets."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgen_build.build.scrubbing import MASK, Scrubber, scrubbed
from vmgen_build.errors import StepFailed, StepTimedOut
from vmgen_build.plan.context import Facts
from vmgen_build.plan.model import Part
from vmgen_build.plan.planner import make_plan
from vmgen_build.recipe.load import load

CANARY = "c4n4ry-Old1"


def shown(*lines: str, secrets: tuple[str, ...] = (CANARY,)) -> list[str]:
    found: list[str] = []
    with scrubbed(Scrubber(secrets), found.append) as output:
        for line in lines:
            output(line)
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("nothing here", "nothing here"),
        (f"it is {CANARY}, twice {CANARY}.", f"it is {MASK}, twice {MASK}."),
        (f"\x1b[1m{CANARY[:4]}\x1b[0m{CANARY[4:]}", MASK),
        ("\0".join(CANARY), MASK),
        (f"kept \x1b[1mas it is\x1b[0m {CANARY}", f"kept \x1b[1mas it is\x1b[0m {MASK}"),
        (base64.b64encode(CANARY.encode()).decode(), f"{MASK}E="),
        (base64.b64encode(f"{CANARY}Password".encode("utf-16-le")).decode(), ""),
    ],
)
def test_no_line_shows_a_secret(line: str, found: str) -> None:
    [one] = shown(line)
    assert one == found if found else one.startswith(MASK)


def test_it_is_known_as_sh_and_batch_quote_it() -> None:
    assert shown("+ net user ana 50%%off it'\\''s", secrets=("50%off it's", "50%off", "it's")) == [
        f"+ net user ana {MASK} {MASK}"
    ]


@given(st.integers(1, len(CANARY) - 1), st.text("ab c", max_size=9), st.text("ab c", max_size=9))
def test_one_that_is_broken_over_two_lines(cut: int, before: str, behind: str) -> None:
    """Of what is shown no line has more of it than is looked for."""
    first, second = shown(before + CANARY[:cut], CANARY[cut:] + behind)
    assert second == MASK + behind
    assert first == before + (CANARY[:cut] if cut < 4 else MASK)


def test_a_line_waits_for_the_next_only_where_it_may_go_on() -> None:
    found: list[str] = []
    with scrubbed(Scrubber((CANARY,)), found.append) as output:
        output("one")
        assert found == ["one"]
        output(f"two {CANARY[:6]}")
        assert found == ["one"]
        output("three")
        assert found == ["one", f"two {CANARY[:6]}", "three"]
        output(CANARY[:5])
    assert found[3:] == [CANARY[:5]]


def test_what_waits_is_shown_though_the_step_fails() -> None:
    found: list[str] = []
    with pytest.raises(OSError, match="gone"), scrubbed(Scrubber((CANARY,)), found.append) as output:
        output(CANARY[:7])
        raise OSError("gone")
    assert found == [CANARY[:7]]


def test_short_ones_and_none_garble_nothing() -> None:
    assert shown("a cab", "", secrets=("a", "cab", "", " c ")) == ["a cab", ""]
    assert shown("a cab", secrets=()) == ["a cab"]


def test_the_longest_one_counts() -> None:
    assert shown("passwords", secrets=("pass", "passwords", "word")) == [MASK]


def test_a_key_is_known_by_each_of_its_lines() -> None:
    assert shown("AAAAB3Nza", "x", secrets=("-----BEGIN\nAAAAB3Nza\n-----END\n",)) == [MASK, "x"]


def test_last_lines_of_a_failure(tmp_path: Path) -> None:
    scrubber, log = Scrubber((CANARY,)), tmp_path / "log"
    failed = scrubber.failure(StepFailed("s", 3, ("one", CANARY[:6], CANARY[6:]), log, "hint"))
    assert failed.tail == ("one", MASK, MASK) and (failed.code, failed.log, failed.hint) == (3, log, "hint")
    assert str(failed).splitlines()[2:5] == ["  one", f"  {MASK}", f"  {MASK}"]
    late = scrubber.failure(StepTimedOut("s", 9.0, (CANARY,), log))
    assert isinstance(late, StepTimedOut) and late.limit == 9.0 and CANARY not in str(late)


RECIPE = """\
[hardware]
vm_id = lab
os = debian-12-amd64
base = vm:golden
login = root
login_password = c4n4ry-login
[users]
[[users]]
[[[ana]]]
name = ana
passwd = c4n4ry-ana
[config]
root_passwd = c4n4ry-root
product_key = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE
"""


def test_all_secrets_of_a_recipe_and_hashes_of_its_plan_are_known(tmp_path: Path) -> None:
    path = tmp_path / "lab.ini"
    path.write_text(RECIPE)
    recipe = load(path)
    plan = make_plan(recipe, "lxc", Part(), Facts("release", 1700000000), None)
    scrubber = Scrubber.of(recipe, plan)
    for name in ("login", "ana", "root"):
        assert scrubber.text(f"<c4n4ry-{name}>") == f"<{MASK}>"
    assert scrubber.text("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE") == MASK
    [given] = [secret.reveal() for step in plan.steps for secret in step.secrets.values()]
    for line in given.splitlines():
        name, _, crypted = line.partition(":")
        assert crypted.startswith("$6$") and scrubber.text(f"{name}:{crypted}:1:") == f"{name}:{MASK}:1:"
