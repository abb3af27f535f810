"""Answers to make answer files of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vmgen_build.plan.answers import Answers, usual_slices
from vmgen_build.secret import Secret

KEY = "ABCDE-12345-FGHIJ-67890-KLMNO"

OLD = Answers(
    nt=(5, 1),
    arch="i386",
    computer_name="LAB-XP",
    owner="A Teacher",
    organisation="A School",
    administrator_password=Secret("pass;word = [x]"),
    locale="ro_RO.UTF-8",
    keyboard="ro",
    time_zone="Europe/Bucharest",
    product_key=Secret(KEY),
    first_logon=(r"cmd /c A:\first.cmd", r"C:\second.cmd"),
)

FULL = Answers(
    nt=(6, 1),
    arch="amd64",
    computer_name="LAB-7",
    owner="A Teacher",
    organisation="A School",
    administrator_password=Secret("päss & <word>"),
    locale="ro_RO.UTF-8",
    keyboard="ro",
    time_zone="Europe/Bucharest",
    ui_language="en-US",
    product_key=Secret(KEY),
    image="Windows 7 PROFESSIONAL",
    slices=usual_slices("bios"),
    drivers=(r"E:\viostor\w7\amd64", r"E:\NetKVM\w7\amd64"),
    commands=(r"cmd /c echo specialize",),
    first_logon=(r"cmd /c E:\first.cmd", r"C:\second.cmd"),
)

NT = [(6, 0), (6, 1), (6, 2), (6, 3), (10, 0)]


def answers(**changes: Any) -> Answers:
    return replace(FULL, **changes)
