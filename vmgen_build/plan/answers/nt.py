"""Values of the templates of unattend.xml: "Unattended Windows Setup Reference",
https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from vmgen_build.catalogue import windows
from vmgen_build.catalogue.windows import VISTA, WINDOWS_8
from vmgen_build.plan.answers.model import TEN, Answers, Slice
from vmgen_build.secret import Secret

ARCHES = {"i386": "x86", "amd64": "amd64", "arm64": "arm64"}
"""Debian's word -> that of processorArchitecture."""

_TYPES = {"primary": "Primary", "extended": "Extended", "logical": "Logical", "efi": "EFI", "msr": "MSR"}

_NO_ACCOUNT_PAGE = (
    r"cmd /c reg add HKLM\Software\Microsoft\Windows\CurrentVersion\Setup\OOBE"
    " /v UnattendCreatedUser /t REG_DWORD /d 1 /f"
)
"""From Windows 10 on: the first logon asks for no account though Administrator is the only one."""


def encoded(password: Secret, element: str) -> str:
    """As the schema has a password that is not in clear: base64 of UTF-16LE of it and the element's name."""
    return base64.b64encode((password.reveal() + element).encode("utf-16-le")).decode()


def values(answers: Answers, *, setup: bool) -> dict[str, Any]:
    password, key = answers.administrator_password, answers.product_key
    clear_key = key.reveal() if key else ""
    shared = {
        "activation": _activation(answers),
        "administrator": answers.administrator,
        "administrator_password": encoded(password, "AdministratorPassword") if password else "",
        "arch": ARCHES[answers.arch],
        "commands": [*answers.commands, *([_NO_ACCOUNT_PAGE] if answers.nt >= TEN and not answers.server else [])],
        "computer_name": answers.computer_name,
        "first_logon": answers.first_logon,
        "keyboard": windows.keyboard(answers.keyboard, answers.nt),
        "language": windows.language(answers.locale, answers.nt).tag,
        "logon_password": encoded(password, "Password") if password else "",
        "oobe": _pages(answers),
        "organisation": answers.organisation,
        "owner": answers.owner,
        "specialize_key": "" if setup else clear_key,
        "time_zone": windows.time_zone(answers.time_zone),
        "ui_language": answers.ui_language,
    }
    return shared | (_setup_values(answers, clear_key) if setup else {})


def _setup_values(answers: Answers, key: str) -> dict[str, Any]:
    numbered = list(_volumes(answers.slices))
    kind = "INDEX" if answers.image.isdecimal() else "NAME"
    return {
        "drivers": answers.drivers,
        "image": answers.image,
        "image_key": f"/IMAGE/{kind}" if answers.image else "",
        "product_key": key,
        "slices": [{"rest": s.size is None, "size": s.size, "type": _TYPES[s.kind]} for s in answers.slices],
        "system_volume": next(number for number, volume in enumerate(numbered, 1) if volume.system),
        "volumes": numbered,
    }


def _volumes(slices: tuple[Slice, ...]) -> Iterator[Slice]:
    """Those that get a PartitionID, in its order: by their place on the disk. An extended one gets none, and its
    logical ones lie where it does."""
    for one in slices:
        if one.kind == "extended":
            yield from (inner for inner in slices if inner.kind == "logical")
        elif one.kind != "logical":
            yield one


def _activation(answers: Answers) -> str:
    vista = answers.nt == VISTA
    return "Microsoft-Windows-Security-Licensing-SLC-UX" if vista else "Microsoft-Windows-Security-SPP-UX"


def _pages(answers: Answers) -> list[tuple[str, str]]:
    """The pages of the first start that are not shown. From Windows 10 on SkipMachineOOBE, SkipUserOOBE and
    NetworkLocation are deprecated, and left out."""
    wireless = [("HideWirelessSetupInOOBE", "true")] if answers.nt > VISTA else []
    accounts = ("HideLocalAccountScreen", "HideOEMRegistrationScreen", "HideOnlineAccountScreens")
    since_8 = [(name, "true") for name in accounts] if answers.nt >= WINDOWS_8 else []
    old = [("NetworkLocation", "Work")] if answers.nt < TEN else []
    skipped = [("SkipMachineOOBE", "true"), ("SkipUserOOBE", "true")] if answers.nt < TEN else []
    updates = [("ProtectYourPC", "1" if answers.updates else "3")]
    return [("HideEULAPage", "true"), *since_8, *wireless, *old, *updates, *skipped]
