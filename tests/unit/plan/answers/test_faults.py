"""What no answer file can say is refused by the name of the field, and no message repeats a secret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.plan.answers.examples import FULL, OLD
from vmgen_build.plan.answers import (
    Answers,
    Slice,
    answer_files,
    faults,
    generalise_files,
    usual_slices,
)
from vmgen_build.secret import Secret

C = Slice(letter="C", system=True, active=True)


def found(of: Answers, *, setup: bool = True) -> list[tuple[str, str]]:
    return list(faults(of, setup=setup))


@pytest.mark.parametrize("of", [OLD, FULL])
def test_the_examples_are_right(of: Answers) -> None:
    assert found(of) == []
    assert "Secret(***)" in repr(of)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("computer_name", "sixteen-letters-", "up to 15"),
        ("computer_name", "12345", "one letter at least"),
        ("computer_name", "a b", "up to 15"),
        ("arch", "riscv64", "i386, amd64, arm64"),
        ("arch", "arm64", "before 10"),
        ("owner", "x" * 64, "63"),
        ("owner", "a\x01b", "control character"),
        ("commands", ("x" * 260,), "259"),
        ("first_logon", ("x" * 1025,), "1024"),
        ("administrator_password", Secret("x" * 128), "127"),
        ("administrator_password", Secret("CANARY\n"), "control character"),
        ("product_key", Secret("CANARY"), "five groups"),
        ("time_zone", "Mars/Base", "no time zone"),
        ("locale", "tlh_QO.UTF-8", "no language"),
        ("keyboard", "uss", "did you mean 'us'"),
        ("slices", (), "one partition"),
        ("slices", (C, C), "one partition"),
        ("slices", (replace(C, active=False),), "active"),
        ("slices", (replace(C, fs="FAT32"),), "NTFS"),
        ("slices", (replace(C, fs="ext4"),), "makes no ext4"),
        ("slices", (replace(C, letter="A"),), "from C to Z"),
        ("slices", (replace(C, label="x" * 33),), "longer than 32"),
        ("slices", (replace(C, size=0),), "smaller than 1 MiB"),
        ("slices", (C, Slice(letter="D")), "must be the last"),
        ("slices", (replace(C, size=9), Slice(letter="C")), "two partitions have the letter C"),
        ("slices", (replace(C, size=9), Slice(kind="logical")), "lie in one extended"),
        ("slices", (replace(C, size=9), *[Slice(size=9)] * 4), "room for four"),
        ("slices", usual_slices("efi"), "no efi partition"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any, text: str) -> None:
    problems = found(replace(FULL, **{field: value}))
    assert any(name == field and text in message for name, message in problems), problems
    assert not any("CANARY" in message for _, message in problems)
    with pytest.raises(ValueError, match=f"^{field}: "):
        answer_files(replace(FULL, **{field: value}))


def test_a_disk_of_efi_begins_with_its_own_partitions() -> None:
    problems = found(replace(FULL, firmware="efi", slices=(Slice(letter="C", system=True),)))
    assert problems == [("slices", "a disk of EFI begins with one efi and one msr partition")]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("firmware", "efi", "by EFI"),
        ("drivers", ("A:\\",), "ide disk"),
        ("commands", ("x",), "first_logon"),
        ("owner", 'a "b"', "in two ways"),
        ("organisation", "100%", "in two ways"),
        ("owner", "ä", "not ASCII"),
        ("computer_name", "*", "write one"),
        ("administrator_password", Secret("CANARY%"), "in two ways"),
        ("administrator_password", Secret("CANARYä"), "not ASCII"),
        ("administrator_password", Secret("*"), "means none"),
        ("time_zone", "Asia/Amman", "do not know 'Jordan Standard Time'"),
        ("locale", "en_IN.UTF-8", "Windows XP and 2003"),
    ],
)
def test_what_setup_of_xp_cannot_take(field: str, value: Any, text: str) -> None:
    problems = found(replace(OLD, **{field: value}))
    assert any(name == field and text in message for name, message in problems), problems
    assert not any("CANARY" in message for _, message in problems)


def test_sysprep_of_xp_logs_on_nobody_and_takes_any_password() -> None:
    problems = found(OLD, setup=False)
    assert [name for name, _ in problems] == ["first_logon"]
    of = replace(OLD, first_logon=(), administrator_password=Secret("100%"))
    assert found(of, setup=False) == []
    assert generalise_files(of).keys() == {"sysprep.inf"}


def test_sysprep_needs_no_disk() -> None:
    assert found(replace(FULL, slices=()), setup=False) == []
