"""What no answer file can say, with the field of Answers that it is about. No text here repeats a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from vmgen_build.catalogue import windows
from vmgen_build.plan.answers.model import TEN, Answers
from vmgen_build.plan.answers.nt import ARCHES
from vmgen_build.plan.answers.slices import slice_faults
from vmgen_build.plan.text.inf import inf_string
from vmgen_build.plan.text.quote import shown
from vmgen_build.plan.text.xml import xml_text
from vmgen_build.secret import Secret

Fault = tuple[str, str]

LONGEST = {"commands": 259, "first_logon": 1024, "administrator_password": 127, "owner": 63, "organisation": 63}
"""Characters: RunSynchronousCommand's Path, SynchronousCommand's CommandLine, AdminPassword, FullName, Organization."""

_BOTH_READERS = '"%'
"""Setup of XP reads winnt.sif as an INF file, where these are doubled, and by GetPrivateProfileString, where not."""

_KEY = re.compile(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}", re.IGNORECASE)


def faults(answers: Answers, *, setup: bool = True) -> Iterator[Fault]:
    """(field, what is wrong; what would be right). setup: whether it is for Setup, else for sysprep."""
    yield from _names(answers)
    yield from _lengths(answers)
    yield from _secrets(answers)
    yield from _regions(answers)
    if answers.generation == "xp":
        yield from _of_xp(answers, setup)
    else:
        yield from _texts(answers)
    if setup:
        yield from slice_faults(answers.slices, answers.firmware, wiped=answers.generation != "xp")


def _names(answers: Answers) -> Iterator[Fault]:
    name = answers.computer_name
    if name != "*" and (not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,14}", name) or name.isdecimal()):
        text = "is no name for a Windows computer; write up to 15 letters, digits and -, one letter at least among them"
        yield "computer_name", f"{shown(name)} {text}"
    if answers.arch not in ARCHES:
        yield "arch", f"Windows has no {shown(answers.arch)}; write one of {', '.join(ARCHES)}"
    if answers.firmware == "efi" and answers.nt < windows.VISTA:
        yield "firmware", "Windows XP and 2003 do not start by EFI; write firmware = bios"
    if answers.arch == "arm64" and answers.nt < TEN:
        yield "arch", "no Windows before 10 runs on arm64; write amd64"


def _lengths(answers: Answers) -> Iterator[Fault]:
    for field in ("owner", "organisation"):
        if len(getattr(answers, field)) > LONGEST[field]:
            yield field, f"is longer than the {LONGEST[field]} characters that Windows takes; write a shorter one"
    for field in ("commands", "first_logon"):
        for command in getattr(answers, field):
            if len(command) > LONGEST[field]:
                text = f"is longer than the {LONGEST[field]} characters that Setup runs; put it into a batch file"
                yield field, f"{shown(command)} {text}"


def _secrets(answers: Answers) -> Iterator[Fault]:
    field, password = "administrator_password", _revealed(answers.administrator_password)
    if len(password) > LONGEST[field]:
        yield field, "the password is longer than the 127 characters that Windows takes; write a shorter one"
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", password):
        yield field, "the password holds a control character, which nobody can type; leave it out"
    if answers.product_key and not _KEY.fullmatch(answers.product_key.reveal()):
        yield "product_key", "is no product key, which is five groups of five letters and digits, with - between them"


def _regions(answers: Answers) -> Iterator[Fault]:
    zone = windows.time_zone_index if answers.generation == "xp" else windows.time_zone
    try:
        field = "time_zone"
        zone(answers.time_zone)
        field = "locale"
        windows.language(answers.locale, answers.nt)
        field = "keyboard"
        windows.keyboard(answers.keyboard, answers.nt)
    except ValueError as error:
        yield field, str(error)


def _texts_of(answers: Answers) -> Iterator[Fault]:
    """Field -> each text of an answer file that is nobody's secret."""
    for field in ("computer_name", "owner", "organisation", "workgroup", "administrator", "ui_language", "image"):
        yield field, getattr(answers, field)
    for field in ("drivers", "commands", "first_logon"):
        yield from ((field, text) for text in getattr(answers, field))
    for one in answers.slices:
        yield from (("slices", text) for text in (one.label, one.letter))


def _texts(answers: Answers) -> Iterator[Fault]:
    for field, text in _texts_of(answers):
        try:
            xml_text(text)
        except ValueError as error:
            yield field, str(error)


def _of_xp(answers: Answers, setup: bool) -> Iterator[Fault]:
    if answers.computer_name == "*" and setup:
        yield "computer_name", "Setup of Windows XP and 2003 makes no name up in a way that is known here; write one"
    only_later = {"commands": "write them to first_logon"}
    if setup:
        only_later["drivers"] = "choose an adapter that Windows XP knows, such as an ide disk and e1000"
    else:
        only_later["first_logon"] = "its sysprep leaves the password alone, and cannot log on by itself without it"
    for field, instead in only_later.items():
        if getattr(answers, field):
            yield field, f"Setup of Windows XP and 2003 takes none; {instead}"
    secrets = [("administrator_password", answers.administrator_password)] if setup else []
    for field, text in chain(_texts_of(answers), ((f, _revealed(secret)) for f, secret in secrets)):
        if reason := _unfit_for_inf(text, secret=field == "administrator_password"):
            yield field, reason


def _revealed(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""


def _unfit_for_inf(text: str, *, secret: bool) -> str:
    name = "the password" if secret else shown(text)
    if any(char in text for char in _BOTH_READERS):
        return f"{name} holds a double quote or a percent sign, which Setup of XP reads in two ways; leave it out"
    try:
        inf_string(text)
    except ValueError as error:
        return "the password is not ASCII, and Setup of XP reads nothing else for sure" if secret else str(error)
    return "the password is just a *, which means none; write another" if secret and text == "*" else ""
