"""Values of the templates of winnt.sif and sysprep.inf: "Unattend.txt" and "Sysprep.inf" in ref.chm, on the media of XP
and 2003 (support\\tools\\deploy.cab)."""

from __future__ import annotations

from typing import Any

from vmgen_build.catalogue import windows
from vmgen_build.plan.answers.model import Answers
from vmgen_build.plan.text.quote import Trusted


def values(answers: Answers, *, setup: bool) -> dict[str, Any]:
    """A password is in clear here, as Setup wants it where it logs on by itself. Sysprep leaves passwords alone."""
    language = windows.language(answers.locale, answers.nt)
    password = answers.administrator_password
    if setup:
        more: dict[str, Any] = {
            "administrator_password": password.reveal() if password else Trusted("*"),
            "repartition": "Yes" if len(answers.slices) < 2 else "No",
        }
    else:
        more = {}
    return more | {
        "computer_name": answers.computer_name,
        "first_logon": [(f"Command{number}", command) for number, command in enumerate(answers.first_logon)],
        "keyboard": windows.keyboard(answers.keyboard, answers.nt),
        "language": f"{language.lcid:0>8}",
        "language_group": str(language.group),
        "network_anew": "Yes" if setup else "No",
        "organisation": answers.organisation,
        "owner": answers.owner,
        "product_key": answers.product_key.reveal() if answers.product_key else "",
        "server": answers.server,
        "time_zone": windows.time_zone_index(answers.time_zone),
        "workgroup": answers.workgroup,
    }
