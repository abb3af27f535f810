"""What --keep-as names."""

from __future__ import annotations

import pytest

from vmgen_build.errors import UsageError
from vmgen_build.guests.vsphere.goal import Goal, parse_goal


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("lab", Goal("lab")),
        (" lab 2026 ", Goal("lab 2026")),
        ("library:Images/lab", Goal("lab", "Images")),
        ("library:Images / of us/lab", Goal("lab", "Images / of us")),
    ],
)
def test_what_it_names(text: str, goal: Goal) -> None:
    assert parse_goal(text) == goal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "write it as --keep-as NAME"),
        ("library:", "write it as"),
        ("library:lab", "write it as"),
        ("library:/lab", "write it as"),
        ("library:Images/", "write it as"),
        ("folder/lab", "the folder is named by --folder"),
        ("a" * 81, "up to 80 characters"),
        ("100%", "no %"),
        ("a\nb", "control character"),
        ("vmgen-layer-x", "those of builds"),
    ],
)
def test_what_names_nothing(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_goal(text)
