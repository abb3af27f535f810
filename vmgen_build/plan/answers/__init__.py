"""Answer files of Windows: what Setup, and sysprep after it, read in place of asking a person.

`answer_files` makes what Setup reads, autounattend.xml or winnt.sif; `generalise_files` what sysprep hands to the next
boot, unattend.xml or sysprep.inf. Both hold passwords, and are Secrets as a whole. Nothing here was tried on Windows:
docs/windows-media.md says what was checked, and how.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vmgen_build.plan.answers import nt, xp
from vmgen_build.plan.answers.check import faults
from vmgen_build.plan.answers.model import Answers, Slice, usual_slices
from vmgen_build.plan.text.inf import INF
from vmgen_build.plan.text.render import Renderer
from vmgen_build.plan.text.xml import XML
from vmgen_build.secret import Secret

__all__ = ["Answers", "Slice", "answer_files", "faults", "generalise_files", "usual_slices"]


def answer_files(answers: Answers, override: Path | None = None) -> Mapping[str, Secret]:
    """File name -> its text, for Setup. override: folder of a user's own templates. Raises ValueError for what `faults`
    finds, RecipeError for a template that is wrong."""
    return _rendered(answers, override, "winnt.sif", "autounattend.xml")


def generalise_files(answers: Answers, override: Path | None = None) -> Mapping[str, Secret]:
    """File name -> its text, for sysprep. What only Setup needs (slices, image, drivers) is not looked at."""
    return _rendered(answers, override, "sysprep.inf", "unattend.xml")


def _rendered(answers: Answers, override: Path | None, old: str, new: str) -> Mapping[str, Secret]:
    for field, text in faults(answers, setup=new == "autounattend.xml"):
        raise ValueError(f"{field}: {text}")
    if answers.generation == "xp":
        values = xp.values(answers, setup=old == "winnt.sif")
        return {old: Secret(Renderer(override, INF).render(f"windows/xp/{old}.j2", **values))}
    template = "autounattend.xml" if new == "autounattend.xml" else "sysprep-unattend.xml"
    values = nt.values(answers, setup=new == "autounattend.xml")
    return {new: Secret(Renderer(override, XML).render(f"windows/{answers.generation}/{template}.j2", **values))}
