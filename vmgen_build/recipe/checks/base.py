"""What the base is checked by."""

from __future__ import annotations

from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import Problems
from vmgen_build.recipe.sections.hardware import Hardware


def _checks_packages(draft: Draft, option: str) -> bool:
    """Whether a key without a base is for the packages that the base is made of; apt has a ring of keys of its own."""
    system = draft.system
    return option == "base_key" and system is not None and bool(system.base) and system.installer != "apt"


def check(draft: Draft, problems: Problems) -> None:
    hardware = draft.hardware
    if "base" in hardware.faulty:
        return
    for option in ("base_sha256", "base_key"):
        if hardware.base is None and option in hardware.places and not _checks_packages(draft, option):
            text = "checks the base, and none is named; write base as well, or take this line out"
            problems.error(hardware.at(option), f"[hardware] {option}", text, "base")
    checked = {"base_sha256", "base_key"} & (set(hardware.places) | hardware.faulty)
    if hardware.base is not None and hardware.base.kind == "url" and not checked:
        text = (
            "is downloaded, and nothing says whether it is the right file; write base_sha256 with its checksum,"
            " or base_key with the key that signs it"
        )
        problems.error(hardware.at("base"), "[hardware] base", text, "base")
    if hardware.base is not None and hardware.base.kind == "vm":
        for option in ("base_sha256", "base_key"):
            if option in hardware.places:
                text = "checks a file, and the base is a machine of a server; take this line out"
                problems.error(hardware.at(option), f"[hardware] {option}", text, "base")
    _check_clone(hardware, problems)
    if hardware.base is not None and hardware.base.kind in ("file", "iso") and "base_key" in hardware.places:
        text = "checks what is downloaded, and the base is a file of this host; write base_sha256, or take this out"
        problems.error(hardware.at("base_key"), "[hardware] base_key", text, "base")


def _check_clone(hardware: Hardware, problems: Problems) -> None:
    if hardware.clone is None or "clone" in hardware.faulty:
        return
    base, text = hardware.base, ""
    if base is None or base.kind != "vm":
        text = "is of a base that is a machine of a vSphere server; write base = vm:NAME, or take this line out"
    elif hardware.clone == "linked" and not base.snapshot:
        text = "linked begins with a snapshot, and none is named; write base = vm:NAME@SNAPSHOT, or clone = full"
    if text:
        problems.error(hardware.at("clone"), "[hardware] clone", text, "base")
