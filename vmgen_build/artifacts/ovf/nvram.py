"""A machine's NVRAM in an OVF descriptor, as VMware's own tools put it there: a file, and a setting that names it."""

from __future__ import annotations

import re

from vmgen_build.artifacts.ovf.write import TEMPLATE, OvfFile
from vmgen_build.errors import BuildError
from vmgen_build.plan.text.xml import XML

_REFERENCES = re.compile(r"(?P<margin>[ \t]*)</(?P<prefix>(?:[\w.-]+:)?)References>")
_HARDWARE = re.compile(r"(?P<margin>[ \t]*)</(?:[\w.-]+:)?VirtualHardwareSection>")
"""Their ends, the first of each."""


def with_nvram(text: str, file: OvfFile, number: int) -> str:
    """The descriptor, where the file is the last one of References. number: which one of them it is, from 1.

    Raises BuildError where the descriptor, which a template of the user's may have made, has no place for it.
    """
    references, hardware = _REFERENCES.search(text), _HARDWARE.search(text)
    declared = all(f'xmlns:{prefix}="' in text for prefix in ("ovf", "vmw"))
    if not declared or references is None or hardware is None or hardware.start() < references.start():
        raise BuildError(
            f"the OVF descriptor has no place for the machine's nvram: let the template {TEMPLATE} declare the prefixes"
            " ovf and vmw, and have References and a VirtualHardwareSection, as the one that vmgen-build brings does"
        )
    one = (
        f'<{references["prefix"]}File ovf:href="{XML.quote(file.name)}" ovf:id="file{number}" ovf:size="{file.size}"/>'
    )
    named = f'<vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file{number}"/>'
    return "".join(
        (
            text[: references.start()],
            f"{references['margin']}  {one}\n",
            text[references.start() : hardware.start()],
            f"{hardware['margin']}  {named}\n",
            text[hardware.start() :],
        )
    )
