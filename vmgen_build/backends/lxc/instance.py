"""Files of Incus and LXD at packing: templates by which each instance bears its own name, and its configuration beside
the image.

Image format of both, "Templates": files below templates/, in pongo2, whose `instance.name` is the new instance's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vmgen_build.artifacts.compression import TAR_ENDINGS
from vmgen_build.host.beneath import text_beneath
from vmgen_build.limits import TREE_FILE

if TYPE_CHECKING:
    from vmgen_build.host.files import Written

NAME = "{{ instance.name }}"
LOCAL = f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n::1 localhost ip6-localhost ip6-loopback\n"
_CODE = re.compile(r"\{[{%#]")


def root_templates(root: Path) -> dict[str, str]:
    """As `templates`, for the image with this root."""
    return templates(text_beneath(root, "etc/hostname", TREE_FILE), text_beneath(root, "etc/hosts", TREE_FILE))


def templates(hostname: str, hosts: str) -> dict[str, str]:
    """Name in the image -> text. hostname, hosts: what the image's own files hold. Its /etc/hosts is kept, with the new
    name in place of the image's; one that would be code of pongo2 is not."""
    name = hostname.strip()
    usable = name.partition(".")[0] not in ("", "localhost") and hosts and not _CODE.search(hosts)
    text = "".join(_named(line, name) for line in hosts.splitlines(keepends=True)) if usable else LOCAL
    return {"templates/hostname.tpl": f"{NAME}\n", "templates/hosts.tpl": text}


def write_instance(image: Path, text: str) -> Written:
    """The configuration beside an image: lab-lxd-amd64.yaml beside lab-lxd-amd64.tar.zst. Raises HostError."""
    from vmgen_build.host.files import Written, write_whole

    goal = _beside(image)
    write_whole(goal, text)
    return Written.of(goal)


def instance_beside(image: Path) -> tuple[str, ...]:
    """Its name, where it lies there."""
    found = _beside(image)
    return (found.name,) if found.is_file() else ()


def _beside(image: Path) -> Path:
    ending = max((end for end in TAR_ENDINGS if image.name.endswith(end)), key=len, default="")
    return image.with_name(f"{image.name.removesuffix(ending)}.yaml")


def _named(line: str, name: str) -> str:
    """hosts(5): an address, then names, then a comment. A line that has the name has it with a domain too: the domain
    stays."""
    words, mark, comment = line.partition("#")
    short = re.escape(name.partition(".")[0])
    alone = re.compile(rf"(?<=[ \t])({re.escape(name)}|{short})(?=[ \t\n]|$)")
    if alone.search(words):
        words = re.sub(rf"(?<=[ \t]){short}(?=\.[A-Za-z0-9])", NAME, alone.sub(NAME, words))
    return words + mark + comment
