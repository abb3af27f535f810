"""How a base that is a whole machine is spoken to."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.sections.hardware import Hardware

_OPTIONS = ("login", "login_password", "login_key", "communicator")
_NO_DISKS = ("images", "template")
"""Kinds of bases that hold a root file system alone."""


def check(draft: Draft, problems: Problems) -> None:
    hardware = draft.hardware
    if hardware.faulty & {"base", *_OPTIONS}:
        return
    for option, text in _wrong(hardware):
        problems.error(hardware.at(option), f"[hardware] {option}", text, "login")
    if hardware.communicator == "agent" and hardware.login is not None:
        text = "is not used: the guest agent runs as root, and asks for no login; take it out"
        problems.warn(hardware.at("login"), "[hardware] login", text, "unused")


def _wrong(hardware: Hardware) -> Iterator[tuple[str, str]]:
    """Option and what is wrong with it."""
    given = [option for option in _OPTIONS if getattr(hardware, option) is not None]
    if hardware.base is not None and hardware.base.kind == "vm":
        if hardware.communicator == "agent":
            yield "communicator", "is QEMU's guest agent, which no vSphere server speaks to; write tools or ssh"
            return
        if "login" not in given:
            text = "needs a user to log in as; write login = NAME, and login_password or login_key"
            yield "base", f"{hardware.base} {text}"
            return
    if hardware.is_installed and {"login", "login_password", "login_key"} & set(given):
        text = (
            "is of a machine that is there already, and Setup makes this one; take it out: root_passwd lets builds in"
        )
        yield next(option for option in given if option != "communicator"), text
        return
    if given and hardware.base is None:
        yield given[0], "is of a base that is a whole machine, and none is named; write base = IMAGE, or take this out"
        return
    if given and hardware.base is not None and hardware.base.kind in _NO_DISKS:
        text = f"{hardware.base} holds a root file system, which no machine starts from; name a disk image or an OVA"
        yield "base", f"{text}, or take {given[0]} out"
        return
    for option in ("login_password", "login_key"):
        if option in given and hardware.login is None:
            yield option, "is of a user, and none is named; write login as well, or take this out"
    yield from _of_the_communicator(hardware, given)


def _of_the_communicator(hardware: Hardware, given: list[str]) -> Iterator[tuple[str, str]]:
    if not given or hardware.communicator == "agent" or hardware.is_installed:
        return
    if hardware.login is None:
        yield given[0], "needs a user to log in as; write login = NAME, and login_password or login_key"
    elif "login_password" not in given and "login_key" not in given:
        yield "login", "has neither login_password nor login_key; write one of them"
    elif "login_password" in given and "login_key" in given:
        yield "login_key", "stands beside login_password; keep one of them"
    elif hardware.communicator == "tools" and hardware.login_key is not None:
        yield "login_key", "is no way in by VMware Tools; write login_password"
